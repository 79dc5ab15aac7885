"""Which pages of other origins may read in a browser, and what."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from webhooklog.env import read_environment

pytestmark = pytest.mark.django_db

ORIGIN = "https://grafana.example.com"
LIST = "/fetch-webhooks-logs"
API = ["/api", "/api/schema", "/api/changes", "/api/standings"]
READABLE = [LIST, f"{LIST}/an-id", "/deliveries", "/deliveries/1", "/deliveries/1/body", *API]
CLOSED = [
    "/",
    "/admin/",
    "/admin/login/",
    "/healthz",
    "/log-circleci-webhook",
    "/log-circleci-webhook/my-circleci-webhook",
    "/deliveries/1/replay",
    "/deliveries/1/replay/",
    "/fetch-webhooks-logs-and-more",
]


@pytest.fixture
def allowed(settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]


def preflight(client, path, origin=ORIGIN, method="GET"):
    """Ask as a browser does before it sends a page's request with an Authorization header."""
    headers = {"origin": origin, "access-control-request-method": method}
    return client.options(path, headers=headers | {"access-control-request-headers": "authorization"})


def permissions_in(answer):
    return {
        name.lower().removeprefix("access-control-"): value
        for name, value in answer.headers.items()
        if name.lower().startswith("access-control-")
    }


@pytest.mark.parametrize("path", READABLE)
def test_a_page_of_an_allowed_origin_may_read(client, allowed, path):
    answer = preflight(client, path)
    assert answer.status_code == 200
    assert permissions_in(answer) == {
        "allow-origin": ORIGIN,
        "allow-methods": "GET, HEAD",
        "allow-headers": "accept, authorization, if-modified-since, if-none-match",
        "expose-headers": "Content-Disposition, ETag, Link, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset,"
        " Retry-After, X-Data-Age, X-Request-ID",
        "max-age": "86400",
    }


def test_the_answer_names_the_origin_and_what_it_may_see(reader, allowed):
    answer = reader.get(LIST, headers={"origin": ORIGIN})
    permissions = permissions_in(answer)
    assert (answer.status_code, permissions["allow-origin"]) == (200, ORIGIN)
    seen = set(permissions["expose-headers"].split(", "))
    assert {"ETag", "Link", "RateLimit-Remaining", "X-Request-ID"} <= seen & set(answer.headers)
    # Or a cache would hand one origin's permission, or its absence, to another.
    assert "origin" in answer.headers["Vary"].lower().split(", ")


@pytest.mark.parametrize("path", ["/deliveries", f"{LIST}/unknown", f"{LIST}?nosuch=1", f"{LIST}?format=nosuch"])
def test_errors_can_be_read_too(reader, allowed, path):
    answer = reader.get(path, headers={"origin": ORIGIN})
    assert answer.status_code >= 400
    assert permissions_in(answer)["allow-origin"] == ORIGIN


def test_a_throttled_answer_can_be_read_too(reader, allowed, settings):
    settings.API_REQUESTS_PER_MINUTE = 1
    reader.get(LIST)
    answer = reader.get(LIST, headers={"origin": ORIGIN})
    assert answer.status_code == 429
    assert permissions_in(answer)["allow-origin"] == ORIGIN


def test_asking_before_is_not_counted(client, allowed):
    assert "RateLimit-Limit" not in preflight(client, LIST).headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://grafana.example.com",
        "https://grafana.example.com:8443",
        "https://grafana.example.com.evil.example",
        "https://evil-grafana.example.com",
        "null",
        "https://[",
        "*",
    ],
)
def test_a_page_of_any_other_origin_may_not(client, reader, allowed, origin):
    assert permissions_in(preflight(client, LIST, origin)) == {}
    assert permissions_in(reader.get(LIST, headers={"origin": origin})) == {}


def test_nobodys_pages_may_where_nothing_is_set(client, reader, settings):
    assert settings.CORS_ALLOWED_ORIGINS == []
    assert permissions_in(preflight(client, LIST)) == {}
    assert permissions_in(reader.get(LIST, headers={"origin": ORIGIN})) == {}


@pytest.mark.parametrize("path", CLOSED)
def test_only_what_readers_read_is_open(admin_client, allowed, path):
    assert permissions_in(preflight(admin_client, path)) == {}
    for send in (admin_client.get, admin_client.post):
        assert permissions_in(send(path, headers={"origin": ORIGIN})) == {}


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_replaying_is_not_open(client, allowed, method):
    # A browser sends a POST that was asked for at an open address even if only GET is allowed there.
    assert permissions_in(preflight(client, "/deliveries/1/replay", method=method)) == {}


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", []),
        (" https://a.example , http://localhost:3000,", ["https://a.example", "http://localhost:3000"]),
        ("http://192.0.2.1:8080", ["http://192.0.2.1:8080"]),
    ],
)
def test_origins_come_from_the_environment(monkeypatch, value, origins):
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", value)
    assert read_environment().cors_allowed_origins == origins


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "null",
        "grafana.example.com",
        "https://grafana.example.com/",
        "https://grafana.example.com/path",
        "https://grafana.example.com?query",
        "https://*.example.com",
        "https://Grafana.example.com",
        "https://grafana.example.com:443",
        "http://grafana.example.com:80",
        "https://user@grafana.example.com",
        "https://grafana.example.com https://a.example",
        "https://a.example,ftp://b.example",
        "https://",
        "https://[",
        "file://",
    ],
)
def test_a_malformed_origin_ends_the_start(monkeypatch, value):
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", value)
    with pytest.raises(ImproperlyConfigured, match=r"CORS_ALLOWED_ORIGINS: .* is not an origin") as raised:
        read_environment()
    assert "https://grafana.example.com." in str(raised.value)
