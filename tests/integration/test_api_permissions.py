"""Who may do what by REST: every endpoint, with every set of permissions, by every kind of credentials."""

import base64
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.test import Client

from logs.api.urls import urlpatterns
from logs.api.views.base import ReadingView
from logs.circleci.samples import encode
from logs.models import ApiToken, Attempt, Delivery, WorkflowEvent

pytestmark = pytest.mark.django_db

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
PASSWORD = "a good password"

# What each endpoint needs; what of an event's fields needs more; and what each holder of permissions is answered.
# fmt: off
HOLDERS = {
    "nobody":            [],
    "reader":            ["view_workflowevent"],
    "deliveries reader": ["view_workflowevent", "view_delivery"],
    "body reader":       ["view_workflowevent", "view_delivery", "view_delivery_body"],
    "operator":          ["view_workflowevent", "view_delivery", "view_delivery_body", "replay_delivery"],
}
NEEDED = {
    "GET /fetch-webhooks-logs":                         ["logs.view_workflowevent"],
    "GET /fetch-webhooks-logs/<event id>":              ["logs.view_workflowevent"],
    "GET /fetch-webhooks-logs/<event id>: `deliveries`": ["logs.view_workflowevent", "logs.view_delivery"],
    "GET /fetch-webhooks-logs/<event id>: `payload`":   ["logs.view_workflowevent", "logs.view_delivery_body"],
    "GET /deliveries":                                  ["logs.view_delivery"],
    "GET /deliveries/stream":                           ["logs.view_delivery", "logs.view_delivery_body"],
    "GET /deliveries/<id>":                             ["logs.view_delivery"],
    "GET /deliveries/<id>/body":                        ["logs.view_delivery", "logs.view_delivery_body"],
    "POST /deliveries/<id>/replay":                     ["logs.view_delivery", "logs.replay_delivery"],
    "GET /api/changes":                                 ["logs.view_workflowevent"],
    "GET /api/standings":                               ["logs.view_workflowevent"],
    "GET /cc.xml":                                      ["logs.view_workflowevent"],
    "GET /api/insights/workflows":                       ["logs.view_workflowevent"],
    "GET /api/insights/jobs":                            ["logs.view_workflowevent"],
    "GET /api/insights/timeseries":                      ["logs.view_workflowevent"],
    "GET /api/insights/recoveries":                      ["logs.view_workflowevent"],
    "GET /api/insights/flaky-jobs":                      ["logs.view_workflowevent"],
    "GET /api/insights/pipelines/<pipeline id>":         ["logs.view_workflowevent"],
}
STATUSES = {
    #                                      nobody reader deliveries body operator
    "GET /fetch-webhooks-logs":            [403,  200,   200,       200, 200],
    "GET /fetch-webhooks-logs/<event id>": [403,  200,   200,       200, 200],
    "GET /deliveries":                     [403,  403,   200,       200, 200],
    "GET /deliveries/stream":              [403,  403,   403,       200, 200],
    "GET /deliveries/<id>":                [403,  403,   200,       200, 200],
    "GET /deliveries/<id>/body":           [403,  403,   403,       200, 200],
    "POST /deliveries/<id>/replay":        [403,  403,   403,       403, 200],
    "GET /api/changes":                    [403,  200,   200,       200, 200],
    "GET /api/standings":                  [403,  200,   200,       200, 200],
    "GET /cc.xml":                         [403,  200,   200,       200, 200],
    "GET /api/insights/workflows":          [403,  200,   200,       200, 200],
    "GET /api/insights/jobs":               [403,  200,   200,       200, 200],
    "GET /api/insights/timeseries":         [403,  200,   200,       200, 200],
    "GET /api/insights/recoveries":         [403,  200,   200,       200, 200],
    "GET /api/insights/flaky-jobs":         [403,  200,   200,       200, 200],
    "GET /api/insights/pipelines/<pipeline id>":[403,  200,   200,       200, 200],
}
# fmt: on
CELLS = [
    (endpoint, holder, status)
    for endpoint, statuses in STATUSES.items()
    for holder, status in zip(HOLDERS, statuses, strict=True)
]


def by_session(user):
    client = Client()
    client.force_login(user)
    return client


def by_password(user):
    user.set_password(PASSWORD)
    user.save()
    credentials = base64.b64encode(f"{user.get_username()}:{PASSWORD}".encode()).decode()
    return Client(headers={"authorization": f"Basic {credentials}"})


def by_token(user, lifetime=timedelta(days=1)):
    _, key = ApiToken.issue(user, name="a test's", lifetime=lifetime)
    return Client(headers={"authorization": f"Bearer {key}"})


def by_revoked_token(user):
    client = by_token(user)
    ApiToken.objects.all().delete()
    return client


def by_expired_token(user):
    return by_token(user, lifetime=timedelta(seconds=-1))


@pytest.fixture
def logged(deliver, workflow_document):
    """An event and the delivery that told of it."""
    assert deliver(encode(workflow_document())).status_code == 201
    return Delivery.objects.select_related("event").get()


@pytest.fixture
def ask(logged):
    """Call an endpoint of the table."""

    def send(client, endpoint):
        method, path = endpoint.split(" ", 1)
        workflow = urlencode({"project": logged.event.project_slug, "workflow": logged.event.workflow})
        path = (
            path.replace("<event id>", logged.event.event_id)
            .replace("<id>", str(logged.pk))
            .replace("<pipeline id>", logged.event.pipeline_id)
            .replace("/stream", "/stream?wait=0")
            .replace("/jobs", f"/jobs?{workflow}")
            .replace("/timeseries", f"/timeseries?{workflow}")
        )
        return client.generic(method, path)

    return send


@pytest.mark.parametrize("credentials", [by_session, by_password, by_token])
@pytest.mark.parametrize(("endpoint", "holder", "status"), CELLS)
def test_a_permission_opens_what_the_table_says(user_with, ask, credentials, endpoint, holder, status):
    answer = ask(credentials(user_with(*HOLDERS[holder], username="somebody")), endpoint)
    assert answer.status_code == status
    assert "WWW-Authenticate" not in answer.headers
    assert Attempt.objects.exists() == (status == 200 and endpoint.startswith("POST"))
    if status == 403:
        missing = next(each for each in NEEDED[endpoint] if each.removeprefix("logs.") not in HOLDERS[holder])
        assert answer.json() == {
            "detail": f"This needs the permission {missing}; an administrator can grant it to somebody.",
            "code": "permission_denied",
        }


@pytest.mark.parametrize("endpoint", STATUSES)
@pytest.mark.parametrize("credentials", [None, by_revoked_token, by_expired_token])
def test_who_proves_nothing_is_asked_to_authenticate(user_with, ask, credentials, endpoint):
    operator = user_with(*HOLDERS["operator"])
    answer = ask(credentials(operator) if credentials else Client(), endpoint)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"]
    assert list(answer.json()) == ["detail", "code"]
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("endpoint", STATUSES)
@pytest.mark.parametrize("credentials", [by_session, by_password, by_token])
def test_an_inactive_user_is_as_good_as_nobody(user_with, ask, credentials, endpoint):
    user = user_with(*HOLDERS["operator"])
    client = credentials(user)
    user.is_active = False
    user.save()
    assert ask(client, endpoint).status_code == 401


@pytest.mark.parametrize("field", ["deliveries", "payload"])
@pytest.mark.parametrize("holder", HOLDERS)
def test_what_a_user_may_not_see_of_an_event_is_null(user_with, ask, logged, field, holder):
    answer = ask(by_session(user_with(*HOLDERS[holder])), "GET /fetch-webhooks-logs/<event id>")
    held = {f"logs.{codename}" for codename in HOLDERS[holder]}
    is_shown = set(NEEDED[f"GET /fetch-webhooks-logs/<event id>: `{field}`"]) <= held
    assert (answer.json().get(field) is not None) == is_shown


@pytest.mark.parametrize("endpoint", STATUSES)
@pytest.mark.parametrize("is_signed_in", [False, True])
def test_public_reading_opens_events_but_neither_payloads_nor_deliveries(
    settings, user_with, ask, endpoint, is_signed_in
):
    settings.PUBLIC_READ = True
    answer = ask(by_session(user_with()) if is_signed_in else Client(), endpoint)
    if NEEDED[endpoint] == ["logs.view_workflowevent"]:
        assert answer.status_code == 200
        assert not {"email", "body", "circleci-signature"} & set(re.findall(r'"([\w-]+)":', answer.content.decode()))
    else:
        assert answer.status_code == (403 if is_signed_in else 401)
    if "<event id>" in endpoint:
        assert (answer.json()["payload"], answer.json()["deliveries"]) == (None, None)


@pytest.mark.parametrize("endpoint", STATUSES)
def test_a_superuser_may_do_everything(django_user_model, ask, endpoint):
    assert ask(by_session(django_user_model.objects.create_superuser("admin")), endpoint).status_code == 200


def test_a_permission_that_was_taken_away_closes_at_once(user_with, ask):
    user = user_with("view_workflowevent")
    client = by_session(user)
    assert ask(client, "GET /fetch-webhooks-logs").status_code == 200
    user.user_permissions.clear()
    assert ask(client, "GET /fetch-webhooks-logs").status_code == 403


def test_a_refusal_tells_nothing_of_what_there_is(user_with, ask, logged):
    client = by_session(user_with())
    there = client.get(f"/fetch-webhooks-logs/{logged.event.event_id}")
    logged.delete()
    WorkflowEvent.objects.all().delete()
    gone = client.get(f"/fetch-webhooks-logs/{logged.event.event_id}")
    assert (there.status_code, there.json()) == (gone.status_code, gone.json())
    assert client.get("/fetch-webhooks-logs?limit=0").status_code == 403


def test_the_table_holds_every_endpoint_for_readers():
    ours = {pattern.name for pattern in urlpatterns if issubclass(pattern.callback.view_class, ReadingView)}
    assert len(ours) == len(STATUSES)
    assert set(STATUSES) <= set(NEEDED)


def test_the_documentation_holds_the_table():
    section = DOCS.read_text(encoding="utf-8").partition("## Permissions\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `((?:GET|POST) [^`]+)`(, its `\w+`)? \| ([^|]+) \|$", section, re.MULTILINE)
    documented = {
        endpoint + field.replace(", its ", ": "): re.findall(r"`(logs\.\w+)`", permissions)
        for endpoint, field, permissions in rows
    }
    assert documented == NEEDED
