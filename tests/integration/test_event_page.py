"""The page of an event: what ended, how it came about, what else ran, and the payload itself."""

import random
import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.admin.events.page import SHOWN_DELIVERIES
from logs.circleci import samples
from logs.models import Delivery, WorkflowEvent
from logs.models.notifications import Notification
from logs.notifications.composing import compose
from logs.reading.pipelines import MAX_EVENTS

pytestmark = pytest.mark.django_db

EVENTS = reverse("admin:logs_workflowevent_changelist")


def page_of(row):
    return reverse(f"admin:logs_{row._meta.model_name}_change", args=[row.pk])


def read(client, row):
    answer = client.get(page_of(row))
    assert answer.status_code == 200
    return answer.content.decode()


def section(page, title_id):
    return re.search(rf'<section[^>]* aria-labelledby="{title_id}">(.*?)</section>', page, re.DOTALL)[1]


def words(html):
    """Return the text of some HTML, its white space made single."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.fixture
def event(deliver, workflow_document):
    """A failed workflow."""
    document = workflow_document(status="failed")
    document["pipeline"] |= {"created_at": "2026-05-04T10:00:00Z"}
    document["workflow"] |= {"created_at": "2026-05-04T10:00:02Z", "stopped_at": "2026-05-04T10:03:14Z"}
    document |= {"happened_at": "2026-05-04T10:03:15Z"}
    assert deliver(document).status_code == 201
    return WorkflowEvent.objects.get()


@pytest.fixture
def deliver_job(deliver, workflow_document):
    """Deliver a job of the pipeline of the fixtures' workflow."""

    def make(number, *, name="test", status="success", workflow_id=None):
        workflow = workflow_document()
        document = samples.job_completed(random=random.Random(number))
        document |= {"id": f"job-{number}", "pipeline": workflow["pipeline"], "project": workflow["project"]}
        document["job"] |= {"name": name, "status": status}
        document["workflow"] |= {"id": workflow_id or workflow["workflow"]["id"], "name": workflow["workflow"]["name"]}
        assert deliver(document).status_code == 201
        return WorkflowEvent.objects.get(event_id=f"job-{number}")

    return make


def test_tells_first_what_ended_and_how(admin_client, event, workflow_document):
    page = read(admin_client, event)
    heading = words(re.search("<h1>(.*?)</h1>", page, re.DOTALL)[1])
    assert heading == f"✕ failed {event.workflow}"
    summary = words(section(page, "facts-title"))
    for text in (event.project, event.branch, event.revision[:7], event.commit_subject, event.author, "3 min 12 s"):
        assert text in summary
    assert "✓ verified" in summary
    assert f'href="{EVENTS}?branch={event.branch}"' in page
    link = f'href="{event.url}" rel="noopener noreferrer" target="_blank"'
    assert link in " ".join(page.split())


def test_leads_to_the_repository_the_commit_and_its_changes_at_the_code_host(staff_with, deliver, workflow_document):
    others = [{"branch": "fix"}, {"workflow": "deploy"}, {"project": "quay"}]
    runs = [(2, other) for other in others] + [(number, {}) for number in (3, 1, 4, 5)]
    same = {"project": "orchard", "branch": "main", "workflow": "build"}
    commits = [f"{number:040x}" for number in range(5)]
    # A rerun of an old pipeline arrives later; a pipeline can build the commit of the one before again.
    for seed, (number, other) in enumerate(runs):
        document = workflow_document(seed, pipeline=number, **same | other)
        document["pipeline"]["vcs"]["revision"] = commits[min(number, 4)]
        deliver(document)
    client = staff_with("view_workflowevent")
    rows = {row.pipeline_number: row for row in WorkflowEvent.objects.all()}
    repository = "https://github.com/acme/orchard"
    for number, commit, before in [(5, 4, 3), (4, 4, 3), (1, 1, None), (3, 3, None)]:
        facts = section(read(client, rows[number]), "facts-title")
        found = re.findall(rf'href="{repository}([^"]*)"\s+rel="noopener noreferrer"\s+target="_blank"', facts)
        compare = [] if before is None else [f"/compare/{commits[before]}...{commits[commit]}"]
        assert found == ["", f"/commit/{commits[commit]}", *compare], number


def test_a_failed_run_leads_to_the_changes_since_the_workflow_succeeded(admin_client, deliver, workflow_document):
    same = {"project": "orchard", "branch": "main", "workflow": "build"}
    commits = [f"{number:040x}" for number in range(5)]
    for number, status in enumerate(["success", "failed", "canceled", "failed"], 1):
        document = workflow_document(number, pipeline=number, status=status, **same)
        document["pipeline"]["vcs"]["revision"] = commits[number]
        deliver(document)
    facts = section(read(admin_client, WorkflowEvent.objects.get(pipeline_number=4)), "facts-title")
    assert f"/compare/{commits[1]}...{commits[4]}" in facts
    assert "Changes since it succeeded (0000000)" in words(facts)
    facts = section(read(admin_client, WorkflowEvent.objects.get(pipeline_number=3)), "facts-title")
    assert "Changes since the previous run (0000000)" in words(facts)


@pytest.mark.parametrize("change", ["unsigned", "no body", "tag"])
def test_leads_to_no_code_host_that_the_log_cannot_prove(admin_client, deliver, workflow_document, change):
    for seed in (1, 2):
        tag = "v1" if change == "tag" else None
        deliver(workflow_document(seed, pipeline=seed, project="orchard", tag=tag, workflow="build"))
    if change == "unsigned":
        WorkflowEvent.objects.update(verified=False)
    if change == "no body":
        Delivery.objects.all().delete()
    facts = section(read(admin_client, WorkflowEvent.objects.last()), "facts-title")
    assert ("github.com/acme/orchard/commit/" in facts) == (change == "tag")
    assert "/compare/" not in facts


def test_a_hostile_repository_is_not_linked(admin_client, deliver, workflow_document):
    document = workflow_document()
    document["pipeline"]["vcs"]["target_repository_url"] = "https://user@evil.example/acme/orchard"
    deliver(document)
    assert "evil.example" not in section(read(admin_client, WorkflowEvent.objects.get()), "facts-title")


def test_opens_a_job_itself_in_circleci(admin_client, event, deliver_job):
    job = deliver_job(1)
    page = f"{job.url}/jobs/{job.job_number}"
    assert f'href="{page}"' in read(admin_client, job)
    listed = admin_client.get(EVENTS).content.decode()
    assert f'href="{page}"' in listed
    assert f'href="{event.url}"' in listed
    links = {
        kind: dict(compose(Notification(kind=kind, event_id=row.pk)).links)["Open in CircleCI"]
        for kind, row in (("job", job), ("run", event))
    }
    assert links == {"job": page, "run": event.url}
    api = admin_client.get(f"/fetch-webhooks-logs/{job.event_id}").json()
    assert api["url"] == job.url


def test_marks_what_nobody_has_signed(admin_client, deliver, workflow_document, webhook_secrets):
    webhook_secrets["open"] = None
    deliver(workflow_document(), path="/log-circleci-webhook/open", secret=None)
    page = read(admin_client, WorkflowEvent.objects.get())
    assert page.count('<span class="unsigned">not signed</span>') == 2  # In the heading and in the summary.
    assert "✓" not in words(section(page, "facts-title"))


def test_the_timeline_leads_from_the_pipeline_to_the_arrival(admin_client, event):
    steps = words(section(read(admin_client, event), "timeline-title"))
    assert steps.startswith(
        "Timeline Pipeline created 2026-05-04 10:00:00 UTC Workflow created 2026-05-04 10:00:02 UTC +2 s "
        "Stopped 2026-05-04 10:03:14 UTC +3 min 12 s Happened 2026-05-04 10:03:15 UTC +1 s Received"
    )


def test_without_the_payload_the_timeline_tells_what_the_columns_know(admin_client, event):
    Delivery.objects.all().delete()
    page = read(admin_client, event)
    steps = words(section(page, "timeline-title"))
    assert "Pipeline created" not in steps
    assert steps.startswith("Timeline Workflow created 2026-05-04 10:00:02 UTC Stopped")
    assert "Retention has removed the payload." in page
    assert "Retention has removed the deliveries." in page


def test_the_run_shows_workflows_with_their_jobs_and_leads_to_the_failed_one(admin_client, event, deliver_job):
    lint, failed = deliver_job(1, name="lint"), deliver_job(2, name="unit", status="failed")
    again = deliver_job(3, name="unit", workflow_id="a-rerun")
    run = section(read(admin_client, event), "run-title")
    assert [run.count(f'href="{page_of(row)}"') for row in (event, lint, failed, again)] == [1, 1, 1, 1]
    assert words(run) == words(f"""
        This run
        ✕ failed {event.workflow} shown here 3 min 12 s
        ✓ success lint {duration_in(run, lint)} ✕ failed unit {duration_in(run, failed)}
        … unfinished {event.workflow} not finished, or not received yet rerun
        ✓ success unit {duration_in(run, again)}
    """)
    assert re.search(f'href="{page_of(event)}"\\s+aria-current="page"', run)
    assert run.count("aria-current") == 1
    assert re.search(
        f'href="{page_of(failed)}"\\s+aria-current="page"', section(read(admin_client, failed), "run-title")
    )


def test_says_which_jobs_of_a_failed_workflow_failed(admin_client, event, deliver_job):
    assert 'class="verdict"' not in read(admin_client, event)
    lint, unit = deliver_job(1, name="lint"), deliver_job(2, name="<b>unit", status="failed")
    deliver_job(3, name="flaky", status="failed", workflow_id="another-run")
    page = read(admin_client, event)
    assert f'<p class="verdict"><bdi>&lt;b&gt;unit</bdi> failed in <bdi>{event.workflow}</bdi>.</p>' in page
    assert page.index('class="verdict"') < page.index('class="columns"')
    for job in (lint, unit):  # The heading has the name of the job.
        assert 'class="verdict"' not in read(admin_client, job)


def duration_in(html, row):
    return words(html[html.index(f'href="{page_of(row)}"') :].split('nowrap">')[1].split("<")[0])


def test_an_event_that_is_alone_in_its_pipeline_says_so(admin_client, event):
    assert "No other workflow or job of this pipeline" in section(read(admin_client, event), "run-title")


def test_a_large_run_is_cut_but_never_the_failed_jobs(admin_client, event):
    for number in range(MAX_EVENTS + 1):
        WorkflowEvent.objects.create(
            event_id=f"job-{number}",
            event_type="job-completed",
            job=f"job {number}",
            status="success" if number else "failed",
            project_slug=event.project_slug,
            pipeline_id=event.pipeline_id,
            workflow_id=event.workflow_id,
            received_at=event.received_at,
            verified=True,
        )
    run = section(read(admin_client, event), "run-title")
    assert run.count('class="run-line"') == MAX_EVENTS
    assert "job 0<" in run
    assert f"Only {MAX_EVENTS} events are shown" in words(run)
    assert f"?pipeline_id={event.pipeline_id}&amp;status=failed%2C" in run
    left_out = WorkflowEvent.objects.get(event_id="job-1")
    assert "job 1 shown here" in words(section(read(admin_client, left_out), "run-title"))


def test_names_the_versions_and_which_one_is_shown(admin_client, deliver, workflow_document, event):
    newer = workflow_document(status="canceled") | {"happened_at": "2030-01-01T00:00:00Z"}
    deliver(newer)
    deliver(newer)
    page = read(admin_client, event)
    assert "✓ updated" in words(page)
    tables = {re.search("<caption>(.*?)</caption>", table)[1]: table for table in page.split("<table ")[1:]}
    versions = [words(row) for row in re.findall("<tr>.*?</tr>", tables["Versions"], re.DOTALL)[1:]]
    assert [row.split()[-1] for row in versions] == ["here", "replaced"]
    assert tables["Deliveries, newest first"].count("<tr id=") == 3
    assert "&quot;canceled&quot;" in section(page, "payload-title")


def test_the_payload_is_a_tree_and_a_text(admin_client, event):
    payload = section(read(admin_client, event), "payload-title")
    assert f'<bdi class="key">id</bdi> <bdi class="value string">&quot;{event.event_id}&quot;</bdi>' in payload
    assert f"&quot;id&quot;: &quot;{event.event_id}&quot;" in payload
    assert "circleci-signature" in payload


def test_a_payload_of_a_mebibyte_is_shown_within_bounds(admin_client, deliver, workflow_document):
    document = workflow_document()
    document["wide"] = {f"key {number}": "<b>" for number in range(40_000)}
    assert deliver(document).status_code == 201
    page = read(admin_client, WorkflowEvent.objects.get())
    assert "The tree shows only part of this payload" in page
    assert len(page) < 4_000_000
    assert "<b>" not in page


def test_hostile_texts_are_harmless(admin_client, deliver, workflow_document):
    hostile = "</script><script>alert(1)</script>\u202e'\"{{ 7*7 }}" + "x" * 10_000
    document = workflow_document()
    document["workflow"] |= {"name": hostile, "status": hostile, "url": "javascript:alert(1)"}
    document["project"]["name"] = document["webhook"]["name"] = hostile
    document["pipeline"]["vcs"] |= {"branch": hostile, "revision": hostile}
    document["pipeline"]["vcs"]["commit"] |= {"subject": hostile, "author": {"name": hostile}}
    document |= {hostile: "\ud800"}
    deliver(document, headers={"user-agent": "<script>alert(1)"})
    page = read(admin_client, WorkflowEvent.objects.get())
    assert "<script>alert" not in page
    assert "javascript:" not in page.replace("&quot;javascript:alert(1)&quot;", "")
    assert "49" not in words(section(page, "facts-title"))


@pytest.mark.parametrize(
    ("codenames", "missing"),
    [
        ([], ["view deliveries", "view delivery bodies"]),
        (["view_delivery"], ["view delivery bodies"]),
        (["view_delivery_body"], ["view deliveries"]),
        (["view_delivery", "view_delivery_body", "replay_delivery"], []),
    ],
)
def test_names_the_permissions_that_are_missing(staff_with, event, codenames, missing):
    page = read(staff_with("view_workflowevent", *codenames), event)
    for ability in ("view deliveries", "view delivery bodies"):
        assert page.count(f"You need permission to {ability}.") == (ability in missing)
    needs_replay = "You need permission to replay deliveries" in page
    assert needs_replay == ("view_delivery" in codenames and "replay_delivery" not in codenames)


@pytest.mark.parametrize(
    ("codenames", "offered"),
    [
        (["view_delivery"], [False, False, False]),
        (["view_delivery", "replay_delivery"], [True, False, False]),
        (["view_delivery_body"], [False, False, True]),
        (["view_delivery", "view_delivery_body"], [False, True, True]),
    ],
)
def test_buttons_are_offered_to_those_who_may_press_them(staff_with, event, codenames, offered):
    (delivery,) = Delivery.objects.all()
    page = read(staff_with("view_workflowevent", *codenames), event)
    replay = f'href="{reverse("admin:logs_delivery_replay")}?ids={delivery.pk}"'
    download = f'href="{reverse("admin:logs_delivery_body", args=[delivery.pk])}"'
    assert [replay in page, download in page, 'data-copy="curl-command"' in page] == offered


@pytest.mark.parametrize("codename", ["view_delivery", "replay_delivery"])
def test_who_may_not_view_events_sees_none(staff_with, event, codename):
    assert staff_with(codename).get(page_of(event)).status_code == 403


def test_an_event_that_is_gone_is_told_as_django_does(admin_client, event):
    for key in ("999", "99999999999999999999999", "no-key"):
        answer = admin_client.get(f"{EVENTS}{key}/change/", follow=True)
        assert answer.redirect_chain[0][0] == "/admin/"
        assert "Perhaps it was deleted?" in answer.content.decode()


@pytest.mark.parametrize("rights", ["all", "views only"])
def test_costs_the_same_however_much_there_is_to_show(
    admin_client, staff_with, event, deliver, workflow_document, deliver_job, count_queries, rights
):
    client = admin_client if rights == "all" else staff_with("view_workflowevent", "view_delivery")
    deliver_job(0)
    few = count_queries(lambda: read(client, event))
    for number in range(1, 80):
        deliver_job(number)
        deliver(workflow_document(status="failed"))
    assert count_queries(lambda: read(client, event)) == few
    # Session, user, the event, its versions, the body, the commit before, the run, its flakes, its deliveries and two
    # neighbours; or also two of permissions.
    assert few == {"all": 11, "views only": 13}[rights]
    assert Delivery.objects.count() > SHOWN_DELIVERIES


@pytest.fixture
def count_queries():
    """Count the queries of a call."""

    def count(call):
        with CaptureQueriesContext(connection) as captured:
            call()
        return len(captured)

    return count
