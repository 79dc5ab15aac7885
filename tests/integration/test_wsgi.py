"""The WSGI application itself, as a server calls it: the test client makes requests of its own and would hide these."""

import io

import pytest

from webhooklog.wsgi import application

pytestmark = pytest.mark.django_db(transaction=True)


def call(path, method="GET", body=b"", **environ):
    """Call the application as gunicorn does and return the status."""
    statuses = []
    chunks = application(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "testserver",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
        }
        | environ,
        lambda status, headers: statuses.append((int(status[:3]), dict(headers))),
    )
    body = b"".join(chunks)
    chunks.close()
    return (*statuses[0], body)


@pytest.mark.parametrize(
    "charset", ["charset*=bogus''x", "charset*=utf-8''%00", "charset=\x00", '=;=;"', "charset*0*=x"]
)
def test_answers_an_unreadable_content_type_with_415_and_not_500(webhook_secrets, charset):
    status, headers, body = call("/log-circleci-webhook", "POST", b"{}", CONTENT_TYPE=f"text/plain; {charset}")
    assert (status, headers["Content-Type"]) == (415, "application/json")
    assert b"unsupported_media_type" in body


def test_answers_an_unreadable_accept_header_with_json(webhook_secrets):
    status, headers, _ = call("/nowhere", HTTP_ACCEPT="text/html; a*=bogus''%41")
    assert (status, headers["Content-Type"]) == (404, "application/json")


@pytest.mark.parametrize("path", ["/fetch-webhooks-logs", "/fetch-webhooks-logs/x", "/admin/", "/"])
@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_AUTHORIZATION": "Basic YQBiOmM="},  # The user "a\0b".
        {"HTTP_COOKIE": 'sessionid="\\000aaaaaaaaaaaa"'},
        {"HTTP_COOKIE": "csrftoken=\x00; sessionid=\xff"},
    ],
)
def test_a_nul_in_credentials_is_no_error_of_the_server(path, headers):
    status, _, _ = call(path, **headers)
    assert status in (302, 400, 401)
