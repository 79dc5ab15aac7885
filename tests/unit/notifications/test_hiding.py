"""Vendors' responses show nothing of a channel's secrets."""

import pytest

from logs.notifications.hiding import hidden_parts, without

URL = "https://hooks.example/services/T0AAAAAAA/S3cretS3cretS3cret?key=An0therS3cretPart"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"no route for {URL}", "no route for …"),
        ("Cannot POST /services/T0AAAAAAA/S3cretS3cretS3cret", "Cannot POST …"),
        (r"\/services\/T0AAAAAAA\/S3cretS3cretS3cret", "…"),
        ("no team T0AAAAAAA among the services", "no team … among the services"),
        ("wrong key An0therS3cretPart", "wrong key …"),
        ("the services are not available", "the services are not available"),
        ("hooks.example is busy", "hooks.example is busy"),
    ],
)
def test_hides_the_parts_of_a_url(text, shown):
    assert without(hidden_parts([URL]), text) == shown


@pytest.mark.parametrize(
    "shown",
    [
        "/path/a b/É/run?sig=x&y=1'2",
        "/path/a%20b/%c3%89/run?sig=x&amp;y=1'2",
        "/path/a%20b/%C3%89/run?sig=x&amp;y=1&#x27;2",
        "/path/a%20b/%C3%89/run?sig=x&amp;y=1&#39;2",
        "/path/a b/É/run?sig=x&amp;y=1&#x27;2",
        r"/path/a b/\u00c9/run?sig=x&y=1'2",
        r"\/path\/a b\/\u00c9\/run?sig=x&y=1'2",
        "/path/a%20b/%c3%89/run?sig=x&y=1'2",
        "/path/a%20b/%c3%89/run%3fsig%3dx%26y%3d1%272",
        "%2fpath%2fa%20b%2f%c3%89%2frun%3fsig%3dx%26y%3d1%272",
        "%2Fpath%2Fa%20b%2F%C3%89%2Frun%3Fsig%3Dx%26y%3D1%272",
    ],
)
def test_hides_a_path_that_is_decoded_or_encoded(shown):
    parts = hidden_parts(["https://hooks.example/path/a%20b/%C3%89/run?sig=x&y=1'2"])
    assert without(parts, f"no {shown}!") == "no …!"


@pytest.mark.parametrize(("segment", "is_hidden"), [("S3cret-7", True), ("S3cret7", False), ("webhooks", False)])
def test_hides_a_segment_of_eight_characters_unless_it_is_a_word(segment, is_hidden):
    parts = hidden_parts([f"https://hooks.example/a/{segment}/b"])
    assert without(parts, f"wrong: {segment}") == ("wrong: …" if is_hidden else f"wrong: {segment}")


def test_hides_a_key():
    assert without(hidden_parts(["r0uting-key", ""]), "Invalid routing key r0uting-key") == "Invalid routing key …"


def test_hides_both_secrets_of_a_rotation():
    assert without(hidden_parts(["whsec_first whsec_second"]), "no whsec_second") == "no …"


@pytest.mark.parametrize(
    "secret", ["", "a", "https://hooks.example", "https://hooks.example/", "https://hooks.example/in"]
)
def test_hides_no_ordinary_words(secret):
    assert without(hidden_parts([secret]), "not in a/b") == "not in a/b"
