"""Each refusal has a status in HTTP and an outcome in the log."""

from logs.api.errors import http_error
from logs.exceptions import BodyTooLarge, BodyUnreadable, WebhookLogError
from logs.ingest.answers import REFUSALS


def test_every_refusal_has_a_status_and_an_outcome():
    assert set(WebhookLogError.__subclasses__()) == set(REFUSALS)


def test_the_words_and_the_code_reach_the_client():
    error = http_error(BodyTooLarge("too long"))
    assert (error.status_code, str(error.detail), error.get_codes()) == (413, "too long", "body_too_large")
    assert http_error(BodyUnreadable("cut")).status_code == 400
