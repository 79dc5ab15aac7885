"""System checks find what is wrong in the settings before CircleCI does."""

import pytest
from django.core.checks import run_checks

GOOD = "a-secret-that-is-long-enough"


def ids():
    return [message.id for message in run_checks() if message.id.startswith("logs.")]


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        ({"payments": GOOD}, []),
        ({"payments": [GOOD, GOOD + "-old"]}, []),
        ({}, ["logs.W001"]),
        ({"payments": ""}, ["logs.E001"]),
        ({"payments": [GOOD, ""]}, ["logs.E001"]),
        # As a key of HMAC it is the same as an empty one.
        ({"payments": "\0\0"}, ["logs.E001", "logs.W002"]),
        ({"платежи": GOOD}, ["logs.E002"]),
        ({"!!!": GOOD}, ["logs.E002"]),
        ({"n" * 256: GOOD}, ["logs.E002"]),
        ({"Pay ments": GOOD, "pay-ments": GOOD + "2"}, ["logs.E003"]),
        ({"payments": "ABCD1234"}, ["logs.W002"]),
        ({"payments": "x" * 15}, ["logs.W002"]),
        ({"payments": "x" * 16}, []),
        ({"!!!": GOOD, "???": GOOD + "2"}, ["logs.E002", "logs.E002"]),
        ({"payments": [GOOD, GOOD]}, []),
        ({"payments": {"secrets": [GOOD], "projects": ["github/acme/*"]}}, []),
        ({"payments": None}, ["logs.W003"]),
        ({"payments": GOOD, "lab": GOOD}, ["logs.W004"]),
    ],
)
def test_checks_the_configured_webhooks(settings, secrets, expected):
    settings.CIRCLECI_WEBHOOK_SECRETS = secrets
    assert ids() == expected


def test_no_message_shows_a_secret(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": "hunter2", "lab": "hunter2"}
    messages = run_checks()
    assert messages
    assert not [message for message in messages if "hunter2" in str(message)]


@pytest.mark.parametrize(
    ("debug", "https", "expected"), [(True, True, ["logs.E004"]), (True, False, []), (False, True, [])]
)
def test_debug_at_a_site_with_https_is_an_error(settings, debug, https, expected):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": GOOD}
    settings.DEBUG, settings.SECURE_SSL_REDIRECT = debug, https
    assert ids() == expected
