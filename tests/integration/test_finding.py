"""One search answers whether something arrived, was refused, or never arrived; and what to do then."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.models import Claim, Delivery, Source, Standing, WorkflowEvent
from logs.reading import pages
from logs.reading.finding import events as finding_events
from tests.plans import analyze, assert_reads_little

pytestmark = pytest.mark.django_db

FIND = "/admin/find/"
WORKFLOW_ID = "2f6d1c1a-8e0b-4a57-b1de-63d0f4f7a901"
SLUG = "github/acme/shop"
PAGE = f"https://app.circleci.com/pipelines/{SLUG}"


def words(answer):
    main = re.search(r"<main.*?>(.*?)</main>", answer.content.decode(), re.DOTALL)[1]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


@pytest.fixture
def ask(admin_client):
    """Search for a text, and return the words of the answer."""

    def find(text, client=admin_client, status=200):
        answer = client.get(FIND, {"q": text})
        assert answer.status_code == status, answer.content
        return words(answer)

    return find


@pytest.fixture
def shop(deliver, workflow_document, job_of):
    """A log with a failed pipeline of the shop, and one of another project with the same number."""
    options = {"project": "shop", "branch": "main", "author": "Wilma Quince", "commit_subject": "Fix the login 画面"}
    failed = workflow_document(1, status="failed", workflow="deploy", workflow_id=WORKFLOW_ID, pipeline=4711, **options)
    job = job_of(failed, job="unit-tests", number=17, status="failed")
    other = workflow_document(2, project="cellar", pipeline=4712, branch="dev")
    for document in (job, failed, other):
        assert deliver(document).status_code == 201
    Source.objects.create(webhook="My CircleCI Webhook", project_slug=SLUG, project="Shop", last_delivery_at=NOW)
    return WorkflowEvent.objects.get(event_id=failed["id"])


NOW = datetime(2026, 8, 20, 9, 31, tzinfo=UTC)


@pytest.fixture
def job_of():
    """Make the payload of a job of a workflow's run."""

    def make(document, *, job, number, status):
        block = {"id": f"job-{number}", "name": job, "number": number, "status": status}
        return document | {"type": "job-completed", "id": f"event-of-job-{number}", "job": block}

    return make


ARRIVED = "✓ Arrived"
RUN = "✕ failed deploy on main"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#4711", "pipeline #4711 of shop ✕ failed deploy"),
        (" 4711 ", "pipeline #4711 of shop ✕ failed deploy"),
        ("17", "job #17 of shop"),
        (f"{PAGE}/4711", "pipeline #4711 of shop"),
        ("https://app.circleci.com/pipelines/gh/acme/shop/4711", "pipeline #4711 of shop"),
        (f"{PAGE}/4711/workflows/{WORKFLOW_ID}", f"workflow {WORKFLOW_ID} of shop"),
        (f"{PAGE}/4711/workflows/{WORKFLOW_ID}/jobs/17", "job #17 of shop"),
        ("https://circleci.com/gh/acme/shop/17", "job #17 of shop"),
        (WORKFLOW_ID.upper(), "shop"),
        ("shop", "shop ✕ failed deploy"),
        ("SHOP", "shop"),
        ("sho", "shop"),
        ("gh/Acme/Shop", "shop"),
        ("cellar", "cellar ✓ success"),  # It has no source yet.
        ("https://github.com/acme/shop", "shop"),
        ("git@github.com:acme/shop.git", "shop"),
        ("https://github.com/acme/shop/tree/main", "branch main of shop"),
        ("wilma quince", "commits of Wilma Quince"),
        ("Wilma", "commits of Wilma Quince"),
        ("log", "“ log ” ✕ failed"),
        ("fix the log", "“ fix the log ” ✕ failed"),
        ("画面", "“ 画面 ” ✕ failed"),
    ],
)
def test_what_arrived_is_found(ask, shop, text, expected):
    answer = ask(text)
    assert f"{ARRIVED} {expected}" in answer
    assert "Never arrived" not in answer
    assert "Refused" not in answer


@pytest.mark.parametrize("length", [4, 7, 40])
def test_a_commit_is_found_by_its_start(ask, shop, length):
    WorkflowEvent.objects.filter(project="shop").update(revision="4be1c0d9a7f35e2681d4c09b7ae3f5128c6d9e07")
    prefix = "4be1c0d9a7f35e2681d4c09b7ae3f5128c6d9e07"[:length]
    assert f"{ARRIVED} commit {prefix} of shop" in ask(prefix.upper())
    assert f"{ARRIVED} commit 4be1c0d9 of shop" in ask("https://gitlab.com/acme/shop/-/commit/4be1c0d9")


def test_a_short_number_is_no_commit_and_a_star_is_no_pattern(ask, shop, deliver, workflow_document):
    document = workflow_document(9, pipeline=12, project="shop")
    document["pipeline"]["vcs"]["revision"] = "9911" * 10
    deliver(document)
    assert "Arrived" not in ask("9911")
    assert "Arrived" in ask("9911991")
    assert "Arrived" not in ask("s*p")


def test_the_answer_tells_which_commit_broke_it_who_and_which_job(admin_client, shop):
    page = admin_client.get(FIND, {"q": "#4711"}).content.decode()
    job = WorkflowEvent.objects.get(job="unit-tests")
    assert "Failed jobs unit-tests Pipeline #4711 Commit" in words(admin_client.get(FIND, {"q": "#4711"}))
    assert f"{shop.revision[:7]} Fix the login 画面 – Wilma Quince" in words(admin_client.get(FIND, {"q": "#4711"}))
    for link in (shop.pk, job.pk):
        assert reverse("admin:logs_workflowevent_change", args=[link]) in page
    assert "?pipeline=4711&amp;project=github%2Facme%2Fshop" in page


def test_a_broken_project_is_told_with_the_first_bad_commit_on_its_default_branch(ask, shop, settings):
    settings.DEFAULT_BRANCHES = ["main"]
    common = {"project_slug": SLUG, "project": "shop", "tone": "bad", "failures": 2, "last_run_at": NOW}
    Standing.objects.create(workflow="deploy", branch="main", last=shop, broken_since=shop, broken_at=NOW, **common)
    Standing.objects.create(workflow="deploy", branch="wip", **common | {"last_run_at": NOW + timedelta(hours=1)})
    answer = ask("shop")
    assert answer.index("✕ broken deploy on main since") < answer.index("✕ broken deploy on wip")
    assert (
        f"Failed jobs unit-tests First bad pipeline #4711 First bad commit {shop.revision[:7]} Fix the login" in answer
    )
    assert answer.count("Last failed run") == 1  # Retention has removed the one of the other branch.
    assert "Last failed run of deploy on main" in answer
    for button in ("Open run", "Open pipeline", "List events"):
        assert button not in answer, button


def test_a_project_that_is_not_broken_leads_to_its_newest_run(ask, shop):
    answer = ask("shop")
    assert f"Pipeline #4711 Commit {shop.revision[:7]} Fix the login" in answer
    assert "Open run 1 Open pipeline 1 List events 1" in answer


def test_what_was_refused_is_told_with_the_reason_and_what_to_do(ask, deliver, workflow_document):
    deliver(workflow_document(project="shop", workflow="deploy", pipeline=4711), secret="another")
    revision = Claim.objects.get().revision
    for text in ("#4711", "4711", f"{PAGE}/4711", revision[:7], "Shop", "github.com/acme/shop", "deploy"):
        answer = ask(text)
        assert "✕ Refused the circleci-signature matches no secret" in answer
        assert "What to do: Compare the secret in CIRCLECI_WEBHOOK_SECRETS" in answer
        assert "shop · deploy · success #4711 on main claimed, not verified" in answer
        assert "Arrived" not in answer
        assert "Never arrived" not in answer


def test_both_are_told_what_arrived_first(ask, shop, deliver, workflow_document):
    deliver(workflow_document(3, project="shop", pipeline=4711), secret="another")
    answer = ask("#4711")
    assert answer.index(ARRIVED) < answer.index("✕ Refused")


def test_a_refusal_of_another_project_is_not_told(ask, deliver, workflow_document):
    deliver(workflow_document(project="cellar", pipeline=4711), secret="another")
    assert "? Never arrived pipeline #4711" in ask(f"{PAGE}/4711")


def test_a_pipeline_of_another_project_is_not_the_one_of_the_url(ask, shop):
    assert "? Never arrived pipeline #4711" in ask("https://app.circleci.com/pipelines/gh/acme/boats/4711")


def test_what_never_arrived_is_told_with_its_source_and_three_checks(ask, shop):
    Source.objects.update(last_event=shop)
    answer = ask(f"{PAGE}/4799")
    heard = "Its source, Shop , was last heard from 2026-08-20 09:31:00 UTC . Its newest event was of pipeline #4711."
    assert f"? Never arrived pipeline #4799 {heard}" in answer
    for check in (
        "http://testserver/log-circleci-webhook",
        "The workflow has ended.",
        "CircleCI could reach this site.",
    ):
        assert check in answer
    assert "? Never arrived pipeline or job #4799 The last delivery of any source arrived" in ask("4799")


def test_a_project_whose_events_retention_has_removed_did_arrive(ask, shop, settings):
    settings.EVENT_RETENTION_DAYS = 30
    WorkflowEvent.objects.all().delete()
    answer = ask("shop")
    assert "? No events stored “ shop ” Its source, Shop , was last heard from" in answer
    assert "Retention removes events after 30 days." in answer


def test_a_job_that_is_not_among_the_newest_events_may_still_be_in_the_log(ask, shop, monkeypatch):
    assert "events were searched" not in ask("4799")
    monkeypatch.setattr(pages, "MAX_SCANNED", 1)
    assert "Only the newest 5,000 events were searched." in ask("4799")


def test_a_job_whose_events_are_not_sent_is_told_with_its_workflow(ask, shop):
    answer = ask(f"{PAGE}/4711/workflows/{WORKFLOW_ID}/jobs/99")
    assert answer.index("? Never arrived job #99") < answer.index(f"{ARRIVED} workflow {WORKFLOW_ID} of shop")


@pytest.mark.parametrize("text", ["nobody", "deadbeef", "???", "%", WORKFLOW_ID, "https://github.com/acme/boats"])
def test_an_empty_log_has_heard_nothing(ask, text):
    answer = ask(text)
    assert "? Never arrived" in answer
    assert "Nothing has arrived from any source yet." in answer


def test_the_page_tells_what_can_be_searched(admin_client):
    assert "What can be searched" in words(admin_client.get(FIND))
    assert "What can be searched" in words(admin_client.get(FIND, {"q": " \x00"}))


def test_a_text_that_is_too_long_is_refused_in_words(ask):
    assert "The text is longer than 500 characters." in ask("x" * 501, status=400)


def test_hostile_texts_are_escaped_and_never_an_error(admin_client, shop, deliver, workflow_document):
    deliver(workflow_document(4, project="<b>x</b>"), secret="another")
    for text in (
        "<script>alert(1)</script>",
        "'\"; --",
        "a' OR 'b",
        "x:*",
        "\\",
        "％",
        "\u202e",
        "https://[",
        "<b>x</b>",
    ):
        answer = admin_client.get(FIND, {"q": text})
        assert answer.status_code == 200
        assert "<script>alert" not in answer.content.decode()
        assert "<b>" not in answer.content.decode()


# Permissions.


def test_without_the_permission_to_view_events_there_is_no_search(staff_with):
    client = staff_with("view_delivery")
    assert client.get(FIND, {"q": "x"}).status_code == 403
    assert 'id="find"' not in client.get("/admin/logs/delivery/").content.decode()


def test_those_who_may_not_view_deliveries_do_not_learn_of_refused_ones(ask, staff_with, deliver, workflow_document):
    deliver(workflow_document(project="shop", pipeline=4711), secret="another")
    answer = ask("#4711", staff_with("view_workflowevent"))
    assert "? Not in the log pipeline #4711" in answer
    assert "You need permission to view deliveries" in answer
    for hidden in ("Refused", "refused deliveries", "View sources", "signature"):
        assert hidden not in answer


# What it costs.


def queries_of(client, text):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(FIND, {"q": text}).status_code == 200
    return [one["sql"] for one in captured if '"logs_' in one["sql"] and not one["sql"].startswith("EXPLAIN")]


@pytest.fixture
def large(workflow_document):
    """A log of many projects, runs and refused deliveries."""
    runs = WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=f"event-{number}",
            event_type="workflow-completed",
            received_at=NOW + timedelta(seconds=number),
            project=f"project-{number % 50}",
            project_slug=f"github/acme/project-{number % 50}",
            workflow="deploy",
            workflow_id=f"workflow-{number}",
            status="failed" if number % 7 == 0 else "success",
            branch=f"branch-{number % 90}",
            revision=f"{number:06x}4be1c0d",
            commit_subject=f"Mend gate {number}",
            author=f"Author {number % 40}",
            pipeline_number=number,
            verified=True,
        )
        for number in range(3_000)
    )
    deliveries = Delivery.objects.bulk_create(
        Delivery(
            received_at=NOW, judged_at=NOW, outcome="unverified", verified=False, plausible=True, headers={}, body=b""
        )
        for _ in range(300)
    )
    Claim.objects.bulk_create(
        Claim(delivery=each, project="boats", pipeline_number=10_000 + number, revision=f"fed{number:05x}")
        for number, each in enumerate(deliveries)
    )
    Standing.objects.bulk_create(
        Standing(
            project_slug=run.project_slug,
            workflow="deploy",
            branch=run.event_id,
            tone="bad",
            failures=1,
            last=run,
            last_run_at=run.received_at,
        )
        for run in runs[:200]
    )
    Source.objects.create(webhook="w", project_slug="github/acme/project-7", project="project-7", last_delivery_at=NOW)
    analyze()


# A text, and how many queries over the log it takes, however large the log is.
COSTS = [
    ("#77", 3),
    ("77", 6),
    ("#999999", 3),
    ("#10003", 2),
    ("0000074be1c", 5),
    ("project-7", 8),
    ("https://app.circleci.com/pipelines/gh/acme/project-7/57", 5),
    ("Author 7", 9),
    ("gate 777", 10),
    ("nothing like it", 11),
]


@pytest.mark.parametrize(("text", "count"), COSTS)
def test_a_search_costs_a_fixed_number_of_queries_that_read_little(admin_client, large, monkeypatch, text, count):
    for module in (pages, finding_events):
        monkeypatch.setattr(module, "MAX_SCANNED", 100)
    queries = queries_of(admin_client, text)
    assert len(queries) == count
    for sql in queries:
        if '"logs_source"' in sql or "RECURSIVE" in sql or '"logs_apitoken"' in sql:
            continue
        assert_reads_little(sql, r"(\w+)", most=700)
