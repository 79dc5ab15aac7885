"""An ASGI request becomes the WSGI environment that Django reads, and a response becomes ASGI messages."""

import asyncio
from urllib.parse import quote_from_bytes

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse

from logs.http.asgi import encode_headers, environ_of, send_response


def scope_of(raw_path=b"/", headers=(), **changes):
    return {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "not read, because it has been decoded as UTF-8",
        "raw_path": raw_path,
        "query_string": b"",
        "http_version": "1.1",
        "client": ("203.0.113.7", 4711),
        "server": ("127.0.0.1", 8000),
        "headers": list(headers),
    } | changes


def environ(scope, content=b"", *, is_complete=True, prefix=""):
    return environ_of(scope, content, is_complete=is_complete, prefix=prefix)


def test_passes_on_what_the_server_says_about_a_request():
    scope = scope_of(b"/path", method="GET", query_string=b"a=%20b&c=\xff", scheme="https", http_version="1.0")
    found = environ(scope)
    assert {name: value for name, value in found.items() if name != "wsgi.input"} == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/path",
        "QUERY_STRING": "a=%20b&c=\xff",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "203.0.113.7",
        "wsgi.url_scheme": "https",
        "wsgi.input_terminated": True,
    }


@pytest.mark.parametrize(
    ("path", "within"),
    [
        (b"/ci/admin/", "/admin/"),
        (b"/admin/", "/admin/"),
        (b"/ci", "/"),
        (b"/ci/", "/"),
        (b"/", "/"),
        (b"/cix", "/cix"),
        (b"/ci/ci/", "/ci/"),
        (b"/%63i/admin/", "/admin/"),
    ],
)
def test_takes_paths_with_and_without_the_path_that_the_site_is_below(path, within):
    found = environ(scope_of(path), prefix="/ci")
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/ci", within)


@pytest.mark.parametrize("path", [b"/", b"/admin/", b"//admin", b"*"])
def test_leaves_paths_alone_at_the_root(path):
    found = environ(scope_of(path))
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("", path.decode())


@pytest.mark.parametrize(
    ("raw_path", "path"),
    [
        (b"/gr%C3%B6%C3%9Fe", "/größe"),
        ("/größe".encode(), "/größe"),
        (b"/%2e%2F%25%00", "/./%\x00"),
        (b"/%2525", "/%25"),
        (b"/100%", "/100%"),
        (b"/%zz", "/%zz"),
        (b"/a+b", "/a+b"),
    ],
)
def test_django_reads_the_path_that_the_client_has_sent(raw_path, path):
    assert WSGIRequest(environ(scope_of(raw_path))).path_info == path


def test_a_path_that_is_not_utf_8_keeps_its_bytes():
    path = bytes(range(1, 256))
    assert environ(scope_of(b"/" + quote_from_bytes(path).encode()))["PATH_INFO"] == "/" + path.decode("latin-1")


def test_headers_have_their_wsgi_names_and_repeated_ones_are_joined():
    headers = [
        (b"host", b"ci.example"),
        (b"x-forwarded-for", b"203.0.113.7"),
        (b"circleci-signature", b"v1=0a"),
        (b"x-forwarded-for", b"198.51.100.9"),
        (b"user-agent", b"\xfc"),
    ]
    found = environ(scope_of(headers=headers))
    assert {name: value for name, value in found.items() if name.startswith("HTTP_")} == {
        "HTTP_HOST": "ci.example",
        "HTTP_X_FORWARDED_FOR": "203.0.113.7,198.51.100.9",
        "HTTP_CIRCLECI_SIGNATURE": "v1=0a",
        "HTTP_USER_AGENT": "\xfc",
    }


def test_the_content_type_and_the_length_have_names_of_their_own():
    headers = [(b"content-type", b"application/json"), (b"content-length", b"5")]
    found = environ(scope_of(headers=headers), b"hello")
    assert (found["CONTENT_TYPE"], found["CONTENT_LENGTH"]) == ("application/json", "5")
    assert not [name for name in found if name.startswith("HTTP_")]
    assert WSGIRequest(found).body == b"hello"


def test_a_header_cannot_replace_a_variable():
    found = environ(scope_of(b"/", headers=[(b"path-info", b"/elsewhere"), (b"remote-addr", b"127.0.0.1")]))
    assert (found["PATH_INFO"], found["REMOTE_ADDR"]) == ("/", "203.0.113.7")


def test_a_body_in_chunks_has_no_length_but_an_end():
    found = environ(scope_of(headers=[(b"transfer-encoding", b"chunked")]), b"hello")
    assert (found.get("CONTENT_LENGTH"), found["wsgi.input_terminated"]) == (None, True)
    assert found["wsgi.input"].read(100) == b"hello"


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_reading_a_body_in_chunks_that_was_cut_fails(content):
    found = environ(scope_of(headers=[(b"transfer-encoding", b"chunked")]), content, is_complete=False)
    with pytest.raises(OSError, match="last chunk"):
        found["wsgi.input"].read(100)


def test_a_body_that_was_cut_is_shorter_than_its_length():
    found = environ(scope_of(headers=[(b"content-length", b"5")]), b"hel", is_complete=False)
    request = WSGIRequest(found)
    assert (request.META["CONTENT_LENGTH"], request.read(100)) == ("5", b"hel")


def test_a_client_on_a_unix_socket_has_no_address():
    found = environ(scope_of(client=None, server=None))
    assert (found["REMOTE_ADDR"], found["SERVER_NAME"], found["SERVER_PORT"]) == ("", "", "")


def test_a_server_on_a_unix_socket_has_no_port():
    assert environ(scope_of(server=("/run/webhooklog.sock", None)))["SERVER_NAME"] == "/run/webhooklog.sock"


def test_sends_a_response_with_its_length():
    sent = []

    async def send(message):
        sent.append(message)

    response = HttpResponse("größe", status=201, headers={"X-Request-ID": "\xfc"}, content_type="text/plain")
    asyncio.run(send_response(response, send))
    assert sent == [
        {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"x-request-id", b"\xfc"), (b"content-type", b"text/plain"), (b"content-length", b"7")],
        },
        {"type": "http.response.body", "body": "größe".encode()},
    ]


def test_repeated_headers_of_a_response_are_sent_each():
    headers = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    assert encode_headers(headers) == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
