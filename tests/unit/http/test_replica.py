"""The rule of what reads where: by view, by method, and not for some seconds after a write."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import get_resolver, resolve

from logs import replica
from logs.http.replica import VIEWS, ReplicaMiddleware
from logs.models import WorkflowEvent
from logs.replica import Replica, ReplicaRouter


@pytest.fixture(autouse=True)
def with_replica(settings, monkeypatch):
    """A replica that is seven and a half seconds behind."""
    settings.REPLICA_MAX_LAG_SECONDS = 10
    monkeypatch.setattr(replica, "_measure", lambda: 7.5)
    monkeypatch.setattr(replica, "replica", Replica())
    yield
    replica.reset()


def respond(method="GET", path="/fetch-webhooks-logs", cookies=None, statuses=None):
    """Return the databases that a view reads, which reads the log once, and its response.

    `statuses` are those of its responses, by the database.
    """
    request = RequestFactory().generic(method, path)
    request.COOKIES |= cookies or {}
    read = []

    def view(request):
        request.resolver_match = resolve(path)
        middleware.process_view(request, None, (), {})
        read.append(ReplicaRouter().db_for_read(WorkflowEvent))
        return HttpResponse(status=(statuses or {}).get(read[-1], 200))

    middleware = ReplicaMiddleware(view)
    return read, middleware(request)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["/fetch-webhooks-logs", "/deliveries/", "/api/insights/jobs", "/feeds/t/cc.xml", "/admin/"]
)
def test_lists_figures_and_dashboards_read_the_replica_and_say_how_old_they_may_be(method, path):
    read, response = respond(method, path)
    assert read == ["replica"]
    assert response.headers["X-Data-Age"] == "8"
    assert not response.cookies


@pytest.mark.parametrize(
    "path",
    [
        "/fetch-webhooks-logs/an-id",
        "/deliveries/stream",
        "/deliveries/1",
        "/deliveries/1/body",
        "/log-circleci-webhook",
        "/admin/login/",
        "/admin/logs/apitoken/",
        "/admin/logs/channel/",
        "/admin/logs/delivery/1/change/",
        "/admin/logs/delivery/newer/",
        "/admin/logs/source/mute/",
    ],
)
def test_all_else_reads_the_primary(path):
    read, response = respond(path=path)
    assert read == ["default"]
    assert "X-Data-Age" not in response.headers


def test_a_request_that_may_write_reads_the_primary_and_so_do_the_next_ones(settings):
    settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_PATH = True, "/ci/"
    read, response = respond("POST", "/admin/logs/delivery/")
    assert read == ["default"]
    cookie = response.cookies["reads_primary"]
    assert cookie["max-age"] > settings.REPLICA_MAX_LAG_SECONDS
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "Lax", "/ci/")
    read, response = respond(cookies={"reads_primary": cookie.value})
    assert read == ["default"]
    assert "X-Data-Age" not in response.headers


def test_a_request_that_fails_on_the_replica_is_answered_from_the_primary():
    read, response = respond(statuses={"replica": 503})
    assert read == ["replica", "default"]
    assert response.status_code == 200
    assert "X-Data-Age" not in response.headers
    assert respond()[0] == ["default"]  # The replica is not used for a while.


def test_a_request_that_fails_on_the_primary_is_not_repeated():
    read, response = respond(path="/deliveries/1", statuses={"default": 503})
    assert (read, response.status_code) == (["default"], 503)


def test_every_view_of_the_table_exists():
    names = set()

    def collect(resolver, namespaces):
        for pattern in resolver.url_patterns:
            if hasattr(pattern, "url_patterns"):
                collect(pattern, [*namespaces, *filter(None, [pattern.namespace])])
            else:
                names.add(":".join([*namespaces, str(pattern.name)]))

    collect(get_resolver(), [])
    assert names >= VIEWS
