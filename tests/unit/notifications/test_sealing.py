"""The secrets of channels can be read with SECRET_KEY, and with nothing else."""

import base64

import pytest

from logs.notifications.sealing import UnreadableSecret, reseal, seal, unseal

SECRETS = {"url": "https://hooks.slack.com/services/T0/B0/a-secret", "key": "übergeheim"}


def test_what_was_sealed_can_be_read():
    assert unseal(seal(SECRETS)) == SECRETS
    assert (seal({}), unseal("")) == ("", {})


def test_a_token_contains_no_secret_and_is_never_the_same():
    token = seal(SECRETS)
    assert token != seal(SECRETS)
    for text in (token, base64.urlsafe_b64decode(token).decode("latin-1")):
        assert not [word for word in ("hooks", "a-secret", "bergeheim") if word in text]


def test_another_key_reads_nothing(settings):
    token = seal(SECRETS)
    settings.SECRET_KEY = "another-key"
    with pytest.raises(UnreadableSecret, match="its secret cannot be read: SECRET_KEY has changed"):
        unseal(token)
    with pytest.raises(UnreadableSecret):
        reseal(token)


def test_a_damaged_token_is_unreadable():
    token = seal(SECRETS)
    for damaged in (token[:-8], f"x{token}", token.swapcase(), "{}"):
        with pytest.raises(UnreadableSecret):
            unseal(damaged)


def test_an_earlier_key_still_reads(settings):
    token = seal(SECRETS)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key", ["unrelated", settings.SECRET_KEY]
    assert unseal(token) == SECRETS


def test_after_resealing_the_earlier_key_can_go(settings):
    token = seal(SECRETS)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key", [settings.SECRET_KEY]
    renewed = reseal(token)
    settings.SECRET_KEY_FALLBACKS = []
    assert unseal(renewed) == SECRETS


def test_a_token_of_an_earlier_release_can_be_read(settings):
    settings.SECRET_KEY = "a-fixed-key"
    token = (
        "gAAAAABrC92BCVorCl6-we__eMzHqFvi-M1aod2jPz4VXNOtLnYC7LasIIxMWgl5wa1eqyBTNDQjrP4E9fCPfvuK2bs8nh5aRlEPJLMDtXJ8"
        "rErnKPQcDQA="
    )
    assert unseal(token) == {"url": "https://a.example/"}
