"""A signature holds for the exact bytes and a configured secret, and for nothing else."""

import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.circleci.signature import sign, verify
from logs.exceptions import SignatureRefused, WebhookLogError

# Source: https://circleci.com/docs/guides/integration/outbound-webhooks/ (read 2026-08-20).
PUBLISHED = [
    (b"hello world", "secret", "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"),
    (b"lalala", "another-secret", "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00"),
    (
        b"an-important-request-payload",
        "hunter123",
        "9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa",
    ),
    (b"foo", "secret", "773ba44693c7553d6ee20f61ea5d2757a9a4f4a44d2841ae4e95b52e4cd62db4"),
]
BODY, SECRET, DIGEST = PUBLISHED[0]
FALSE_DIGEST = "0" * 64


@pytest.mark.parametrize(("body", "secret", "digest"), PUBLISHED)
def test_signs_as_published(body, secret, digest):
    assert sign(body, secret) == f"v1={digest}"


@pytest.mark.parametrize(("body", "secret", "digest"), PUBLISHED)
def test_accepts_the_published_signatures(body, secret, digest):
    assert verify(body, f"v1={digest}", [secret]) == 0


@pytest.mark.parametrize(
    "header",
    [
        f"v1={DIGEST},v2={FALSE_DIGEST}",
        f"v2={FALSE_DIGEST},v1={DIGEST}",
        f"v0={FALSE_DIGEST},v1={DIGEST},v2={FALSE_DIGEST},v17=",
        f"v2={FALSE_DIGEST}, v1={DIGEST}",
        f"  v1={DIGEST}\t, v2={FALSE_DIGEST}  ",
        f",,v1={DIGEST},",
        f"nonsense,v1={DIGEST},=,v1",
        f"v2=ünknown,v1={DIGEST}",
    ],
)
def test_finds_the_known_version_wherever_it_stands_in_the_list(header):
    assert verify(BODY, header, [SECRET]) == 0


@pytest.mark.parametrize("header", [f"v1={DIGEST},v1={FALSE_DIGEST}", f"v1={FALSE_DIGEST},v1={DIGEST}"])
def test_one_true_entry_among_several_of_the_known_version_is_enough(header):
    assert verify(BODY, header, [SECRET]) == 0


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(f"v2={DIGEST}", id="the digest under an unknown version"),
        pytest.param(f"v2={DIGEST},v1={FALSE_DIGEST}", id="true under the unknown, false under the known version"),
        pytest.param(f"V1={DIGEST}", id="upper-case version"),
        pytest.param(f"v1={DIGEST.upper()}", id="upper-case digest"),
        pytest.param(f"v1 ={DIGEST}", id="white space before the equals sign"),
        pytest.param(f"v1= {DIGEST}", id="white space after the equals sign"),
        pytest.param(f"v1={DIGEST[:-1]}", id="shortened"),
        pytest.param(f"v1={DIGEST[:32]}", id="halved"),
        pytest.param(f"v1={DIGEST}0", id="lengthened"),
        pytest.param(f"v1={DIGEST};v2={FALSE_DIGEST}", id="another separator"),
        pytest.param(f'v1="{DIGEST}"', id="quoted"),
        pytest.param(f"v1={FALSE_DIGEST}", id="false"),
        pytest.param("v1=", id="empty digest"),
        pytest.param("v1", id="no equals sign"),
        pytest.param(DIGEST, id="the bare digest"),
        pytest.param(f"sha256={DIGEST}", id="as GitHub writes it"),
        pytest.param("", id="empty"),
        pytest.param(",", id="empty entries"),
        pytest.param("=", id="nothing but an equals sign"),
        pytest.param("v1=\x00", id="NUL"),
        pytest.param("v1=äöü", id="not ASCII"),
        pytest.param("v1=\udcff\ud800", id="lone surrogates"),
        pytest.param("\udcff", id="nothing but a lone surrogate"),
        pytest.param("v1=" + "a" * 100_000, id="very long"),
        pytest.param("v1=a," * 10_000, id="very many entries"),
    ],
)
def test_refuses_every_other_header(header):
    with pytest.raises(SignatureRefused):
        verify(BODY, header, [SECRET])


def test_refuses_a_missing_header_and_says_why_it_may_be_missing():
    with pytest.raises(SignatureRefused, match=r"circleci-signature header is missing.*only if .* a secret token"):
        verify(BODY, None, [SECRET])


def test_says_when_the_header_holds_no_known_version():
    with pytest.raises(SignatureRefused, match=r"no v1=\.\.\. entry"):
        verify(BODY, f"v2={DIGEST}", [SECRET])


@pytest.mark.parametrize(
    "body", [b"hello World", b"hello world\n", b" hello world", b"hello worl", b"", b"\xef\xbb\xbfhello world"]
)
def test_rejects_a_body_changed_after_signing(body):
    with pytest.raises(SignatureRefused, match="match"):
        verify(body, f"v1={DIGEST}", [SECRET])


def test_rejects_the_same_json_written_in_another_way():
    header = sign(b'{"id": "1", "type": "ping"}', SECRET)
    with pytest.raises(SignatureRefused):
        verify(b'{"id":"1","type":"ping"}', header, [SECRET])


@pytest.mark.parametrize("secret", ["Secret", "secret ", " secret", "secret\n", "secre", "s\u0435cret"])
def test_refuses_a_secret_that_is_only_similar(secret):
    with pytest.raises(SignatureRefused):
        verify(BODY, f"v1={DIGEST}", [secret])


@pytest.mark.parametrize("secret", ["", "\0", "\0" * 64])
def test_a_secret_that_anybody_could_use_never_matches(secret):
    # HMAC fills a short key up with NUL, so that all of these sign alike.
    assert sign(BODY, secret) == sign(BODY, "")
    with pytest.raises(SignatureRefused):
        verify(BODY, sign(BODY, ""), [secret])


def test_names_the_position_of_the_secret_that_signed():
    header = sign(BODY, "old")
    assert verify(BODY, header, ["new", "newer", "old"]) == 2
    assert verify(BODY, header, ["new", "old", "old"]) == 1


def test_refuses_when_there_is_no_secret_at_all():
    with pytest.raises(SignatureRefused):
        verify(BODY, f"v1={DIGEST}", [])


def test_an_empty_secret_never_matches():
    header = sign(BODY, "")
    with pytest.raises(SignatureRefused):
        verify(BODY, header, [""])
    with pytest.raises(SignatureRefused):
        verify(BODY, header, ["", "another"])


def test_an_empty_secret_keeps_its_place_among_the_positions():
    assert verify(BODY, sign(BODY, "another"), ["", "another"]) == 1


@pytest.mark.parametrize("secret", [" leading", "trailing ", "new line\n", "\t", "größer", "🔑", "a" * 1000, "x\x00y"])
def test_uses_a_secret_as_it_stands_in_utf_8(secret):
    expected = hmac.digest(secret.encode("utf-8"), BODY, hashlib.sha256).hex()
    assert sign(BODY, secret) == f"v1={expected}"
    assert verify(BODY, f"v1={expected}", [secret]) == 0


@pytest.mark.parametrize("header", [None, "", "v2=abc", f"v1={FALSE_DIGEST}", f"v1={DIGEST.upper()}"])
def test_the_message_never_holds_a_digest_or_a_secret(header):
    with pytest.raises(SignatureRefused) as caught:
        verify(BODY, header, [SECRET, "hunter123"])
    told = f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"
    assert not re.search("[0-9a-fA-F]{16}", told)
    assert "hunter123" not in told


def test_a_refusal_is_one_of_this_applications_errors_with_a_stable_code():
    with pytest.raises(WebhookLogError) as caught:
        verify(BODY, None, [SECRET])
    assert caught.value.code == "unverified"


# HMAC fills a short key up with NUL, so "a" and "a" with a NUL after it sign alike.
secret_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(body=st.binary(), secrets=st.lists(secret_texts, min_size=1), data=st.data())
def test_whatever_was_signed_verifies(body, secrets, data):
    position = data.draw(st.integers(0, len(secrets) - 1))
    secret = secrets[position]
    header = sign(body, secret)
    if secret:
        assert verify(body, header, secrets) == secrets.index(secret)
    else:
        with pytest.raises(SignatureRefused):
            verify(body, header, secrets)


@given(body=st.binary(), header=st.text(st.characters()), secret=secret_texts)
def test_no_header_raises_anything_but_a_refusal(body, header, secret):
    with pytest.raises(SignatureRefused):
        verify(body, header, [secret])


def test_compares_in_constant_time_with_every_secret_and_every_claim(monkeypatch):
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda ours, theirs: compared.append(ours) or compare(ours, theirs))
    header = f"{sign(BODY, 'first')},v1={FALSE_DIGEST}"
    assert verify(BODY, header, ["first", "second", "third"]) == 0
    # Three secrets times two claims: an early match shortens nothing.
    assert len(compared) == 6
