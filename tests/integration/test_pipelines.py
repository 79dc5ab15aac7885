"""The admin's list of pipelines, and the page of a pipeline."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import chain

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logs.admin.pipelines import admin
from logs.admin.pipelines.rows import MAX_SHOWN
from logs.models import WorkflowEvent
from logs.reading import pages, pipelines
from logs.reading.cursors import Cursor
from logs.reading.pages import Position
from tests.plans import assert_reads_little

pytestmark = pytest.mark.django_db

PIPELINES, EVENTS = reverse("admin:pipelines"), reverse("admin:logs_workflowevent_changelist")
START = datetime(2026, 5, 4, 10, tzinfo=UTC)
NOW = Position(key=START + timedelta(days=1), pk=0)


def page_of(event):
    return reverse("admin:pipeline", args=[event.pk])


def event_page(event):
    return reverse("admin:logs_workflowevent_change", args=[event.pk])


def words(html):
    """Return the text of some HTML, its white space made single."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", re.sub("</?bdi>", "", html))).split())


def make_event(number, pipeline=1, *, job="", **columns):
    """Return an event that arrives at a minute; ``pipeline`` is its pipeline's number, or None."""
    arrived = START + timedelta(minutes=number)
    return WorkflowEvent(
        **{
            "event_id": f"event-{number}",
            "event_type": "job-completed" if job else "workflow-completed",
            "workflow": "build",
            "workflow_id": f"workflow-{pipeline}",
            "job": job,
            "status": "success",
            "project": "orchard",
            "project_slug": "github/acme/orchard",
            "branch": "main",
            "revision": "0123456789" * 4,
            "commit_subject": "Prune the trees",
            "author": "Wilma",
            "trigger": "webhook",
            "pipeline_id": "" if pipeline is None else f"pipeline-{pipeline}",
            "pipeline_number": pipeline,
            "url": f"https://app.circleci.com/pipelines/github/acme/orchard/{pipeline}/workflows/workflow-{pipeline}",
            "received_at": arrived,
            "happened_at": arrived,
            "stopped_at": arrived,
            "verified": True,
        }
        | columns
    )


def save(*events):
    return WorkflowEvent.objects.bulk_create(events)


def read(client, url=PIPELINES, **query):
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.content
    return answer


def shown(answer):
    """Return the number and the state of each pipeline of a list."""
    rows = [row.pipeline for row in answer.context["rows"]]
    return [(row.about.pipeline_number, str(row.state)) for row in rows]


def row_of(answer, number=0):
    return answer.content.decode().split('<tr role="row">')[2 + number].split("</tr>")[0]


def test_lists_each_pipeline_once_the_newest_first(admin_client):
    save(
        make_event(1, 1, job="lint"),
        make_event(2, 2, job="lint", status="failed"),
        make_event(3, 1),
        make_event(4, 2, status="failed"),
        make_event(5, 3, job="lint"),
        make_event(6, 1, workflow="deploy", workflow_id="deploy", status="canceled"),
    )
    answer = read(admin_client)
    assert shown(answer) == [(1, "canceled"), (3, "unfinished"), (2, "failed")]
    assert words(row_of(answer)).startswith(
        "■ canceled #1 orchard 3 workflows and jobs ✓ ✓ ■ ✓ success build – ✓ success lint – ■ canceled deploy – main"
        " 0123456 Prune the trees Wilma webhook 2026-05-04 10:06:00 UTC"
    )
    failed = row_of(answer, 2)
    assert "2 workflows and jobs, 2 failed" in words(failed)
    assert 'title="lint: failed"' in failed
    assert f'href="{page_of(WorkflowEvent.objects.get(event_id="event-4"))}">#2</a>' in failed


def test_a_rerun_supersedes_the_failure_and_is_counted(admin_client):
    save(
        make_event(1, job="unit", status="failed"),
        make_event(2, status="failed"),
        make_event(3, workflow_id="again"),
    )
    answer = read(admin_client)
    assert shown(answer) == [(1, "succeeded")]
    assert words(row_of(answer)).startswith("✓ succeeded 1 rerun #1 orchard")


def test_pipelines_do_not_mix(admin_client):
    # Of another commit; of another project that claims the pipeline's ID; without an ID.
    elsewhere = {"project": "evil", "project_slug": "github/evil/orchard", "verified": False}
    save(
        make_event(1, 1, status="failed"),
        make_event(2, 2, revision="f" * 40),
        make_event(3, 1, workflow_id="again", **elsewhere),
        make_event(4, None, job="lint", workflow="", workflow_id="", status="failed"),
        make_event(5, None, job="unit", workflow="", workflow_id=""),
    )
    answer = read(admin_client)
    assert shown(answer) == [
        (None, "succeeded"),
        (None, "failed"),
        (1, "succeeded"),
        (2, "succeeded"),
        (1, "failed"),
    ]
    assert "not signed" in row_of(answer, 2)
    assert [row.pipeline.reruns for row in answer.context["rows"]] == [0] * 5


def test_events_of_other_projects_are_not_even_read():
    event, _elsewhere = save(make_event(1), make_event(2, project_slug="github/evil/orchard"))
    assert pipelines.read_events([event]) == {pipelines.key_of(event): [event]}


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"status": "failed"}, [1]),
        ({"branch": "fix/rain"}, [2]),
        ({"project": "github/acme/orchard", "status": "success"}, [2, 1]),
        ({"q": "umbrella"}, [2]),
        ({"event_type": "job-completed"}, [1]),
        ({"pipeline": "2"}, [2]),
        ({"received_before": "2026-05-04T10:02Z"}, [1]),
        ({"author": "Noah"}, []),
    ],
)
def test_a_filter_keeps_pipelines_with_a_matching_event(admin_client, query, numbers):
    save(
        make_event(1, 1, job="lint", status="failed"),
        make_event(3, 1, workflow_id="again"),
        make_event(5, 2, branch="fix/rain", commit_subject="Open the umbrella"),
    )
    answer = read(admin_client, **query)
    assert [number for number, _state in shown(answer)] == numbers
    assert "Pipelines with an event that matches the filters." in answer.content.decode()
    if query == {"status": "failed"}:
        assert shown(answer) == [(1, "succeeded")]  # The verdict is about all events.


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"ordering": "received_at"}, "Pipelines are always listed newest first"),
        ({"colour": "red"}, "Unknown parameter"),
        ({"received_after": "yesterday"}, "received_after: "),
        ({"cursor": "x"}, "Invalid cursor"),
    ],
)
def test_says_what_it_does_not_understand(admin_client, query, reason):
    answer = admin_client.get(PIPELINES, query)
    assert answer.status_code == 400
    assert reason in answer.content.decode()


def test_a_search_leads_to_filters_of_the_list(admin_client):
    assert admin_client.get(PIPELINES, {"search": "#7"}).headers["Location"] == "?pipeline=7"


def pages_of(client, **query):
    """Return the pipelines' numbers on each page, following the links to the next ones."""
    answer, found = read(client, **query), []
    while True:
        found.append([number for number, _state in shown(answer)])
        link = answer.context["older_link"]
        if link is None:
            return found, answer
        assert len(found) < 40
        answer = read(client, PIPELINES + link)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrived=st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from(["success", "failed"]), st.integers(0, 2)), max_size=20
    ),
    size=st.integers(1, 3),
    most=st.integers(2, 6),
    scanned=st.integers(2, 6),
    query=st.sampled_from([{}, {"status": "failed"}, {"verified": "true", "status": "failed"}]),
)
def test_paging_shows_every_pipeline_once(admin_client, arrived, size, most, scanned, query):
    WorkflowEvent.objects.all().delete()
    minute, events = 0, []
    for number, (pipeline, status, later) in enumerate(arrived):
        minute += later // 2  # Some arrive at the same time.
        at = START + timedelta(minutes=minute)
        events.append(make_event(number, pipeline, status=status, received_at=at))
    save(*events)
    matching = [event for event in reversed(events) if not query or event.status == "failed"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admin, "PAGE_SIZE", size)
        patch.setattr(pipelines, "MAX_READ", most)
        patch.setattr(pages, "MAX_SCANNED", scanned)
        found, last = pages_of(admin_client, **query)
        forth = list(chain.from_iterable(found))
        assert forth == list(dict.fromkeys(event.pipeline_number for event in matching))
        assert max(map(len, found)) <= size
        back = [number for number, _state in shown(last)]
        while link := last.context["newer_link"]:
            last = read(admin_client, PIPELINES + link)
            back = [number for number, _state in shown(last)] + back
            assert len(back) < 10
        assert back == forth


def test_a_page_costs_the_same_queries_however_much_it_shows(admin_client, django_assert_num_queries):
    save(make_event(0))
    with django_assert_num_queries(4):  # Session, user, the events that match, the events of their pipelines.
        read(admin_client)
    save(*(make_event(number, number // 7) for number in range(1, 300)))
    with django_assert_num_queries(4):
        older = read(admin_client).context["older_link"]
    with django_assert_num_queries(5):  # And the pipelines that previous pages have shown.
        assert read(admin_client, PIPELINES + older).context["rows"]
    (event,) = WorkflowEvent.objects.filter(event_id="event-7")
    with django_assert_num_queries(6):  # Session, user, the event, its pipeline's events, the flakes, its neighbours.
        read(admin_client, page_of(event))


def test_sqlite_finds_a_pipeline_by_its_id_although_it_has_no_statistics(admin_client):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has statistics")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS sqlite_stat1")  # Other tests make them.
        cursor.execute("ANALYZE sqlite_schema")
    _older, newest = save(make_event(1), make_event(2, 2))
    with CaptureQueriesContext(connection) as captured:
        read(
            admin_client, branch="main", cursor=Cursor(ordering="-received_at", direction="next", position=NOW).encode()
        )
        read(admin_client, page_of(newest))
        list(newest.of_same_pipeline())
    statements = [query["sql"] for query in captured if '"pipeline_id"' in query["sql"].partition("WHERE")[2]]
    assert len(statements) == 4  # Previous pages, the rows; the page's events; the other events.
    for statement in statements:
        assert_reads_little(statement, "event_pipeline_id")


def test_a_large_pipeline_is_cut_but_decided_by_all_its_workflows(admin_client):
    jobs = [make_event(number, job="unit", status="failed") for number in range(1, pipelines.MAX_EVENTS + 20)]
    save(make_event(0, status="failed"), make_event(200, 2), *jobs)
    answer = read(admin_client)
    assert shown(answer) == [(2, "succeeded"), (1, "failed")]
    row = row_of(answer, 1)
    assert row.count('class="run-line"') == row.count('class="dot ') == MAX_SHOWN
    assert f"{pipelines.MAX_EVENTS} workflows and jobs, {pipelines.MAX_EVENTS} failed" in words(row)
    assert f"Only {MAX_SHOWN} are shown" in words(row)
    assert "Only" not in words(row_of(answer, 0))
    page = read(admin_client, page_of(jobs[0])).content.decode()
    assert "Failed: unit failed in build." in words(page)
    assert page.count('class="run-line"') == pipelines.MAX_EVENTS + 1


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([make_event(1)], "Succeeded: build succeeded."),
        ([make_event(1, status="canceled")], "Canceled: build was canceled."),
        ([make_event(1, job="unit")], "Unfinished: build is still running, or its end was not received."),
        ([make_event(1, job="unit", status="failed")], "Failing: unit failed in build."),
        (
            [
                make_event(1, status="failed"),
                make_event(2, status="failed", workflow_id="2"),
                make_event(3, job="ship", status="failed", workflow="deploy", workflow_id="3"),
                make_event(4, job="migrate", status="failed", workflow="deploy", workflow_id="3"),
                make_event(5, status="failed", workflow="deploy", workflow_id="3"),
                make_event(6, workflow="nightly", status="canceled", workflow_id="4"),
            ],
            "Failed: build failed; migrate, ship failed in deploy; nightly was canceled, after 1 rerun.",
        ),
        (
            [
                make_event(number, status="failed", workflow=f"w{number}", workflow_id=f"{number}")
                for number in range(1, 11)
            ],
            "Failed: w1 failed; w10 failed; w2 failed; w3 failed; w4 failed; w5 failed; w6 failed; w7 failed; 2 more.",
        ),
        (
            [make_event(1, None, job="x", status="failed", workflow="", workflow_id="")],
            "Failed: x failed in an unnamed workflow.",
        ),
    ],
)
def test_the_page_tells_the_verdict_in_a_sentence(admin_client, events, sentence):
    save(*events)
    page = read(admin_client, page_of(events[-1])).content.decode()
    assert words(re.search('<p class="verdict">(.*?)</p>', page, re.DOTALL)[1]) == sentence


def test_the_page_leads_to_circleci_to_the_events_and_to_other_pipelines(admin_client):
    event, job = save(make_event(1, status="failed"), make_event(2, job="unit", status="failed"))
    page = read(admin_client, page_of(job)).content.decode()
    for link in (
        f'href="{EVENTS}?pipeline_id=pipeline-1&amp;project=github/acme/orchard"',
        f'href="{PIPELINES}?project=github/acme/orchard&amp;branch=main"',
        f'href="{event_page(event)}"',
        f'href="{event_page(job)}"',
    ):
        assert link.replace("/acme/", "%2Facme%2F").replace("=github/", "=github%2F") in page or link in page, link
    assert 'href="https://app.circleci.com/pipelines/github/acme/orchard/1"' in page
    assert page.count(f'href="{event.url}"') == 1
    assert "shown here" not in page
    assert f'href="{page_of(event)}">#1</a>' in read(admin_client, event_page(event)).content.decode()


def test_unsigned_events_displace_no_signed_ones(admin_client):
    [event] = save(make_event(0, 7, status="failed"))
    save(*(make_event(number, 7, workflow_id=f"w-{number}", verified=False) for number in range(1, 102)))
    assert shown(read(admin_client)) == [(7, "failed")]
    assert "Failed" in words(read(admin_client, page_of(event)).content.decode())


def test_the_page_leads_to_the_pipelines_deliveries(admin_client, staff_with):
    [event] = save(make_event(1, 7))
    link = f"{reverse('admin:logs_delivery_changelist')}?pipeline=7&amp;project=github%2Facme%2Forchard"
    assert link in read(admin_client, page_of(event)).content.decode()
    assert link not in read(staff_with("view_workflowevent"), page_of(event)).content.decode()


def test_the_page_leads_to_the_projects_previous_and_next_pipeline(admin_client):
    elsewhere = {"project_slug": "github/evil/orchard", "pipeline_id": "elsewhere"}
    one, _job, two, three, last, _other = save(
        make_event(1, 1),
        make_event(2, 2, job="lint"),
        make_event(3, 2),
        make_event(4, 3),
        make_event(5, 2**63 - 1),
        make_event(6, 1, **elsewhere),
    )
    for event, neighbours in ((one, [two]), (two, [one, three]), (three, [two]), (last, [])):
        found = read(admin_client, page_of(event)).context["neighbours"]
        assert found == [(each.pipeline_number, each.pk) for each in neighbours]
    page = read(admin_client, page_of(two), list="branch=main").content.decode()
    assert "← #1 #3 →" in words(page)
    assert f'href="{page_of(three)}?list=branch%3Dmain"' in page
    assert f'href="{PIPELINES}?branch=main">Pipelines (<bdi>branch: main</bdi>)' in page


def test_a_pipeline_without_an_id_has_a_page_too(admin_client):
    (event,) = save(
        make_event(1, None, url="https://ci.example.org/", project="", project_slug="", branch="", author="")
    )
    page = read(admin_client, page_of(event)).content.decode()
    assert "Open in CircleCI" not in page
    assert "pipeline_id=" not in page
    assert "Pipeline" in words(re.search("<h1>(.*?)</h1>", page, re.DOTALL)[1])


def test_who_may_not_view_events_sees_no_pipelines(staff_with):
    (event,) = save(make_event(1))
    client = staff_with("view_delivery", "view_delivery_body")
    assert [client.get(url).status_code for url in (PIPELINES, page_of(event))] == [403, 403]
    assert PIPELINES not in client.get("/admin/").content.decode()
    viewer = staff_with("view_workflowevent", username="viewer")
    assert [viewer.get(url).status_code for url in (PIPELINES, page_of(event))] == [200, 200]
    assert PIPELINES in viewer.get("/admin/").content.decode()
    assert viewer.post(page_of(event)).status_code == 403


@pytest.mark.parametrize("key", ["999", "99999999999999999999999", "no-key"])
def test_a_pipeline_that_is_gone_is_told_as_django_does(admin_client, key):
    answer = admin_client.get(f"{PIPELINES}{key}/", follow=True)
    assert answer.redirect_chain[0][0] == "/admin/"
    assert "Perhaps it was deleted?" in answer.content.decode()


def test_hostile_texts_are_harmless(admin_client):
    hostile = "</script><script>alert(1)</script>\u202e'\"{{ 7*7 }}{0}%s"
    texts = ("workflow", "status", "project", "project_slug", "branch", "author", "trigger", "pipeline_id", "revision")
    columns = dict.fromkeys(texts, hostile)
    job, _end = save(make_event(1, job=hostile, **columns), make_event(2, **columns | {"status": "failed"}))
    for url in (PIPELINES, page_of(job)):
        page = read(admin_client, url).content.decode()
        assert "<script>alert" not in page
        assert "49" not in words(page)
    assert "Failed: " in words(page)
