"""A webhook that is sent to another path than the receiving endpoint's gets an answer that names the right one."""

import json

import pytest

from logs.models import Delivery

pytestmark = pytest.mark.django_db

BROWSER = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
PATHS = ["/", "/admin", "/admin/", "/admin/login/", "/admin/nowhere", "/admin/logs/delivery/", "/nowhere", "/webhook/"]
PATHS += ["/log-circleci-webhooks", "/log-circleci-webhook/a/b", "/%00", "/static/nowhere.css", "/healthz", "/readyz"]


def assert_names_the_endpoint(answer):
    assert answer.status_code in (404, 405), answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert "/log-circleci-webhook on this site" in answer.json()["detail"]


@pytest.mark.parametrize("accept", ["*/*", BROWSER["accept"]])
@pytest.mark.parametrize("path", [*PATHS, "/fetch-webhooks-logs", "/deliveries/1/replay", "/api/docs"])
def test_a_signed_webhook_is_told_the_right_url(deliver, csrf_client, workflow_document, caplog, path, accept):
    answer = deliver(workflow_document(), path=path, headers={"accept": accept})
    assert_names_the_endpoint(answer)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert f"a webhook arrived at {answer.wsgi_request.path!r} on testserver" in caplog.text
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("path", PATHS)
def test_an_unsigned_webhook_is_told_the_right_url(csrf_client, workflow_document, path):
    body = json.dumps(workflow_document())
    assert_names_the_endpoint(csrf_client.post(path, body, content_type="application/json"))


@pytest.mark.parametrize("headers", [{}, BROWSER])
@pytest.mark.parametrize("path", ["/", "/admin", "/nowhere"])
def test_any_other_post_is_told_the_right_url(csrf_client, path, headers):
    assert_names_the_endpoint(csrf_client.post(path, b"\xff", content_type="text/plain", headers=headers))


def test_a_webhook_for_a_host_that_is_not_allowed_names_the_setting(deliver, workflow_document):
    answer = deliver(workflow_document(), path="/", headers={"host": "elsewhere.example.org"})
    assert (answer.status_code, answer.json()["code"]) == (400, "disallowed_host")


def test_a_post_over_http_is_answered_before_it_is_redirected(deliver, workflow_document, settings):
    settings.SECURE_SSL_REDIRECT = True
    assert_names_the_endpoint(deliver(workflow_document(), path="/"))


@pytest.mark.parametrize("path", ["/", "/admin"])
@pytest.mark.parametrize("method", ["get", "head"])
def test_people_are_led_to_the_admin(client, method, path):
    answer = getattr(client, method)(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_the_root_names_the_methods_that_it_takes(csrf_client, method):
    answer = getattr(csrf_client, method)("/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
