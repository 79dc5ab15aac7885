"""A request is read into an arrival: its bytes and its kept headers."""

import io

import pytest
from django.http import UnreadablePostError
from django.test import RequestFactory

from logs.api.receiving import arrival_of, read_body
from logs.exceptions import BodyTooLarge, BodyUnreadable


def chunked_request(stream, *, input_terminated=True):
    request = RequestFactory().generic("POST", "/", headers={"transfer-encoding": "chunked"})
    request.META |= {"wsgi.input": stream, "wsgi.input_terminated": input_terminated}
    return request


def test_reads_a_chunked_body_where_the_server_ends_it():
    assert read_body(chunked_request(io.BytesIO(b"chunks"))) == b"chunks"


def test_does_not_read_past_the_request_where_the_server_does_not_end_it():
    request = chunked_request(io.BytesIO(b"the next request"), input_terminated=False)
    assert read_body(request) == b""


def test_limits_a_chunked_body_too(settings):
    settings.MAX_BODY_BYTES = 5
    assert read_body(chunked_request(io.BytesIO(b"12345"))) == b"12345"
    with pytest.raises(BodyTooLarge, match="5 bytes; see MAX_BODY_BYTES"):
        read_body(chunked_request(io.BytesIO(b"123456")))


def test_reads_no_more_of_a_body_than_shows_that_it_is_too_large(settings):
    settings.MAX_BODY_BYTES = 5
    with pytest.raises(BodyTooLarge):
        read_body(chunked_request(stream := io.BytesIO(b"x" * 1_000)))
    assert stream.tell() == 6


class BrokenStream:
    def read(self, size):
        raise UnreadablePostError("connection reset")


def test_says_when_the_body_breaks_off():
    with pytest.raises(BodyUnreadable, match="body is incomplete"):
        read_body(chunked_request(BrokenStream()))


def test_notices_a_body_that_is_shorter_than_promised():
    environ = {"wsgi.input": io.BytesIO(b"12345"), "CONTENT_LENGTH": "6"}
    request = RequestFactory().generic("POST", "/", **environ)
    with pytest.raises(BodyUnreadable, match="5 of 6 bytes"):
        read_body(request)


def test_keeps_no_nul_which_postgresql_refuses():
    arrival = arrival_of(RequestFactory().post("/", headers={"user-agent": "a\0b"}), None)
    assert arrival.headers["user-agent"] == "a\ufffdb"


def test_takes_its_time_in_utc():
    arrival = arrival_of(RequestFactory().post("/"), "payments")
    assert arrival.received_at.utcoffset().total_seconds() == 0
    assert arrival.webhook_slug == "payments"
