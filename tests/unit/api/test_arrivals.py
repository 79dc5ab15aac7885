"""A request is read into an arrival: its bytes, its kept headers, its client."""

import io
from ipaddress import ip_network

import pytest
from django.http import UnreadablePostError
from django.test import RequestFactory

from logs.api.arrivals import arrival_without_body, client_address, read_body
from logs.exceptions import BodyTooLarge, BodyUnreadable


@pytest.mark.parametrize(
    ("trusted", "remote", "forwarded", "expected"),
    [
        ([], "192.0.2.1", None, "192.0.2.1"),
        # Nobody is trusted: the header is the client's own invention.
        ([], "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        (["10.0.0.0/8"], "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        # What the trusted proxy has written stands last; what stands before it may be forged.
        (["10.0.0.0/8"], "10.0.0.2", "198.51.100.7", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.2", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.2", "203.0.113.9, 198.51.100.7, 10.0.0.3", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.2", "10.0.0.4,10.0.0.3", "10.0.0.4"),
        (["10.0.0.0/8"], "10.0.0.2", None, "10.0.0.2"),
        (["10.0.0.0/8"], "10.0.0.2", "unknown", "10.0.0.2"),
        (["10.0.0.0/8"], "10.0.0.2", "198.51.100.7, <script>", "10.0.0.2"),
        (["::1"], "::1", "2001:db8::7", "2001:db8::7"),
        (["10.0.0.0/8"], "::ffff:10.0.0.2", "198.51.100.7", "198.51.100.7"),
        ([], "fe80::1%eth0", None, "fe80::1"),
        (["10.0.0.0/8"], "", "198.51.100.7", None),
    ],
)
def test_sees_the_client_through_trusted_proxies_only(settings, trusted, remote, forwarded, expected):
    settings.TRUSTED_PROXIES = [ip_network(network) for network in trusted]
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    request = RequestFactory().post("/", REMOTE_ADDR=remote, headers=headers)
    assert client_address(request) == expected


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


class BrokenStream:
    def read(self, size):
        raise UnreadablePostError("connection reset")


def test_says_when_the_body_breaks_off():
    with pytest.raises(BodyUnreadable, match="did not arrive whole"):
        read_body(chunked_request(BrokenStream()))


def test_notices_a_body_that_is_shorter_than_promised():
    environ = {"wsgi.input": io.BytesIO(b"12345"), "CONTENT_LENGTH": "6"}
    request = RequestFactory().generic("POST", "/", **environ)
    with pytest.raises(BodyUnreadable, match="5 of 6 bytes"):
        read_body(request)


def test_takes_its_time_in_utc():
    arrival = arrival_without_body(RequestFactory().post("/"), "payments")
    assert arrival.received_at.utcoffset().total_seconds() == 0
    assert arrival.webhook_slug == "payments"
