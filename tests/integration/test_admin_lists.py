"""What ops see in the admin's lists of events and deliveries."""

import csv
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.urls import reverse

from logs.models import Delivery, WorkflowEvent
from logs.models.events import SETTLED_AFTER
from logs.reading.choices import about_how_many, values_of
from logs.reading.cursors import Cursor, Direction, Reading
from logs.reading.pages import Position
from tests.plans import analyze, assert_reads_little

pytestmark = pytest.mark.django_db

EVENTS = reverse("admin:logs_workflowevent_changelist")
NEWER_EVENTS = reverse("admin:logs_workflowevent_newer")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SUGGESTIONS = reverse("admin:logs_workflowevent_suggestions")
DELIVERIES = reverse("admin:logs_delivery_changelist")


def page_of(row):
    return reverse(f"admin:logs_{row._meta.model_name}_change", args=[row.pk])


def read(client, url, **query):
    answer = client.get(url, query)
    assert answer.status_code == 200, (url, answer.status_code)
    return answer


def shown(answer):
    return [row.event_id for row in answer.context["rows"]]


def make_event(number, **columns):
    moment = datetime(2026, 5, 4, 10, tzinfo=UTC) + timedelta(minutes=number)
    return WorkflowEvent(
        **{
            "event_id": f"event-{number}",
            "event_type": "workflow-completed",
            "workflow": "build",
            "project": "orchard",
            "project_slug": "github/acme/orchard",
            "status": "success",
            "branch": "main",
            "revision": f"{number:07d}".ljust(40, "a"),
            "received_at": moment,
            "happened_at": moment,
            "verified": True,
        }
        | columns
    )


@pytest.fixture
def events():
    """A hundred and twenty events, a minute apart."""
    return WorkflowEvent.objects.bulk_create(make_event(number) for number in range(120))


def test_shows_the_newest_first_and_leads_to_all_others_and_back(admin_client, events):
    newest = read(admin_client, EVENTS)
    assert shown(newest) == [f"event-{number}" for number in range(119, 69, -1)]
    assert newest.context["newer_link"] is newest.context["first_link"] is None
    older = admin_client.get(EVENTS + newest.context["older_link"])
    assert shown(older)[0] == "event-69"
    oldest = admin_client.get(EVENTS + older.context["older_link"])
    assert shown(oldest) == [f"event-{number}" for number in range(19, -1, -1)]
    assert oldest.context["older_link"] is None
    assert shown(admin_client.get(EVENTS + oldest.context["newer_link"])) == shown(older)
    assert shown(admin_client.get(EVENTS + oldest.context["first_link"])) == shown(newest)


def test_pages_of_a_relative_time_keep_its_moment(admin_client, events, time_machine):
    time_machine.move_to(datetime(2026, 5, 4, 12, tzinfo=UTC), tick=False)
    newest = read(admin_client, EVENTS, received_after="2h")
    time_machine.shift(timedelta(hours=1))
    oldest = admin_client.get(EVENTS + admin_client.get(EVENTS + newest.context["older_link"]).context["older_link"])
    assert shown(oldest)[-1] == "event-0"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"status": "failed,error"}, 1),
        ({"status": "failed", "project": "github/acme/orchard"}, 1),
        ({"status": "failed", "project": "harbour"}, 0),
        ({"branch": "fix/rain"}, 1),
        ({"received_after": "2026-05-04T10:05Z", "received_before": "2026-05-04T10:07Z"}, 2),
        ({"q": "umbrella"}, 1),
        ({"revision": "0000004"}, 1),
        ({"verified": "false"}, 1),
    ],
)
def test_filters_as_the_api_does(admin_client, query, count):
    WorkflowEvent.objects.bulk_create(make_event(number) for number in range(3, 9))
    odd = make_event(99, status="failed", branch="fix/rain", commit_subject="Open the umbrella", verified=False)
    odd.save()
    assert len(shown(read(admin_client, EVENTS, **query))) == count


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"url__regex": "."}, "Unknown parameter &#x27;url__regex&#x27;; there are: author, branch, cursor,"),
        ({"received_after": "yesterday"}, "received_after: "),
        ({"ordering": "url"}, "ordering must be one of: "),
        ({"cursor": "x"}, "Invalid cursor: use one from a link of the same list and ordering."),
        ({"branch": ["main", "next"]}, "branch is given 2 times; give it once."),
        ({"project": "\x00"}, "project: "),
    ],
)
def test_says_what_it_does_not_understand_and_lists_nothing(admin_client, events, query, reason):
    answer = admin_client.get(EVENTS, query)
    assert answer.status_code == 400
    page = answer.content.decode()
    assert reason in page
    assert "row-link" not in page
    assert admin_client.get(NEWER_EVENTS, query).status_code == 400


def test_shows_a_repeated_list_as_one(admin_client):
    make_event(1, status="failed").save()
    make_event(2, status="success").save()
    make_event(3, status="error").save()
    repeated = {"status": ["failed", "", "error,canceled"], "branch": ""}
    answer = admin_client.get(EVENTS, repeated)
    assert answer.headers["Location"] == "?status=failed%2Cerror%2Ccanceled"
    page = admin_client.get(EVENTS + answer.headers["Location"])
    assert len(shown(page)) == 2
    newer = admin_client.get(NEWER_EVENTS, {"status": ["failed", "error"]}).json()
    assert newer["html"].count("row-link") == 2


def test_leaves_empty_fields_of_its_form_out_of_the_address(admin_client):
    answer = admin_client.get(EVENTS, {"project": "", "workflow": "build", "branch": ""})
    assert answer.headers["Location"] == "?workflow=build"


def test_the_form_keeps_what_it_has_no_field_for(admin_client, events):
    page = read(admin_client, EVENTS, status="failed", job="lint", ordering="-duration").content.decode()
    for name, value in {"status": "failed", "job": "lint", "ordering": "-duration"}.items():
        assert f'<input type="hidden" name="{name}" value="{value}">' in page


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("#7", "pipeline=7"),
        ("0000005AA", "revision=0000005aa"),
        ("0000005ab", "q=0000005ab"),
        ("5d0ab6f2-3d4c-4a4e-9b21-0c9d1a2b3c4d", "workflow_id=5d0ab6f2-3d4c-4a4e-9b21-0c9d1a2b3c4d"),
        ("6d0ab6f2-3d4c-4a4e-9b21-0c9d1a2b3c4d", "pipeline_id=6d0ab6f2-3d4c-4a4e-9b21-0c9d1a2b3c4d"),
        ("7d0ab6f2-3d4c-4a4e-9b21-0c9d1a2b3c4d", "project=7d0ab6f2-3d4c-4a4e-9b21-0c9d1a2b3c4d"),
        ("7D0AB6F2-3D4C-4A4E-9B21-0C9D1A2B3C4D", "project=7d0ab6f2-3d4c-4a4e-9b21-0c9d1a2b3c4d"),
        ("gh/acme/orchard", "project=github%2Facme%2Forchard"),
        ("github/acme/orchard", "project=github%2Facme%2Forchard"),
        ("https://app.circleci.com/pipelines/github/acme/orchard", "project=github%2Facme%2Forchard"),
        ("gh/acme/boats", "q=gh%2Facme%2Fboats"),
        ("paint the boat", "q=paint+the+boat"),
    ],
)
def test_a_search_leads_to_what_its_text_means(admin_client, text, query):
    ids = {
        name: f"{digit}d0ab6f2-3d4c-4a4e-9b21-0c9d1a2b3c4d" for name, digit in [("pipeline_id", 6), ("project_id", 7)]
    }
    make_event(5, **ids).save()
    answer = admin_client.get(EVENTS, {"search": f" {text} ", "status": "success", "q": "before"})
    assert answer.headers["Location"] == f"?status=success&{query}"


def test_a_search_for_an_events_id_leads_to_its_page(admin_client, events):
    assert admin_client.get(EVENTS, {"search": "event-7"}).headers["Location"] == page_of(events[7])


def test_lists_a_project_by_the_slug_of_circlecis_app(admin_client, events):
    assert shown(read(admin_client, EVENTS, project="gh/acme/orchard")) == shown(read(admin_client, EVENTS))


def newer(client, cursor, **query):
    """Return the cursor of the next look, and which events a look shows, the newest first."""
    answer = read(client, NEWER_EVENTS, cursor=cursor, **query).json()
    keys = re.findall(r'class="row-link"\s+href="/admin/logs/workflowevent/(\d+)/', answer["html"])
    return answer["cursor"], [WorkflowEvent.objects.get(pk=key).event_id for key in keys]


def test_shows_what_has_arrived_since(admin_client, events, time_machine):
    time_machine.move_to(NOON, tick=False)
    cursor = read(admin_client, EVENTS, status="failed").context["live_cursor"]
    make_event(200, status="failed", received_at=NOON).save()
    make_event(201, received_at=NOON).save()
    cursor, shown_first = newer(admin_client, cursor, status="failed")
    time_machine.shift(SETTLED_AFTER / 2)
    cursor, shown_again = newer(admin_client, cursor, status="failed")
    time_machine.shift(SETTLED_AFTER)
    cursor, _still = newer(admin_client, cursor, status="failed")
    cursor, shown_later = newer(admin_client, cursor, status="failed")
    assert (shown_first, shown_again, shown_later) == (["event-200"], ["event-200"], [])


def test_an_empty_list_shows_what_arrives_while_it_is_read(admin_client, monkeypatch):
    page = Reading.page

    def page_before_an_event(reading, size):
        shown = page(reading, size)
        make_event(1, received_at=datetime.now(UTC)).save()
        return shown

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "page", page_before_an_event)
        cursor = read(admin_client, EVENTS).context["live_cursor"]
    assert newer(admin_client, cursor)[1] == ["event-1"]


def test_what_stands_on_the_next_page_is_not_newer(admin_client, time_machine):
    time_machine.move_to(NOON, tick=False)
    WorkflowEvent.objects.bulk_create(make_event(number, received_at=NOON) for number in range(60))
    _cursor, again = newer(admin_client, read(admin_client, EVENTS).context["live_cursor"])
    assert len(again) == 49  # A page but for its last row, which the cursor stands on.


def test_leaves_none_out_where_more_arrive_than_a_look_shows(admin_client, time_machine, monkeypatch):
    monkeypatch.setattr("logs.admin.lists.NEWER_SIZE", 7)
    time_machine.move_to(NOON, tick=False)
    cursor = read(admin_client, EVENTS).context["live_cursor"]
    WorkflowEvent.objects.bulk_create(make_event(number, received_at=NOON) for number in range(30))
    time_machine.shift(2 * SETTLED_AFTER)
    seen = []
    for _ in range(6):
        cursor, shown_now = newer(admin_client, cursor)
        seen += reversed(shown_now)
    assert seen == [f"event-{number}" for number in range(30)]


def test_an_older_event_whose_transaction_ends_later_is_shown_too(transactional_db, admin_client):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    cursor = read(admin_client, EVENTS).context["live_cursor"]
    is_written, may_commit = threading.Event(), threading.Event()

    def write_slowly():
        try:
            with transaction.atomic():
                make_event(1, received_at=datetime.now(UTC)).save()
                is_written.set()
                assert may_commit.wait(10)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as elsewhere:
        slow = elsewhere.submit(write_slowly)
        assert is_written.wait(10)
        make_event(2, received_at=datetime.now(UTC)).save()
        cursor, shown_first = newer(admin_client, cursor)
        may_commit.set()
        slow.result()
    cursor, shown_then = newer(admin_client, cursor)
    assert (shown_first, shown_then) == (["event-2"], ["event-2", "event-1"])


@pytest.mark.parametrize("query", [{"ordering": "received_at"}, {"ordering": "-duration"}])
def test_is_live_only_where_the_newest_stand_first(admin_client, events, query):
    assert read(admin_client, EVENTS).context["is_live"]
    assert not read(admin_client, EVENTS, **query).context["is_live"]
    older = read(admin_client, EVENTS).context["older_link"]
    assert not admin_client.get(EVENTS + older).context["is_live"]


@pytest.mark.parametrize(
    "query",
    [{}, {"q": "umbrella"}, {"webhook": "CircleCI"}, {"status": "failed,error"}, {"branch": "main", "author": "Ada"}],
)
def test_looking_for_newer_ones_costs_one_query(admin_client, events, django_assert_num_queries, query):
    cursor = read(admin_client, EVENTS, **query).context["live_cursor"]
    found = {"name": "CircleCI", "status": "failed", "author": "Ada", "commit_subject": "Open the umbrella"}
    make_event(200, received_at=datetime.now(UTC), **found).save()
    make_event(201, received_at=datetime.now(UTC), branch="fix/rain").save()
    with django_assert_num_queries(3) as captured:  # session, user, the rows
        answer = read(admin_client, NEWER_EVENTS, cursor=cursor, **query).json()
    assert page_of(WorkflowEvent.objects.get(event_id="event-200")) in answer["html"]
    assert_reads_little(captured.captured_queries[-1]["sql"], "event_(branch_|author_|status_)?newest", is_range=True)


def test_after_hours_out_of_sight_a_look_is_bounded(admin_client, events, monkeypatch):
    monkeypatch.setattr("logs.reading.pages.MAX_SCANNED", 10)
    make_event(200, name="CircleCI").save()
    position = Position(key=make_event(-1).received_at, pk=0)
    cursor = Cursor(ordering="-received_at", direction=Direction.PREV, position=position).encode()
    seen = []
    for _ in range(13):
        cursor, seen_now = newer(admin_client, cursor, webhook="CircleCI")
        seen.append(seen_now)
    assert seen == [[]] * 12 + [["event-200"]]


@pytest.mark.parametrize("url", [EVENTS, DELIVERIES])
def test_a_page_costs_the_same_queries_however_many_rows_it_shows(
    admin_client, deliver, workflow_document, django_assert_max_num_queries, url
):
    for seed in range(20):
        deliver(workflow_document(seed))
    # Session, user, the rows, about how many there are; that takes two queries, or three of PostgreSQL.
    with django_assert_max_num_queries(6) as captured:
        read(admin_client, url)
    told = " ".join(query["sql"] for query in captured.captured_queries)
    assert "COUNT(" not in told
    assert "MAX(" not in told  # With MIN beside it, SQLite reads a whole index.
    assert "DISTINCT" not in told
    assert '"body"' not in told


def test_each_name_costs_a_look_up(admin_client, events, django_assert_num_queries):
    make_event(200, branch="Main").save()
    with django_assert_num_queries(6):  # Session, user, two look-ups, the end of the scan, the rows.
        assert len(shown(read(admin_client, EVENTS, project="ORCHARD", branch="ma*"))) == 50


def test_suggests_values_that_begin_so(admin_client):
    branches = ["main", "fix/rain", "fix/snow", "release", ""]
    WorkflowEvent.objects.bulk_create(make_event(number, branch=branch) for number, branch in enumerate(branches * 3))
    assert read(admin_client, SUGGESTIONS, column="branch").json()["values"] == [
        "fix/rain",
        "fix/snow",
        "main",
        "release",
    ]
    assert read(admin_client, SUGGESTIONS, column="branch", start="FIX/").json()["values"] == ["fix/rain", "fix/snow"]
    assert values_of(WorkflowEvent, "branch", most=2) == ["fix/rain", "fix/snow"]
    assert admin_client.get(SUGGESTIONS, {"column": "url"}).status_code == 400


def test_tells_about_how_many_there_are(admin_client, events):
    analyze()
    assert about_how_many(WorkflowEvent) == 120
    assert "About 120 in the log." in read(admin_client, EVENTS).content.decode()
    assert "in the log." not in read(admin_client, EVENTS, status="failed").content.decode()


# What the form submits; the URL of the list then has the API's parameters only.
# fmt: off
SUBMITTED = [
    # A chip keeps what was typed, and replaces its own parameter, which the form holds as a hidden field.
    ("status=failed&project=press&set=status%3Dsuccess",        "?project=press&status=success"),
    ("status=failed&project=press&set=status%3D",               "?project=press"),
    ("job=lint&workflow=&project=press&set=job%3D",             "?project=press"),
    ("received_before=2026-05-05T10:00Z&from=&to=2026-05-05T10:00&set=received_after%3D24h%26received_before%3D",
                                                                "?received_after=24h"),
    # A date picker replaces a time, empties it, or keeps what it cannot show.
    ("from=2026-05-04T10:00&to=",                               "?received_after=2026-05-04T10:00Z"),
    ("from=2026-05-04T10:00:12&to=2026-05-04T10:00:13.5",
                             "?received_after=2026-05-04T10:00:12Z&received_before=2026-05-04T10:00:13.5Z"),
    ("received_after=24h&from=2026-05-04T10:00",                "?received_after=2026-05-04T10:00Z"),
    ("received_after=2026-05-04T12:00%2B02:00&from=",           "?"),
    ("received_after=2026-05-04T12:00%2B02:00&from=2026-05-04T10:00", "?received_after=2026-05-04T12:00+02:00"),
    ("received_after=2026-05-04T10:00:12.345Z&from=2026-05-04T10:00:12", "?received_after=2026-05-04T10:00:12.345Z"),
    ("received_after=24h&from=&to=",                            "?received_after=24h"),
    ("received_after=whenever&from=",                           "?received_after=whenever"),
    ("from=12h",                                                "?received_after=12h"),
    # JavaScript submits UTC.
    ("from=2026-05-04T10:00:00.000Z",                           "?received_after=2026-05-04T10:00:00.000Z"),
    # An export is the API's, unless a value is invalid: the list then says so.
    ("project=press&status=failed&branch=&export=csv",
                             "/fetch-webhooks-logs?project=press&status=failed&format=csv&bom=true"),
    ("search=%237&project=press&export=ndjson",
                             "/fetch-webhooks-logs?project=press&pipeline=7&format=ndjson"),
    ("export=ndjson",                                           "/fetch-webhooks-logs?format=ndjson"),
    ("project=press&export=xml",                                "?project=press"),
    ("received_after=whenever&export=csv",                      "?received_after=whenever"),
]
# fmt: on


@pytest.mark.parametrize(("submitted", "location"), SUBMITTED)
def test_the_form_leads_to_the_query_of_the_api(admin_client, submitted, location):
    answer = admin_client.get(f"{EVENTS}?{submitted}")
    while "search=" in submitted and "export=" in answer.headers["Location"]:
        answer = admin_client.get(EVENTS + answer.headers["Location"])
    assert unquote(answer.headers["Location"]) == location


def test_the_form_submits_what_it_cannot_show(admin_client):
    page = read(
        admin_client, EVENTS, received_after="2026-05-04T12:00:12.5+02:00", received_before="1h", status="failed"
    )
    form = page.content.decode()
    assert '<input type="hidden" name="received_after" value="2026-05-04T12:00:12.5+02:00">' in form
    assert '<input type="hidden" name="received_before" value="1h">' in form
    assert page.context["pickers"] == {"from": "2026-05-04T10:00:12", "to": ""}
    assert "received_before: 1h" in form
    assert page.context["filter_count"] == 3
    assert "Filters (3)" in form
    # Enter presses the first button.
    assert re.findall(r"<button[^>]*>\s*([^<]*)", form[form.index('id="filters"') :])[0] == "Apply filters"


def test_exports_what_is_shown(admin_client, events):
    page = read(admin_client, EVENTS, status="success", received_after="2026-05-04T11:57Z")
    answer = admin_client.get(EVENTS, {**page.context["query"], "export": "csv"}, follow=True)
    exported = answer.getvalue().decode()
    assert exported.startswith("\ufeffname,")
    assert exported.count("\ufeff") == 1
    assert [row["id"] for row in csv.DictReader(exported.splitlines())] == shown(page)


def test_says_what_to_do_while_nothing_has_arrived(admin_client):
    assert "manage.py send_test_webhook" in read(admin_client, EVENTS).content.decode()
    assert "Show all" in read(admin_client, EVENTS, status="failed").content.decode()


def test_says_how_far_it_has_looked(admin_client, events, monkeypatch):
    monkeypatch.setattr("logs.reading.pages.MAX_SCANNED", 10)
    page = read(admin_client, EVENTS, webhook="none such")
    assert shown(page) == []
    assert "rows; continue with Next." in page.content.decode()
    assert page.context["older_link"]


def test_marks_what_nobody_has_signed(admin_client):
    make_event(1, verified=False).save()
    assert "not signed" in read(admin_client, EVENTS).content.decode()


@pytest.mark.parametrize("url", [EVENTS, f"{EVENTS}?search=event-1", NEWER_EVENTS, SUGGESTIONS, DELIVERIES])
def test_staff_without_the_permission_see_nothing(client, url):
    make_event(1).save()
    user = get_user_model().objects.create_user("staff", is_staff=True)
    client.force_login(user)
    assert client.get(url).status_code == 403


def test_lists_deliveries_by_outcome_with_the_reason(admin_client, deliver, workflow_document):
    deliver(workflow_document(1))
    deliver(b"[1, 2]")
    page = read(admin_client, DELIVERIES, outcome="unverified,malformed,forbidden,rejected")
    assert [row.outcome for row in page.context["rows"]] == ["malformed"]
    assert "not a JSON object but a JSON array" in page.content.decode()


def test_offers_to_verify_again_to_those_who_may(client, deliver):
    deliver(b"[1, 2]")
    user = get_user_model().objects.create_user("staff", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(user)
    assert "_selected_action" not in read(client, DELIVERIES).content.decode()
    user.user_permissions.add(Permission.objects.get(codename="replay_delivery"))
    page = read(client, DELIVERIES).content.decode()
    assert "_selected_action" in page
    assert f'value="{Delivery.objects.get().pk}"' in page


def test_suggesting_reads_an_index_from_value_to_value(admin_client, django_assert_num_queries):
    WorkflowEvent.objects.bulk_create(make_event(number, branch=f"branch-{number % 9}") for number in range(2_000))
    analyze()
    with django_assert_num_queries(3) as captured:  # session, user, the values
        read(admin_client, SUGGESTIONS, column="branch", start="b")
    assert_reads_little(captured.captured_queries[-1]["sql"], "event_branch_newest", most=50)


def test_looking_for_newer_ones_reads_only_these(admin_client, django_assert_num_queries):
    WorkflowEvent.objects.bulk_create(make_event(number) for number in range(2_000))
    analyze()
    cursor = read(admin_client, EVENTS).context["live_cursor"]
    make_event(2_001, received_at=datetime.now(UTC)).save()
    with django_assert_num_queries(3) as captured:
        assert read(admin_client, NEWER_EVENTS, cursor=cursor).json()["html"].count("<tr") == 1
    # PostgreSQL still meets the rows that other tests have rolled back.
    assert_reads_little(captured.captured_queries[-1]["sql"], "event_newest", is_range=True, most=500)


def test_links_an_event_for_those_only_who_may_view_it(staff_with, deliver, workflow_document):
    deliver(workflow_document())
    event = WorkflowEvent.objects.get()
    assert str(event) in read(staff_with("view_delivery"), DELIVERIES).content.decode()
    assert page_of(event) not in read(staff_with("view_delivery", username="one"), DELIVERIES).content.decode()
    both = staff_with("view_delivery", "view_workflowevent", username="two")
    assert page_of(event) in read(both, DELIVERIES).content.decode()


@pytest.mark.parametrize("url", ["/admin/logs/delivery/", "/admin/logs/workflowevent/", "/admin/pipelines/"])
def test_a_chip_may_name_any_parameter(admin_client, url):
    answer = admin_client.get(url, {"set": "query=1"}, follow=True)
    assert answer.status_code == 400
    assert "Unknown parameter &#x27;query&#x27;" in answer.content.decode()
