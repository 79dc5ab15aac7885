"""What a refused delivery says about its event is stored, shown as not verified, searched for, and deleted with it."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import reverse

from logs.ingest.replay import replay
from logs.models import Claim, Delivery, Outcome
from tests.conftest import SECRET

pytestmark = pytest.mark.django_db

LIST = reverse("admin:logs_delivery_changelist")
WRONG = "another secret"
CLAIMED = {
    "project": "shop",
    "project_slug": "github/acme/shop",
    "workflow": "deploy",
    "job": "",
    "status": "failed",
    "branch": "main",
    "pipeline_number": 4711,
}


@pytest.fixture
def refuse(deliver, workflow_document):
    """Send a run of the shop that is refused, with parts of its payload replaced, and return its delivery."""

    def send(secret=WRONG, **parts):
        document = workflow_document(status="failed", project="shop", workflow="deploy", pipeline=4711)
        assert deliver(document | parts, secret=secret).status_code in (400, 401)
        return Delivery.objects.newest_first().first()

    return send


def columns_of(claim):
    return {name: getattr(claim, name) for name in CLAIMED}


def test_a_delivery_that_is_refused_has_a_claim(refuse, workflow_document):
    claim = refuse().claim
    assert columns_of(claim) == CLAIMED
    assert len(claim.revision) == 40
    assert str(claim) == "github/acme/shop · deploy · failed"


@pytest.mark.parametrize(
    ("parts", "secret", "outcome"),
    [
        ({"id": None}, SECRET, "malformed"),
        ({"type": 7}, SECRET, "malformed"),
        ({"type": ""}, WRONG, "unverified"),
        ({"id": ["x"], "type": {}}, WRONG, "unverified"),
    ],
)
def test_a_claim_needs_neither_id_nor_type(refuse, parts, secret, outcome):
    delivery = refuse(secret, **parts)
    assert delivery.outcome == outcome
    assert columns_of(delivery.claim) == CLAIMED


def test_what_a_webhook_may_not_report_is_a_claim(deliver, workflow_document, webhook_secrets):
    webhook_secrets["narrow"] = {"secrets": ["narrow"], "projects": ["github/other/*"]}
    assert deliver(workflow_document(project="shop"), secret="narrow").status_code == 403
    assert Claim.objects.get().project_slug == "github/acme/shop"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b"{}",
        b'{"project": "shop", "pipeline": {"number": -1}, "workflow": [1]}',
        b'{"a": 1, "a": 2, "project": {"name": "shop"}}',
        b'{"project": {"name": "sh',
        b"\xff\xfe",
        b'{"project": ' * 200,
    ],
)
def test_a_body_that_names_nothing_makes_no_claim(deliver, body):
    assert deliver(body, secret=WRONG).status_code == 401
    assert not Claim.objects.exists()


def test_a_body_that_was_truncated_makes_no_claim(refuse, settings):
    settings.REFUSED_BODY_MAX_BYTES = 500
    refuse()
    assert not Claim.objects.exists()


def test_a_hostile_claim_is_stored_within_the_columns(deliver):
    long, odd = "x" * 5_000, "\\u0000\\ud800" + "界" * 1_000
    blocks = f'"project": {{"name": "{long}", "slug": "{odd}"}}, "workflow": {{"name": "{odd}", "status": 1e999}}'
    body = f'{{{blocks}, "pipeline": {{"number": 99999999999999999999, "vcs": {{"revision": "{odd}"}}}}}}'
    assert deliver(body.encode(), secret=WRONG).status_code == 401
    claim = Claim.objects.get()
    assert (len(claim.project), claim.pipeline_number) == (255, None)
    assert "\x00" not in claim.workflow
    assert 0 < len(claim.revision.encode()) <= 850


def test_an_accepted_delivery_has_no_claim(deliver, workflow_document, ping_document):
    for payload in (workflow_document(), workflow_document(), ping_document):
        deliver(payload)
    assert not Claim.objects.exists()


def test_a_replay_that_accepts_a_delivery_removes_its_claim(refuse, webhook_secrets):
    delivery = refuse()
    replay(delivery.pk, actor="ops")
    assert Claim.objects.exists()
    webhook_secrets["My CircleCI Webhook"] = WRONG
    replay(delivery.pk, actor="ops", dry_run=True)
    assert Claim.objects.exists()
    assert replay(delivery.pk, actor="ops").fixed
    assert not Claim.objects.exists()


def test_claims_are_deleted_with_their_deliveries(refuse, settings):
    settings.REFUSED_DELIVERIES_MAX = 2
    for _ in range(4):
        refuse()
    assert set(Claim.objects.values_list("pk", flat=True)) == set(Delivery.objects.values_list("pk", flat=True))
    assert Claim.objects.count() == 2


# Deliveries are found by what they report or claim.


@pytest.fixture
def story(refuse, deliver, workflow_document):
    """A refused delivery of the shop, a run of it that was logged, and one of another project; by name."""
    refuse()
    deliver(workflow_document(2, project="shop", workflow="test", branch="dev", pipeline=4712))
    deliver(workflow_document(3, project="cellar", workflow="deploy", pipeline=4711))
    keys = Delivery.objects.order_by("pk").values_list("pk", flat=True)
    return dict(zip(keys, ("refused", "shop", "cellar"), strict=True))


FOUND = [
    ("project=shop", ["shop", "refused"]),
    ("project=gh/acme/shop", ["shop", "refused"]),
    ("project=shop&outcome=unverified", ["refused"]),
    ("workflow=deploy", ["cellar", "refused"]),
    ("branch=dev", ["shop"]),
    ("status=failed", ["refused"]),
    ("status=failed,success", ["cellar", "shop", "refused"]),
    ("pipeline=4711", ["cellar", "refused"]),
    ("pipeline=4711&verified=true", ["cellar"]),
    ("pipeline=4713", []),
]


@pytest.mark.parametrize(("query", "expected"), FOUND)
def test_filters_by_event_and_claim(story, admin_client, query, expected):
    found = admin_client.get(f"/deliveries?{query}").json()
    assert [story[delivery["id"]] for delivery in found] == expected


@pytest.mark.parametrize("length", [4, 12, 40])
def test_filters_by_the_commit_or_its_start(story, admin_client, length):
    revision = Claim.objects.get().revision[:length].upper()
    found = admin_client.get("/deliveries", {"revision": revision}).json()
    assert [story[delivery["id"]] for delivery in found] == ["refused"]


@pytest.mark.parametrize(("query", "expected"), FOUND[-3:])
def test_finds_the_same_where_too_many_deliveries_match_to_collect_them(
    story, admin_client, monkeypatch, query, expected
):
    monkeypatch.setattr("logs.reading.conditions.FEW", 0)
    test_filters_by_event_and_claim(story, admin_client, query, expected)


def test_a_stream_of_a_project_holds_no_claims(story, admin_client):
    found = admin_client.get("/deliveries/stream?after=start&wait=0&project=shop").json()["deliveries"]
    assert [story[delivery["id"]] for delivery in found] == ["shop"]


def test_the_api_shows_the_claim(story, admin_client):
    shown = {story[each["id"]]: each["claim"] for each in admin_client.get("/deliveries").json()}
    assert shown["shop"] is shown["cellar"] is None
    assert shown["refused"].items() >= {**CLAIMED, "job": None}.items()
    assert '""pipeline_number"": 4711' in admin_client.get("/deliveries?format=csv&limit=5").content.decode()


def test_pages_mark_the_claim(story, admin_client, staff_with):
    (refused,) = (pk for pk, name in story.items() if name == "refused")
    for client in (admin_client, staff_with("view_delivery")):
        row = client.get(LIST, {"pipeline": "4711", "outcome": "unverified"}).content.decode()
        page = client.get(reverse("admin:logs_delivery_change", args=[refused])).content.decode()
        assert "shop · deploy · failed" in row
        for html in (row, page):
            assert html.count("claimed, not verified") == 1
        assert "#4711" in page
    assert "claimed, not verified" not in admin_client.get(LIST, {"outcome": "logged"}).content.decode()


# The migration.


def test_the_migration_reads_the_claims_of_stored_deliveries_and_may_run_again(refuse, deliver, workflow_document):
    refuse()
    deliver(b"[]", secret=WRONG)
    deliver(workflow_document(2))
    before = Claim.objects.get()
    Claim.objects.all().delete()
    apps = MigrationExecutor(connection).loader.project_state(("logs", "0020_claims_and_answers")).apps
    for _ in range(2):
        add_claims = import_module("logs.migrations.0020_claims_and_answers").add_claims
        add_claims(apps, SimpleNamespace(connection=connection))
        assert Claim.objects.get() == before
        assert columns_of(Claim.objects.get()) == columns_of(before)
    assert Claim.objects.get().delivery.outcome == Outcome.UNVERIFIED
