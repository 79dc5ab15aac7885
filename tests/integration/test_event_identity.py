"""An event's id, and its project's, belong to one project: webhooks for other projects cannot take them."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from logs.ingest import pipeline
from logs.ingest.replay import replay
from logs.models import Delivery, Outcome, WorkflowEvent

pytestmark = pytest.mark.django_db

ORCHARD = "secret-of-the-orchard-webhook"
PAYMENTS = "secret-of-the-payments-webhook"
BOUND = {"secrets": [PAYMENTS], "projects": ["github/acme/payments"]}
CONFIGURATIONS = {
    "one webhook is bound": {"orchard": ORCHARD, "payments": BOUND},
    "both webhooks are bound": {
        "orchard": {"secrets": [ORCHARD], "projects": ["github/acme/orchard"]},
        "payments": BOUND,
    },
}


@pytest.fixture(params=CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def configured(settings, webhook_secrets, request):
    settings.CIRCLECI_WEBHOOK_SECRETS = request.param


@pytest.fixture
def genuine(workflow_document):
    """An event of orchard's."""
    return workflow_document(1, project="orchard", status="failed")


@pytest.fixture
def forged(workflow_document, genuine):
    """An event that its sender may send, but for the id, which is orchard's; it claims a later time."""
    document = workflow_document(2, project="payments", status="success")
    return document | {"id": genuine["id"], "happened_at": "2026-11-01T00:00:00Z"}


def newer(document):
    return document | {"happened_at": "2026-11-02T00:00:00Z", "workflow": document["workflow"] | {"status": "success"}}


def shown(project):
    """Return the events that a reader of a project sees."""
    return WorkflowEvent.objects.filter(project_slug=f"github/acme/{project}")


@pytest.mark.usefixtures("configured")
def test_a_bound_webhook_cannot_overwrite_another_projects_event(deliver, genuine, forged):
    assert deliver(genuine, secret=ORCHARD).status_code == 201
    assert deliver(forged, secret=PAYMENTS).json().get("outcome") != "updated"
    assert [(row.event_id, row.status) for row in shown("orchard")] == [(genuine["id"], "failed")]


@pytest.mark.usefixtures("configured")
def test_a_bound_webhook_cannot_keep_out_a_newer_version_of_another_projects_event(deliver, genuine, forged):
    deliver(genuine, secret=ORCHARD)
    deliver(forged | {"happened_at": "9998-01-01T00:00:00Z"}, secret=PAYMENTS)
    assert deliver(newer(genuine), secret=ORCHARD).json()["outcome"] == "updated"
    assert [(row.event_id, row.status) for row in shown("orchard")] == [(genuine["id"], "success")]


@pytest.mark.usefixtures("configured")
def test_an_id_claimed_before_the_genuine_event_arrives_does_not_keep_it_out(deliver, genuine, forged):
    assert deliver(forged | {"happened_at": "9998-01-01T00:00:00Z"}, secret=PAYMENTS).status_code == 201
    assert deliver(genuine, secret=ORCHARD).status_code in (200, 201)
    assert [row.status for row in shown("orchard")] == ["failed"]
    deliver(forged, secret=PAYMENTS)
    assert deliver(newer(genuine), secret=ORCHARD).json()["outcome"] == "updated"
    assert deliver(genuine, secret=ORCHARD).json()["outcome"] == "duplicate"
    assert [row.status for row in shown("orchard")] == ["success"]


def test_a_webhook_that_may_send_both_projects_replaces_a_claim_and_refuses_the_next(
    deliver, genuine, forged, settings
):
    settings.CIRCLECI_WEBHOOK_SECRETS = CONFIGURATIONS["one webhook is bound"]
    deliver(forged | {"happened_at": "9998-01-01T00:00:00Z"}, secret=PAYMENTS)
    assert deliver(genuine, secret=ORCHARD).json() | {"message": ""} == {
        "message": "",
        "id": genuine["id"],
        "outcome": "updated",
    }
    assert WorkflowEvent.objects.get().project == "orchard"
    answer = deliver(forged, secret=PAYMENTS)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_project")
    assert answer.json()["detail"] == (
        "webhook payments may not send events of the project 'github/acme/orchard', which has this event id"
    )
    delivery = Delivery.objects.newest_first()[0]
    assert (delivery.outcome, delivery.webhook, delivery.verified) == (Outcome.FORBIDDEN, "payments", True)
    assert delivery.reason == answer.json()["detail"]


def test_where_nothing_proves_whose_id_it_is_each_project_has_an_event_of_its_own(deliver, genuine, forged, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = CONFIGURATIONS["both webhooks are bound"]
    deliver(forged, secret=PAYMENTS)
    first, again, newest = (deliver(document, secret=ORCHARD) for document in (genuine, genuine, newer(genuine)))
    assert [answer.json()["outcome"] for answer in (first, again, newest)] == ["logged", "duplicate", "updated"]
    (event,) = shown("orchard")
    assert first.json()["id"] == event.event_id
    assert event.event_id.startswith(f"{genuine['id']}~")
    assert shown("payments").get().event_id == genuine["id"]
    reasons = Delivery.objects.filter(event=event).order_by("pk").values_list("reason", flat=True)
    assert reasons[0] == "logged under an id of its own: 'github/acme/payments' has this one"


def test_a_replay_reads_the_columns_of_an_event_with_an_id_of_its_own_anew(deliver, genuine, forged, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = CONFIGURATIONS["both webhooks are bound"]
    deliver(forged, secret=PAYMENTS)
    deliver(genuine, secret=ORCHARD)
    shown("orchard").update(branch="")
    assert replay(shown("orchard").get().deliveries.get().pk, actor="ops").verdict.outcome == Outcome.UPDATED
    assert shown("orchard").get().branch == genuine["pipeline"]["vcs"]["branch"]


def test_an_id_of_its_own_fits_the_column_and_cannot_be_computed_by_others(deliver, genuine, forged, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = CONFIGURATIONS["both webhooks are bound"]
    long = {"id": "x" * 200}
    deliver(forged | long, secret=PAYMENTS)
    first = deliver(genuine | long, secret=ORCHARD).json()["id"]
    assert len(first) == 200
    settings.SECRET_KEY = "another-key"
    assert deliver(genuine | long, secret=ORCHARD).json()["id"] != first


def test_a_stranger_at_an_unsigned_webhook_neither_replaces_nor_keeps_out_a_signed_event(
    deliver, genuine, forged, settings
):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": BOUND, "lab": None}
    lab = {"path": "/log-circleci-webhook/lab", "secret": None}
    paid = forged | {"id": "of-payments"}
    deliver(genuine | {"id": "of-payments", "happened_at": "9998-01-01T00:00:00Z"}, **lab)
    assert deliver(paid, secret=PAYMENTS).status_code in (200, 201)
    deliver(genuine | {"id": "of-payments", "happened_at": "9998-01-01T00:00:00Z"}, **lab)
    deliver(newer(paid), secret=PAYMENTS)
    event = shown("payments").get()
    assert (event.verified, event.happened_at.isoformat()) == (True, "2026-11-02T00:00:00+00:00")


def test_a_signed_webhook_for_another_project_does_not_replace_an_unsigned_event(deliver, genuine, forged, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": BOUND, "lab": None}
    deliver(genuine, path="/log-circleci-webhook/lab", secret=None)
    deliver(forged, secret=PAYMENTS)
    assert [(row.event_id, row.status) for row in shown("orchard")] == [(genuine["id"], "failed")]


def test_a_renamed_project_stays_one_event(deliver, genuine, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"orchard": {"secrets": [ORCHARD], "projects": ["github/acme/*"]}}
    deliver(genuine, secret=ORCHARD)
    renamed = newer(genuine) | {"project": genuine["project"] | {"slug": "github/acme/grove"}}
    assert deliver(renamed, secret=ORCHARD).json()["outcome"] == "updated"
    assert deliver(genuine, secret=ORCHARD).json()["outcome"] == "duplicate"
    assert WorkflowEvent.objects.get().project_slug == "github/acme/grove"


def test_an_event_whose_owner_is_no_longer_known_is_still_another_projects(deliver, genuine, forged, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = CONFIGURATIONS["both webhooks are bound"]
    deliver(genuine, secret=ORCHARD)
    Delivery.objects.all().delete()
    assert deliver(forged, secret=PAYMENTS).json()["outcome"] == "logged"
    assert shown("payments").get().event_id.startswith(f"{genuine['id']}~")
    assert [(row.event_id, row.status) for row in shown("orchard")] == [(genuine["id"], "failed")]


def test_a_replay_keeps_to_the_same_rules(deliver, genuine, forged, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": BOUND}
    deliver(forged, secret=PAYMENTS)
    claim = Delivery.objects.get()
    settings.CIRCLECI_WEBHOOK_SECRETS = CONFIGURATIONS["one webhook is bound"]
    deliver(genuine, secret=ORCHARD)
    assert replay(claim.pk, actor="ops").verdict.outcome == Outcome.FORBIDDEN
    assert WorkflowEvent.objects.get().project == "orchard"


@pytest.mark.usefixtures("configured")
def test_a_bound_webhook_cannot_use_another_projects_id(deliver, workflow_document, genuine):
    deliver(genuine, secret=ORCHARD)
    document = workflow_document(2, project="payments")
    document["project"]["id"] = genuine["project"]["id"]
    answer = deliver(document, secret=PAYMENTS)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_project")
    assert answer.json()["detail"] == (
        f"webhook payments may not send events of the project 'github/acme/orchard', which has the id "
        f"{genuine['project']['id']!r}; if the project was renamed, add that slug to the webhook's projects in "
        "CIRCLECI_WEBHOOK_SECRETS"
    )
    assert not shown("payments").exists()
    assert Delivery.objects.newest_first()[0].outcome == Outcome.FORBIDDEN


def test_a_new_event_of_a_bound_webhook_takes_no_second_transaction(deliver, workflow_document, settings, monkeypatch):
    settings.CIRCLECI_WEBHOOK_SECRETS = CONFIGURATIONS["one webhook is bound"]
    monkeypatch.setattr(pipeline, "log_event", lambda *_: pytest.fail("a second transaction"))
    documents = [workflow_document(seed, project="payments") for seed in range(3)]
    for document in documents[1:]:
        document["project"]["id"] = documents[1]["project"]["id"]
    assert [deliver(document, secret=PAYMENTS).status_code for document in documents] == [201] * 3


def test_a_version_cannot_take_another_projects_id_later(deliver, workflow_document, genuine, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = CONFIGURATIONS["both webhooks are bound"]
    document = workflow_document(2, project="payments")
    deliver(genuine, secret=ORCHARD)
    assert deliver(document, secret=PAYMENTS).status_code == 201
    taken = newer(document) | {"project": document["project"] | {"id": genuine["project"]["id"]}}
    assert deliver(taken, secret=PAYMENTS).status_code == 403
    assert shown("payments").get().project_id == document["project"]["id"]


def test_a_project_renamed_within_its_webhooks_patterns_keeps_its_id(deliver, workflow_document, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"orchard": {"secrets": [ORCHARD], "projects": ["github/acme/*"]}}
    documents = [workflow_document(seed, project=project) for seed, project in enumerate(["orchard", "grove", "grove"])]
    for document in documents:
        document["project"]["id"] = documents[0]["project"]["id"]
    assert [deliver(document, secret=ORCHARD).status_code for document in documents] == [201] * 3


def test_a_stranger_at_an_unsigned_webhook_cannot_claim_a_project_id(deliver, workflow_document, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": BOUND, "lab": None}
    document, strange = workflow_document(1, project="payments"), workflow_document(2, project="orchard")
    strange["project"]["id"] = document["project"]["id"]
    assert deliver(strange, path="/log-circleci-webhook/lab", secret=None).status_code == 201
    assert deliver(document, secret=PAYMENTS).status_code == 201
    assert deliver(strange | {"id": "another"}, path="/log-circleci-webhook/lab", secret=None).status_code == 201
    assert deliver(newer(document), secret=PAYMENTS).json()["outcome"] == "updated"


def test_an_event_without_a_slug_claims_no_project_id(deliver, workflow_document, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = CONFIGURATIONS["one webhook is bound"]
    first, nameless, second = (workflow_document(seed, project="payments") for seed in range(3))
    nameless["project"] = {"id": first["project"]["id"]}
    second["project"]["id"] = first["project"]["id"]
    assert deliver(nameless, secret=ORCHARD).status_code == 201
    assert deliver(first, secret=PAYMENTS).status_code == 201
    assert deliver(nameless | {"id": "another"}, secret=ORCHARD).status_code == 201
    assert deliver(newer(first), secret=PAYMENTS).json()["outcome"] == "updated"
    assert deliver(second, secret=PAYMENTS).status_code == 201


def test_another_projects_event_does_not_appear_in_a_run_by_claiming_its_pipeline(deliver, workflow_document, genuine):
    deliver(genuine)
    claim = workflow_document(2, project="payments")
    claim["pipeline"]["id"] = genuine["pipeline"]["id"]
    deliver(claim)
    assert not list(shown("orchard").get().of_same_pipeline())


@pytest.mark.parametrize("column", ["happened_at", "stopped_at"])
def test_a_time_in_the_far_future_counts_as_a_day_after_its_arrival(deliver, genuine, column):
    def version(time, status):
        workflow = genuine["workflow"] | {"stopped_at": time, "status": status}
        return genuine | ({"happened_at": time} if column == "happened_at" else {}) | {"workflow": workflow}

    start = datetime(2026, 8, 20, 10, 0, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as clock:
        deliver(version("9998-12-31T00:00:00Z", "failed"))
        assert deliver(version("9998-12-31T00:00:00Z", "failed")).json()["outcome"] == "duplicate"
        clock.shift(timedelta(hours=23))
        for time in ("2026-08-21T09:00:00Z", "2026-08-21T10:00:00Z"):
            assert deliver(version(time, "success")).json()["outcome"] == "duplicate"
        clock.shift(timedelta(hours=2))
        assert deliver(version("2026-08-21T11:00:00Z", "success")).json()["outcome"] == "updated"
    assert WorkflowEvent.objects.get().status == "success"
    bodies = [bytes(delivery.body) for delivery in Delivery.objects.all()]
    assert sum(b"9998-12-31" in body for body in bodies) == 2


def test_a_later_versions_time_in_the_far_future_counts_from_its_own_arrival(deliver, genuine):
    start = datetime(2026, 8, 20, 10, 0, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as clock:
        deliver(genuine)
        clock.shift(timedelta(hours=25))
        assert deliver(genuine | {"happened_at": "9998-12-31T00:00:00Z"}).json()["outcome"] == "updated"
        assert deliver(genuine | {"happened_at": "2026-08-21T16:00:00Z"}).json()["outcome"] == "duplicate"


def test_a_replay_of_a_time_in_the_far_future_keeps_no_newer_version_out(deliver, genuine):
    start = datetime(2026, 8, 20, 10, 0, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as clock:
        deliver(genuine | {"happened_at": "9998-12-31T00:00:00Z"})
        clock.shift(timedelta(days=30))
        assert replay(Delivery.objects.get().pk, actor="ops").verdict.outcome == Outcome.UPDATED
        assert deliver(genuine | {"happened_at": "2026-09-19T09:59:00Z"}).json()["outcome"] == "updated"


def test_without_its_delivery_a_version_counts_from_when_its_row_was_written(deliver, genuine):
    start = datetime(2026, 8, 20, 10, 0, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as clock:
        deliver(genuine | {"happened_at": "9998-12-31T00:00:00Z"})
        Delivery.objects.all().delete()
        WorkflowEvent.objects.update(changed_at=None)  # As a version that did not note it left the row.
        clock.shift(timedelta(hours=25))
        assert deliver(genuine | {"happened_at": "2026-08-21T10:59:00Z"}).json()["outcome"] == "updated"


def test_two_versions_in_the_far_future_do_not_replace_each_other_in_turn(deliver, genuine):
    versions = [genuine | {"happened_at": f"9998-12-3{day}T00:00:00Z"} for day in (0, 1)]
    outcomes = [deliver(version).json()["outcome"] for version in versions * 3]
    assert outcomes == ["logged", "updated", *["duplicate"] * 4]
