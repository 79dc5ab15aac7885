"""Which requests may be answered with a stream: those whose client would notice that it broke off."""

import pytest
from django.test import RequestFactory

from logs.api.errors import HTTPVersionTooOld, ServerEndsBrokenStreams
from logs.api.framing import require_visible_end


def request(**meta):
    return RequestFactory().get("/", **meta)


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"SERVER_PROTOCOL": "HTTP/1.1", "SERVER_SOFTWARE": "gunicorn/27.0.1"},
        {"SERVER_PROTOCOL": "HTTP/2"},
        {"HTTP_VIA": ", HTTP/1.1 nginx"},
        {"HTTP_VIA": "2.0 Caddy"},
        {"HTTP_VIA": "1.1 edge (proxy 1.0), HTTP/3.0 nginx"},
        {"HTTP_VIA": ""},
        {"HTTP_VIA": " , ,"},
    ],
)
def test_streams_where_a_broken_connection_is_seen(meta):
    require_visible_end(request(**meta))


@pytest.mark.parametrize(
    "meta",
    [
        {"SERVER_PROTOCOL": "HTTP/1.0"},
        {"SERVER_PROTOCOL": "HTTP/0.9"},
        {"HTTP_VIA": "1.0 fred"},
        {"HTTP_VIA": "1.0 Caddy, 1.1 edge"},
        {"HTTP_VIA": "1.1 edge, HTTP/1.0 nginx"},
        {"HTTP_VIA": "1.1 edge,http/1.0 nginx"},
    ],
)
def test_rejects_every_hop_over_http_1_0(meta):
    with pytest.raises(HTTPVersionTooOld):
        require_visible_end(request(**meta))


def test_rejects_a_server_that_ends_a_broken_stream_like_a_complete_one():
    with pytest.raises(ServerEndsBrokenStreams):
        require_visible_end(request(SERVER_SOFTWARE="Granian"))
