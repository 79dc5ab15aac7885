"""What REST clients get from the lists of state changes and standings, and which parameters are errors."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from logs.api.serializers.standings import ChangeSerializer, StandingSerializer
from logs.models import Standing, StateChange, WorkflowEvent
from logs.reading import pages

pytestmark = pytest.mark.django_db

CHANGES, STANDINGS = "/api/changes", "/api/standings"
BOTH = [CHANGES, STANDINGS]
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
PROJECT_ID = "3f8e2c11-94a7-4a52-8d0c-6a1f5e7b9d20"
GONE = 987_654_321  # The key of an event that retention has deleted.
HOSTILE = "<script>alert(1)</script>{{ 7*7 }}\u202e'\""
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
# fmt: off
CHANGE_NAMES = [
    "id", "kind", "project_slug", "project", "workflow", "branch", "event", "pipeline_number", "revision", "author",
    "subject", "happened_at", "noted_at", "broken_for_seconds", "failures", "quiet_reason",
]
STANDING_NAMES = [
    "project_slug", "project", "project_id", "workflow", "branch", "tone", "default_branch", "failures", "broken_at",
    "broken_since", "last", "last_good", "last_good_at", "pipeline_number", "stopped_at", "last_run_at",
]
# fmt: on


def log_run(name, **columns):
    return WorkflowEvent.objects.create(event_id=name, received_at=NOW, verified=True, **columns)


def change(number=0, **columns):
    """Store a change that is `number` minutes old."""
    happened_at = NOW - timedelta(minutes=number)
    defaults = {
        "project_slug": "github/orchard/press",
        "project": "press",
        "workflow": "deploy",
        "branch": "main",
        "kind": "broke",
        "pipeline_number": 100 - number,
        "happened_at": happened_at,
        "noted_at": happened_at + timedelta(seconds=1),
        "failures": 1,
    }
    return StateChange.objects.create(**defaults | columns)


def standing(number=0, **columns):
    """Store the standing of a branch whose newest run is `number` minutes old."""
    tone = columns.get("tone", "good")
    defaults = {
        "project_slug": "github/orchard/press",
        "project": "press",
        "project_id": PROJECT_ID,
        "workflow": "deploy",
        "branch": f"branch-{number}",
        "tone": tone,
        "failures": int(tone == "bad"),
        "last_run_at": NOW - timedelta(minutes=number),
    }
    return Standing.objects.create(**defaults | columns)


MAKE = {CHANGES: change, STANDINGS: standing}
KEY = {CHANGES: "id", STANDINGS: "branch"}


def whole(answer):
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def links_of(answer):
    return {relation: url for url, relation in re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["Link"])}


def follow(reader, address, name, relation="next"):
    """Return a field of the rows of all pages, page by page."""
    found = []
    while address:
        answer = reader.get(address)
        assert answer.status_code == 200, answer.content
        found.append([row[name] for row in answer.json()])
        address = links_of(answer).get(relation)
    return found


# The objects.


@pytest.mark.parametrize("path", [CHANGES, f"{CHANGES}/"])
def test_lists_changes_as_flat_objects(reader, path):
    run = log_run("run-7")
    made = change(
        kind="fixed",
        event=run,
        revision="0a1b2c3d",
        author="Rosa Lindqvist",
        subject="Mend the gate",
        broken_for_seconds=90.5,
        failures=3,
        quiet_reason="imported",
    )
    answer = reader.get(path)
    assert answer.headers["Content-Type"] == "application/json"
    (row,) = answer.json()
    assert list(row) == CHANGE_NAMES == ChangeSerializer.Meta.fields
    assert row == {
        "id": made.pk,
        "kind": "fixed",
        "project_slug": "github/orchard/press",
        "project": "press",
        "workflow": "deploy",
        "branch": "main",
        "event": "run-7",
        "pipeline_number": 100,
        "revision": "0a1b2c3d",
        "author": "Rosa Lindqvist",
        "subject": "Mend the gate",
        "happened_at": "2026-05-04T10:00:00Z",
        "noted_at": "2026-05-04T10:00:01Z",
        "broken_for_seconds": 90.5,
        "failures": 3,
        "quiet_reason": "imported",
    }


@pytest.mark.parametrize("path", [STANDINGS, f"{STANDINGS}/"])
def test_lists_standings_as_flat_objects(reader, settings, path):
    settings.DEFAULT_BRANCHES = ["main"]
    first, last, good = log_run("first"), log_run("last"), log_run("good")
    standing(
        branch="main",
        tone="bad",
        failures=2,
        last=last,
        broken_since=first,
        last_good=good,
        broken_at=NOW - timedelta(hours=2),
        last_good_at=NOW - timedelta(hours=3),
        stopped_at=NOW - timedelta(seconds=2),
        pipeline_number=41,
    )
    (row,) = reader.get(path).json()
    assert list(row) == STANDING_NAMES == StandingSerializer.Meta.fields
    assert row == {
        "project_slug": "github/orchard/press",
        "project": "press",
        "project_id": PROJECT_ID,
        "workflow": "deploy",
        "branch": "main",
        "tone": "bad",
        "default_branch": True,
        "failures": 2,
        "broken_at": "2026-05-04T08:00:00Z",
        "broken_since": "first",
        "last": "last",
        "last_good": "good",
        "last_good_at": "2026-05-04T07:00:00Z",
        "pipeline_number": 41,
        "stopped_at": "2026-05-04T09:59:58Z",
        "last_run_at": "2026-05-04T10:00:00Z",
    }


def test_a_branch_that_no_setting_names_is_not_a_default_branch(reader, settings):
    settings.DEFAULT_BRANCHES = ["github/orchard/press:trunk", "main"]
    standing(1, branch="trunk")
    standing(2, branch="main")
    assert [row["default_branch"] for row in reader.get(STANDINGS).json()] == [True, False]


def test_missing_values_are_null(reader):
    change(project="", project_slug="", pipeline_number=None)
    standing(project="", project_id="")
    (row,) = reader.get(CHANGES).json()
    missing = ("project_slug", "project", "event", "pipeline_number", "revision", "author", "subject", "quiet_reason")
    assert [row[name] for name in missing] == [None] * len(missing)
    (row,) = reader.get(STANDINGS).json()
    missing = ("project", "project_id", "last", "last_good", "broken_since", "broken_at", "last_good_at", "stopped_at")
    assert [row[name] for name in missing] == [None] * len(missing)


@pytest.mark.parametrize("form", ["json", "csv", "ndjson", "api"])
def test_an_event_that_retention_has_deleted_is_null(reader, form):
    kept = log_run("kept")
    change(event_id=GONE)
    standing(last_id=GONE, last_good=kept, broken_since_id=GONE)
    for path in BOTH:
        text = whole(reader.get(f"{path}?format={form}")).decode()
        assert str(GONE) not in text
    (row,) = reader.get(CHANGES).json()
    assert row["event"] is None
    (row,) = reader.get(STANDINGS).json()
    assert (row["last"], row["last_good"], row["broken_since"]) == (None, "kept", None)


def test_leaves_out_standings_that_were_never_judged(reader):
    standing(1)
    # As releases before the watch have left them.
    standing(2, tone="", last_run_at=None)
    standing(3, tone="")
    standing(4, last_run_at=None)
    for ordering in ("last_run_at", "-last_run_at"):
        rows = reader.get(f"{STANDINGS}?ordering={ordering}").json()
        assert [row["branch"] for row in rows] == ["branch-1"]


@pytest.mark.parametrize("path", BOTH)
def test_an_empty_log_is_an_empty_array(reader, path):
    answer = reader.get(path)
    assert answer.json() == []
    assert set(links_of(answer)) == {"first"}


# Filters.


@pytest.fixture
def find(reader):
    """Store three rows for each list, ask for one with some parameters at ten o'clock, and return the workflows."""
    press = {"workflow": "deploy", "branch": "main"}
    cellar = {"project": "cellar", "project_slug": "bitbucket/orchard/cellar", "workflow": "test", "branch": "main"}
    vat = {"project": "vat", "project_slug": "", "workflow": "nightly", "branch": "feature/login"}
    change(60, **press)
    change(24 * 60, kind="fixed", quiet_reason="imported", **cellar)
    change(72 * 60, kind="fixed", **vat)
    standing(60, tone="bad", **press)
    standing(24 * 60, project_id="", **cellar)
    standing(72 * 60, tone="bad", project_id="another", **vat)

    def ask(path, **parameters):
        with time_machine.travel(NOW, tick=False):
            answer = reader.get(path, parameters)
        assert answer.status_code == 200, answer.content
        return [row["workflow"] for row in answer.json()]

    return ask


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("project", "press", ["deploy"]),
        ("project", "github/orchard/press", ["deploy"]),
        ("project", "gh/orchard/press", ["deploy"]),
        ("project", "BB/orchard/cellar", ["test"]),
        ("project", "https://app.circleci.com/pipelines/github/orchard/press/41", ["deploy"]),
        ("project", "Press", []),
        ("project", "pres", []),
        ("project", "%", []),
        ("workflow", "nightly", ["nightly"]),
        ("workflow", "nightly ", []),
        ("branch", "main", ["deploy", "test"]),
        ("branch", "feature", []),
    ],
)
def test_chooses_in_both_lists(find, path, name, value, found):
    assert find(path, **{name: value}) == found


@pytest.mark.parametrize(
    ("path", "name", "value", "found"),
    [
        (STANDINGS, "project", PROJECT_ID, ["deploy"]),
        (STANDINGS, "project", PROJECT_ID.upper(), ["deploy"]),
        (STANDINGS, "tone", "bad", ["deploy", "nightly"]),
        (STANDINGS, "tone", "good", ["test"]),
        (CHANGES, "kind", "broke", ["deploy"]),
        (CHANGES, "kind", "fixed", ["test", "nightly"]),
        *((CHANGES, "loud", spelling, ["deploy", "nightly"]) for spelling in ("true", "TRUE", "1")),
        *((CHANGES, "loud", spelling, ["test"]) for spelling in ("false", "False", "0")),
        (CHANGES, "happened_after", "24h", ["deploy", "test"]),
        (CHANGES, "happened_after", "2026-05-04T09:00:00Z", ["deploy"]),
        (CHANGES, "happened_after", "2026-05-04T09:00:00.000001Z", []),
        (CHANGES, "happened_before", "2026-05-04T09:00:00Z", ["test", "nightly"]),
        (CHANGES, "happened_before", "1777881600000", ["test", "nightly"]),
    ],
)
def test_chooses(find, path, name, value, found):
    assert find(path, **{name: value}) == found


def test_chooses_what_meets_every_condition(find):
    assert find(CHANGES, kind="fixed", loud="true", happened_before="24h", branch="feature/login") == ["nightly"]
    assert find(CHANGES, kind="fixed", loud="true", project="press") == []
    assert find(STANDINGS, tone="bad", branch="main", project="gh/orchard/press", workflow="deploy") == ["deploy"]
    assert find(STANDINGS, tone="good", branch="feature/login") == []


@pytest.mark.parametrize(
    ("path", "query", "detail"),
    [
        (CHANGES, "kind=mended", "kind: mended is not a kind; use broke, fixed."),
        (CHANGES, "kind=BROKE", "kind: BROKE is not a kind; use broke, fixed."),
        (CHANGES, "kind=broke,fixed", "kind: broke,fixed is not a kind; use broke, fixed."),
        (CHANGES, "kind=null", "kind: null is not a kind; use broke, fixed."),
        (CHANGES, "kind=broke&kind=fixed", "kind is given 2 times; give it once."),
        (CHANGES, "kind=", "kind is empty; leave it out, or give a value."),
        (CHANGES, "kind=%00", "kind: \x00 is not a kind; use broke, fixed."),
        (CHANGES, "loud=yes", "loud: It must be true or false."),
        (
            CHANGES,
            f"project={PROJECT_ID.upper()}",
            "project: Changes have no project id: use the project's name or slug.",
        ),
        (CHANGES, "ordering=noted_at", "ordering must be one of: happened_at, -happened_at."),
        (CHANGES, "ordering=-received_at", "ordering must be one of: happened_at, -happened_at."),
        (STANDINGS, "tone=red", "tone: red is not a tone; use good, bad."),
        (STANDINGS, "tone=waiting", "tone: waiting is not a tone; use good, bad."),
        (STANDINGS, "ordering=happened_at", "ordering must be one of: last_run_at, -last_run_at."),
        *((path, "limit=501", "limit must be a whole number from 1 to 500.") for path in BOTH),
        *((path, "format=xml", "format must be one of: json, csv, ndjson, api.") for path in BOTH),
    ],
)
def test_refuses_a_value_and_names_those_there_are(reader, path, query, detail):
    answer = reader.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["detail"] == detail


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("query", "words"),
    [("branch=a%00b", "Null characters"), (f"workflow={'x' * 501}", "at most 500"), ("project=%00", "Null characters")],
)
def test_refuses_texts_that_no_row_can_hold(reader, path, query, words):
    answer = reader.get(f"{path}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "query", "known"),
    [
        (
            CHANGES,
            "tone=bad",
            "bom, branch, cursor, format, happened_after, happened_before, kind, limit, loud, ordering, project, w",
        ),
        (CHANGES, "received_after=24h", "bom, branch,"),
        (STANDINGS, "kind=broke", "bom, branch, cursor, format, limit, ordering, project, tone, workflow"),
        (STANDINGS, "status=failed", "bom, branch,"),
    ],
)
def test_refuses_a_parameter_of_another_list(reader, path, query, known):
    answer = reader.get(f"{path}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter")
    name = query.partition("=")[0]
    assert answer.json()["detail"].startswith(f"Unknown parameter '{name}'; there are: {known}")


# Pages.


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("scanned", [3, 10_000])
@pytest.mark.parametrize("is_descending", [True, False])
@pytest.mark.parametrize("query", ["", "&workflow=deploy", "&project=press&workflow=deploy"])
def test_following_next_gives_every_row_once_and_prev_leads_back(
    reader, monkeypatch, path, scanned, is_descending, query
):
    monkeypatch.setattr(pages, "MAX_SCANNED", scanned)
    # Several rows share a time.
    made = [MAKE[path](number // 4, **({"branch": f"b-{number}"} if path == STANDINGS else {})) for number in range(23)]
    for number in range(23, 30):
        MAKE[path](number, workflow="other", branch=f"b-{number}")
    column = "happened_at" if path == CHANGES else "last_run_at"
    wanted = sorted(made, key=lambda row: (getattr(row, column), row.pk), reverse=is_descending)
    keys = [getattr(row, KEY[path]) for row in wanted]
    address = f"{path}?limit=5&ordering={'-' if is_descending else ''}{column}{query}"
    found = follow(reader, address, KEY[path])
    assert [key for page in found for key in page if key in keys] == keys
    if query:
        assert sum(map(len, found)) == 23
    if scanned == 10_000:
        following = links_of(reader.get(address))["next"]
        back = follow(reader, links_of(reader.get(following))["prev"], KEY[path], "prev")
        assert back[0] == found[0]


@pytest.mark.parametrize("path", BOTH)
def test_the_newest_come_first_fifty_at_a_time(reader, path):
    for number in range(60):
        MAKE[path](number)
    column = "happened_at" if path == CHANGES else "last_run_at"
    rows = reader.get(path).json()
    assert len(rows) == 50
    assert [row[column] for row in rows] == sorted((row[column] for row in rows), reverse=True)
    assert rows[0][column] == "2026-05-04T10:00:00Z"
    assert len(reader.get(f"{path}?limit=500").json()) == 60


@pytest.mark.parametrize("scanned", [2, 10_000])
def test_prev_from_the_newest_rows_gives_what_has_come_since(reader, monkeypatch, scanned):
    monkeypatch.setattr(pages, "MAX_SCANNED", scanned)
    with time_machine.travel(NOW, tick=False):
        for number in range(10, 20):
            change(number)
        following = links_of(reader.get(f"{CHANGES}?limit=1&loud=true"))["next"]
        previous = links_of(reader.get(following))["prev"]
        newest = [change(number, kind=kind).pk for number, kind in ((3, "broke"), (2, "fixed"), (1, "broke"))]
        change(0, quiet_reason="imported")
        found = [key for page in follow(reader, previous.replace("limit=1", "limit=9"), "id", "prev") for key in page]
    assert set(newest) <= set(found)


@pytest.mark.parametrize("path", BOTH)
def test_a_cursor_belongs_to_its_ordering(reader, path):
    for number in range(3):
        MAKE[path](number)
    cursor = re.search(r"cursor=([^&>]+)", reader.get(f"{path}?limit=1").headers["Link"])[1]
    column = "happened_at" if path == CHANGES else "last_run_at"
    assert reader.get(f"{path}?cursor={cursor}&ordering=-{column}").status_code == 200
    for wrong in (f"cursor={cursor}&ordering={column}", "cursor=nonsense", "cursor=%00"):
        assert reader.get(f"{path}?{wrong}").json()["code"] == "invalid_cursor", wrong


def test_relative_times_become_absolute_in_links(reader):
    for number in range(5):
        change(number)
    with time_machine.travel(NOW, tick=False):
        link = links_of(reader.get(f"{CHANGES}?happened_after=30m&limit=2"))["next"]
    assert "happened_after=2026-05-04T09%3A30%3A00%2B00%3A00" in link


# Formats.


def in_cell(value):
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("query", ["", "&limit=50"])
def test_every_format_has_the_same_rows(reader, monkeypatch, path, query):
    monkeypatch.setattr("logs.reading.cursors.STREAM_PAGE_SIZE", 2)
    for number in range(5):
        MAKE[path](number, workflow='Größe, "x"\r\n', project="сад")
    listed = reader.get(path).json()
    lines = whole(reader.get(f"{path}?format=ndjson{query}")).splitlines()
    assert [json.loads(line) for line in lines] == listed
    text = whole(reader.get(f"{path}?format=csv{query}")).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert rows == [{name: in_cell(value) for name, value in row.items()} for row in listed]
    assert text.startswith(",".join(CHANGE_NAMES if path == CHANGES else STANDING_NAMES) + "\r\n")


@pytest.mark.parametrize("path", BOTH)
def test_a_formula_in_csv_becomes_a_text(reader, path):
    MAKE[path](workflow="=1+1", branch="@x")
    (row,) = csv.DictReader(io.StringIO(whole(reader.get(f"{path}?format=csv")).decode(), newline=""))
    assert (row["workflow"], row["branch"]) == ("'=1+1", "'@x")


@pytest.mark.parametrize(("path", "name"), [(CHANGES, "changes"), (STANDINGS, "standings")])
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_an_export_is_a_file_named_with_the_date(reader, path, name, form):
    with time_machine.travel("2026-05-04T23:59Z", tick=False):
        answer = reader.get(f"{path}?format={form}")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}-2026-05-04.{form}"'


@pytest.mark.parametrize("path", BOTH)
def test_hostile_texts_are_escaped_on_the_page(reader, path):
    MAKE[path](workflow=HOSTILE, branch=HOSTILE, project=HOSTILE)
    html = reader.get(path, headers=BROWSER).content.decode()
    assert "<script>alert(1)" not in html
    assert "{{ 7*7 }}" in html
    for name in ("workflow", "tone", "kind", "loud", "happened_after"):
        answer = reader.get(path, {name: HOSTILE}, headers=BROWSER)
        assert "<script>alert(1)" not in answer.content.decode()


@pytest.mark.parametrize(("path", "query"), [(CHANGES, "kind=fixed&loud=true"), (STANDINGS, "tone=good")])
def test_the_form_keeps_what_was_chosen(reader, path, query):
    html = reader.get(f"{path}?{query}", headers=BROWSER).content.decode()
    for value in re.findall(r"=(\w+)", query):
        assert f'<option value="{value}" selected>' in html


@pytest.mark.parametrize("path", BOTH)
def test_a_list_that_has_not_changed_is_a_304(reader, path):
    MAKE[path](1)
    etag = reader.get(path).headers["ETag"]
    assert reader.get(path, headers={"if-none-match": etag}).status_code == 304
    MAKE[path](2)
    assert reader.get(path, headers={"if-none-match": etag}).status_code == 200


# Access.


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("permissions", "status"),
    [([], 403), (["view_delivery", "view_delivery_body"], 403), (["view_workflowevent"], 200)],
)
def test_needs_the_permission_to_view_events(user_with, client_of, path, permissions, status):
    answer = client_of(user_with(*permissions)).get(path)
    assert answer.status_code == status
    if status == 403:
        assert "logs.view_workflowevent" in answer.json()["detail"]


@pytest.mark.parametrize("path", BOTH)
def test_a_setting_opens_both_lists_to_everybody(client, settings, path):
    MAKE[path]()
    assert client.get(path).status_code == 401
    settings.PUBLIC_READ = True
    assert len(client.get(path).json()) == 1


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_lists_are_read_only(reader, path, method):
    assert getattr(reader, method)(path).status_code == 405


@pytest.mark.parametrize("path", [f"{CHANGES}/1", f"{STANDINGS}/1", "/api/change", "/api/standingsx"])
def test_there_is_nothing_below_a_list(reader, path):
    assert reader.get(path).status_code == 404


# Cost.


@pytest.mark.parametrize("path", BOTH)
def test_a_page_costs_one_query_besides_the_session(reader, django_assert_num_queries, path):
    for number in range(30):
        run = log_run(f"run-{number}")
        MAKE[path](number, **({"event": run} if path == CHANGES else {"last": run, "last_good": run}))
    with django_assert_num_queries(5):  # session, user, two for permissions, the rows with their events
        reader.get(path)


@pytest.mark.parametrize("path", BOTH)
def test_an_export_costs_one_query_for_each_of_its_pages(reader, monkeypatch, django_assert_num_queries, path):
    monkeypatch.setattr("logs.reading.cursors.STREAM_PAGE_SIZE", 10)
    for number in range(25):
        MAKE[path](number)
    with django_assert_num_queries(4 + 3):
        whole(reader.get(f"{path}?format=csv"))
