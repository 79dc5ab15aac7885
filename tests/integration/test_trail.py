"""From a list to a row, to its neighbours, and back to the same list."""

import itertools
import random
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.http import QueryDict
from django.urls import reverse

from logs.models import Delivery, WorkflowEvent
from logs.reading import pages
from logs.reading.cursors import Cursor, Direction
from logs.reading.filters import EventFilterSet
from logs.reading.pages import Position
from logs.reading.query import read_filters, read_list

pytestmark = pytest.mark.django_db

EVENTS = reverse("admin:logs_workflowevent_changelist")
DELIVERIES = reverse("admin:logs_delivery_changelist")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MARKUP = "\"><script>alert(1)</script>&'\u202e"


def page_of(row):
    return reverse(f"admin:logs_{row._meta.model_name}_change", args=[row.pk])


def read(client, url):
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return answer.content.decode()


def links(html, **attributes):
    """Return where the links with these attributes lead."""
    tags = re.findall(r"<a\s[^>]*>", html)
    wanted = [f'{name}="{value}"' for name, value in attributes.items()]
    return [unescape(re.search('href="([^"]*)"', tag)[1]) for tag in tags if all(each in tag for each in wanted)]


def crumbs(html):
    """Return the texts of the breadcrumbs' links, and where they lead."""
    trail = re.search(r'<div class="breadcrumbs">(.*?)</div>', html, re.DOTALL)[1]
    found = re.findall(r'<a href="([^"]*)">(.*?)</a>', trail, re.DOTALL)
    return [(unescape(re.sub("<[^>]+>", "", text)), unescape(url)) for url, text in found]


def event(number, **columns):
    at = NOON + timedelta(minutes=number)
    return WorkflowEvent(
        **{
            "event_id": f"event-{number}",
            "event_type": "workflow-completed",
            "workflow": "build",
            "project": "press",
            "status": "failed",
            "received_at": at,
            "happened_at": at,
            "verified": True,
        }
        | columns
    )


@pytest.fixture
def events():
    """Seven runs of two projects, a minute apart; every other one failed."""
    rows = [event(n, status="success" if n % 2 else "failed", project="quay" if n == 4 else "press") for n in range(7)]
    return WorkflowEvent.objects.bulk_create(rows)


def test_the_way_from_a_filtered_list_to_a_row_its_neighbours_and_back(admin_client, events):
    query = "status=failed&project=press"
    listed = links(read(admin_client, f"{EVENTS}?{query}"), **{"class": "row-link"})
    assert listed == [f"{page_of(events[n])}?list={quote(query)}" for n in (6, 2, 0)]
    page = read(admin_client, listed[1])
    assert (links(page, rel="prev"), links(page, rel="next")) == ([listed[0]], [listed[2]])
    assert crumbs(page)[1] == ("Events (status: failed, project: press)", f"{EVENTS}?{query}")
    assert links(read(admin_client, listed[0]), rel="prev") == []
    assert links(read(admin_client, listed[2]), rel="next") == []


def test_without_a_list_the_neighbours_are_those_of_the_whole_list(admin_client, events):
    assert links(read(admin_client, EVENTS), **{"class": "row-link"})[0] == page_of(events[6])
    page = read(admin_client, page_of(events[3]))
    assert (links(page, rel="prev"), links(page, rel="next")) == ([page_of(events[4])], [page_of(events[2])])
    assert crumbs(page)[1] == ("Events", EVENTS)


def test_the_way_back_keeps_the_page_and_the_order(admin_client, events, monkeypatch):
    monkeypatch.setattr("logs.admin.lists.PAGE_SIZE", 2)
    older = admin_client.get(f"{EVENTS}?ordering=received_at&status=failed").context["older_link"]
    (row, _) = links(read(admin_client, EVENTS + older), **{"class": "row-link"})
    assert row.startswith(page_of(events[4]))
    page = read(admin_client, row)
    assert crumbs(page)[1] == ("Events (status: failed)", EVENTS + older)
    assert [link.split("?")[0] for link in links(page, rel="next")] == [page_of(events[6])]


def test_rows_that_appear_live_have_the_same_links(admin_client, events):
    query = "status=failed&project=press"
    listed = links(read(admin_client, f"{EVENTS}?{query}"), **{"class": "row-link"})
    # The page of a list whose first rows arrived just now is read from before them.
    newer = admin_client.get(f"{reverse('admin:logs_workflowevent_newer')}?{query}").json()["html"]
    cursor = admin_client.get(f"{EVENTS}?{query}").context["live_cursor"]
    assert links(newer, **{"class": "row-link"}) == listed
    arrived = event(9, received_at=datetime.now(UTC))
    arrived.save()
    newer = admin_client.get(f"{reverse('admin:logs_workflowevent_newer')}?{query}&cursor={cursor}").json()["html"]
    assert links(newer, **{"class": "row-link"}) == [f"{page_of(arrived)}?list={quote(query)}"]


def test_the_runs_links_keep_the_list(admin_client):
    run = event(0, pipeline_id="p", project_slug="s")
    job = event(1, pipeline_id="p", project_slug="s", event_type="job-completed", job="lint")
    WorkflowEvent.objects.bulk_create([run, job])
    page = read(admin_client, f"{page_of(run)}?list=event_type%3Dworkflow-completed")
    assert f"{page_of(job)}?list=event_type%3Dworkflow-completed" in page


def test_a_delivery_leads_to_its_neighbours_and_its_replay_back_to_the_list(admin_client, deliver, workflow_document):
    for seed, secret in enumerate(["wrong", "a-secret", "wrong", "wrong"]):
        deliver(workflow_document(seed), secret=secret)
    deliveries = list(Delivery.objects.order_by("pk"))
    query = "outcome=unverified,malformed"
    listed = links(read(admin_client, f"{DELIVERIES}?{query}"), **{"class": "row-link"})
    page = read(admin_client, listed[1])
    assert (links(page, rel="prev"), links(page, rel="next")) == ([listed[0]], [listed[2]])
    back = ("Deliveries (outcome: unverified,malformed)", f"{DELIVERIES}?{urlencode(QueryDict(query).dict())}")
    assert crumbs(page)[1] == back
    (replay,) = (link for link in links(page) if "/replay/" in link)
    assert replay.startswith(f"{reverse('admin:logs_delivery_replay')}?ids={deliveries[2].pk}&list=")
    assert crumbs(read(admin_client, replay))[1] == back
    asked = admin_client.post(replay.split("?")[0], {"ids": deliveries[2].pk, "list": query})
    assert crumbs(asked.content.decode())[1] == back


def test_an_events_list_is_not_taken_for_a_list_of_deliveries(admin_client, deliver, workflow_document):
    deliver(workflow_document())
    page = read(admin_client, f"{page_of(WorkflowEvent.objects.get())}?list=verified%3Dtrue")
    (replay,) = (link for link in links(page) if "/replay/" in link)
    assert "list=" not in replay


@pytest.mark.parametrize(
    "text",
    [
        "status",
        "unknown=1",
        "branch=a&branch=b",
        "received_after=whenever",
        "ordering=colour",
        "pipeline=-1",
        "q=!",
        "branch=\x00",
        "https://evil.example/",
        "//evil.example/?status=failed",
        "javascript:alert(1)",
        f"<script>={MARKUP}",
        "&".join(["a"] * 1_001),
        "%",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_an_invalid_list_stands_for_the_whole_list(admin_client, events, text):
    page = read(admin_client, f"{page_of(events[3])}?{urlencode({'list': text})}")
    assert crumbs(page)[1] == ("Events", EVENTS)
    assert links(page, rel="next") == [page_of(events[2])]
    assert "evil" not in page
    assert "alert(1)" not in page


def test_hostile_filters_are_shown_as_text_and_lead_only_to_the_list(admin_client, events):
    page = read(admin_client, f"{page_of(events[3])}?{urlencode({'list': urlencode({'branch': MARKUP})})}")
    assert "<script>alert" not in page
    text, url = crumbs(page)[1]
    assert text == f"Events (branch: {MARKUP})"
    assert url == f"{EVENTS}?{urlencode({'branch': MARKUP})}"


ORDERINGS = ["", *(f"ordering={sign}{name}" for name in pages.EVENT_ORDERS for sign in ("", "-"))]
FILTERS = ["", "status=failed", "status=failed,error&event_type=job-completed", "verified=false", "q=gate"]


def random_event(number, chance):
    """Return an event that shares its times and its duration with others, or has none."""
    return event(
        number,
        received_at=NOON + timedelta(minutes=chance.randrange(8)),
        happened_at=chance.choice([None, NOON, NOON - timedelta(hours=1)]),
        duration_seconds=chance.choice([None, 0, 0.1, 7.25, 1 / 3]),
        status=chance.choice(["failed", "error", "success"]),
        event_type=chance.choice(["workflow-completed", "job-completed"]),
        commit_subject=chance.choice(["Mend the gate", "Paint the fence"]),
        verified=chance.random() < 0.5,
    )


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("filters", FILTERS)
def test_the_neighbours_are_in_the_lists_own_order(rf, ordering, filters):
    chance = random.Random(f"{ordering} {filters}")
    WorkflowEvent.objects.bulk_create(random_event(number, chance) for number in range(24))
    query = "&".join(filter(None, [filters, ordering]))
    filterset = read_filters(EventFilterSet, QueryDict(query), WorkflowEvent.objects.all())
    rows = list(read_list(filterset, pages.EVENT_ORDERS).all_rows())
    assert len(rows) > 1
    for before, row, after in zip([None, *rows], rows, [*rows[1:], None], strict=False):
        found = admin.site.get_model_admin(WorkflowEvent).trail(rf.get("/", {"list": query}), row)
        assert (found["row_before"], found["row_after"]) == (before, after), row.event_id


# The cursor of a page before the newest rows: such a page is read without a bound.
BEFORE_NOW = Cursor(
    ordering="-received_at", direction=Direction.PREV, position=Position(key=datetime(2100, 1, 1, tzinfo=UTC), pk=1)
)


@pytest.mark.parametrize("query", ["webhook=CI", f"webhook=CI&cursor={BEFORE_NOW.encode()}"])
def test_a_neighbour_beyond_a_bounded_scan_is_not_shown(admin_client, monkeypatch, django_assert_num_queries, query):
    monkeypatch.setattr(pages, "MAX_SCANNED", 5)
    rows = WorkflowEvent.objects.bulk_create(event(n, name="CI" if n in (0, 10, 12) else "") for n in range(20))
    with django_assert_num_queries(10):  # Five of the page, one for the name, and two for each direction.
        page = read(admin_client, f"{page_of(rows[10])}?list={quote(query)}")
    assert links(page, rel="prev") == [f"{page_of(rows[12])}?list={quote(query)}"]
    assert links(page, rel="next") == []


def test_a_row_that_the_list_does_not_hold_has_neighbours_where_it_would_be(admin_client, events):
    page = read(admin_client, f"{page_of(events[3])}?list=status%3Dfailed")
    found = [link.split("?")[0] for link in itertools.chain(links(page, rel="prev"), links(page, rel="next"))]
    assert found == [page_of(events[4]), page_of(events[2])]
