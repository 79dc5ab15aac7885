"""Each refusal has a meaning in HTTP and an outcome in the log."""

from logs.api.errors import MEANINGS, http_error
from logs.exceptions import BodyTooLarge, BodyUnreadable, WebhookLogError
from logs.ingest.pipeline import OUTCOMES


def test_every_refusal_has_a_meaning_and_an_outcome():
    refusals = set(WebhookLogError.__subclasses__())
    assert refusals == set(MEANINGS) == set(OUTCOMES)


def test_the_words_and_the_code_reach_the_client():
    error = http_error(BodyTooLarge("too long"))
    assert (error.status_code, str(error.detail), error.get_codes()) == (413, "too long", "body_too_large")
    assert http_error(BodyUnreadable("cut")).status_code == 400
