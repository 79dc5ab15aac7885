"""Feeds show the state of branches at secret URLs, and nothing that they may not show."""

import json
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import feedparser
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.models import Feed, Standing, StateChange, WorkflowEvent
from tests.integration.standings_log import DAY, HOUR, MINUTE

pytestmark = pytest.mark.django_db

MARKUP = '<script>alert(\'&"1")</script>\x08\ufffe'
FILES = ["badge.svg", "badge.json", "cc.xml", "changes.atom"]
NAMES = {"project_slug": "github/acme/press", "project": "press", "workflow": "build", "branch": "main"}


def add_feed(**columns):
    """Add a feed and return the start of its URLs."""
    _, token = Feed.issue(created_by="ops", **{"name": "press"} | columns)
    return f"/feeds/{token}/"


def add_standing(tone="good", *, age=MINUTE, status="", **columns):
    """Add a standing whose deciding run ended so long ago."""
    columns = NAMES | columns
    ended = datetime.now(UTC) - age
    event = WorkflowEvent.objects.create(
        event_id=f"event {WorkflowEvent.objects.count()}",
        event_type="workflow-completed",
        status=status or {"good": "success", "bad": "failed"}.get(tone, ""),
        url="https://app.circleci.com/pipelines/github/acme/press/7/workflows/1",
        received_at=ended,
        verified=True,
        **columns,
    )
    return Standing.objects.create(
        tone=tone,
        failures=int(tone == "bad"),
        last=event,
        pipeline_number=7,
        stopped_at=ended,
        last_run_at=ended,
        **columns,
    )


def add_change(kind="broke", *, age=MINUTE, quiet_reason="", **columns):
    happened = datetime.now(UTC) - age
    return StateChange.objects.create(
        kind=kind,
        pipeline_number=7,
        revision="a" * 40,
        author="Wilma Quince",
        subject="Press the apples",
        happened_at=happened,
        noted_at=happened,
        failures=1,
        broken_for_seconds=7200 if kind == "fixed" else None,
        quiet_reason=quiet_reason,
        **NAMES | columns,
    )


def get_badge(client, url, **query):
    return json.loads(client.get(f"{url}badge.json", query).content)


# Who may see what.


@pytest.mark.parametrize("file", FILES)
def test_an_unknown_token_a_revoked_one_and_foreign_names_get_the_same_404(client, file):
    url, mine = add_feed(), add_feed(projects="github/acme/press", workflows="build", branches="<default>")
    add_standing()
    add_standing(project="cider", project_slug="github/acme/cider")
    Feed.objects.first().delete()
    asked = [f"{url}{file}", f"/feeds/nothing/{file}", f"/feeds/{'x' * 500}/{file}", f"/feeds/%00/{file}"]
    asked += [f"{mine}{file}?{name}" for name in ("project=cider", "workflow=deploy", "branch=shed", "project=unheard")]
    answers = {(answer.status_code, answer.content) for answer in map(client.get, asked)}
    assert answers == {(404, b"There is no such feed.\n")}


def test_a_feed_shows_only_what_its_patterns_select(client):
    add_standing("bad", project="cider", project_slug="github/acme/cider")
    add_standing("bad", branch="shed")
    add_standing("bad", workflow="deploy")
    add_standing()
    url = add_feed(projects="press", workflows="!deploy", branches="<default>")
    assert get_badge(client, url, branches="all")["message"] == "passing"
    assert get_badge(client, add_feed(), branches="all")["message"] == "3 of 4 failing"


@pytest.mark.parametrize("file", FILES)
def test_sets_no_cookie_and_answers_304_until_something_changes(client, file):
    url = f"{add_feed()}{file}"
    add_standing()
    add_change()
    first = client.get(url)
    again = client.get(url, headers={"if-none-match": first["ETag"]})
    Standing.objects.update(tone="bad", failures=1)
    add_change("fixed")
    changed = client.get(url, headers={"if-none-match": first["ETag"]})
    assert [each.status_code for each in (first, again, changed)] == [200, 304, 200]
    assert (first["Cache-Control"], dict(client.cookies)) == ("no-cache", {})
    assert client.head(url).status_code == 200
    assert client.post(url).status_code == 405


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("stale=soon", "stale must be an age"),
        ("stale=0d", "stale must be an age"),
        ("colour=red", "Unknown parameter 'colour'"),
        ("branch=a&branch=b", "branch is given 2 times"),
        (f"project={'p' * 501}", "longer than 500 characters"),
        ("workflow=%00", "contains NUL"),
    ],
)
def test_an_invalid_query_is_explained(client, query, words):
    answer = client.get(f"{add_feed()}badge.svg?{query}")
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert words in answer.content.decode()


@pytest.mark.parametrize("file", FILES)
def test_the_queries_do_not_grow_with_the_branches(client, file):
    url = add_feed(branches="<default>")
    add_standing()
    rows = [Standing(**NAMES | {"branch": f"b-{n}"}, tone="good", last_run_at=datetime.now(UTC)) for n in range(2_000)]
    Standing.objects.bulk_create(rows)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(f"{url}{file}", {"branches": "all"}).status_code == 200
    assert len(captured) <= 3


def test_at_most_500_branches_are_shown(client):
    rows = [Standing(**NAMES | {"branch": f"b-{n}"}, tone="good", last_run_at=datetime.now(UTC)) for n in range(600)]
    Standing.objects.bulk_create(rows)
    document = client.get(f"{add_feed()}cc.xml?branches=all").content
    assert len(ET.fromstring(document)) == 500


# Badges.


def passing():
    add_standing()


def failing():
    add_standing("bad")


def one_of_two_failing():
    add_standing("bad")
    add_standing(workflow="deploy")


def failing_long_ago():
    add_standing("bad", age=31 * DAY)


def failing_long_ago_beside_a_success():
    add_standing("bad", age=31 * DAY)
    add_standing(workflow="deploy")


def failing_on_another_branch():
    add_standing("bad", branch="shed")
    add_standing()


def nothing():
    pass


@pytest.mark.parametrize(
    ("fill", "query", "message"),
    [
        (passing, {}, "passing"),
        (failing, {}, "failing"),
        (one_of_two_failing, {}, "1 of 2 failing"),
        (one_of_two_failing, {"workflow": "deploy"}, "passing"),
        (failing_long_ago, {}, "stale"),
        (failing_long_ago, {"stale": "40d"}, "failing"),
        (failing_long_ago_beside_a_success, {}, "passing"),
        (failing_on_another_branch, {}, "passing"),
        (failing_on_another_branch, {"branches": "all"}, "1 of 2 failing"),
        (failing_on_another_branch, {"branches": "sh*"}, "failing"),
        (failing_on_another_branch, {"branch": "shed"}, "failing"),
        (failing_on_another_branch, {"project": "press", "branch": "main"}, "passing"),
        (failing_on_another_branch, {"project": "github/acme/press"}, "passing"),
        (nothing, {}, "no runs"),
    ],
)
def test_a_badge_says_the_state(client, fill, query, message):
    fill()
    assert get_badge(client, add_feed(), **query)["message"] == message


def test_a_badge_becomes_stale_as_time_passes(client, clock):
    url = add_feed()
    add_standing()
    seen = []
    for _ in range(3):
        seen.append(get_badge(client, url, stale="7d")["message"])
        clock.shift(4 * DAY)
    assert seen == ["passing", "passing", "stale"]


def test_shields_json_has_no_unknown_member(client):
    add_standing("bad")
    badge = get_badge(client, add_feed(), workflow="build")
    assert badge == {
        "schemaVersion": 1,
        "label": "build",
        "message": "failing",
        "color": "#b3261e",
        "isError": True,
        "cacheSeconds": 300,
    }


def test_a_hostile_name_is_only_text_in_the_image(client):
    add_standing(workflow=MARKUP)
    answer = client.get(f"{add_feed()}badge.svg", {"workflow": MARKUP})
    root = ET.fromstring(answer.content)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags == {"svg", "title", "clipPath", "rect", "g", "text"}
    assert root.find(".//{*}title").text.startswith('<script>alert(\'&"1")</script>')
    assert answer["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("image/svg+xml", "nosniff")


# cctray.


@pytest.mark.parametrize(
    ("tone", "status", "shown"),
    [
        ("good", "success", "Success"),
        ("bad", "failed", "Failure"),
        ("bad", "error", "Exception"),
        ("bad", "unauthorized", "Exception"),
        ("", "", "Unknown"),
    ],
)
def test_cctray_shows_each_state(client, tone, status, shown):
    standing = add_standing(tone, status=status)
    [project] = ET.fromstring(client.get(f"{add_feed()}cc.xml").content)
    assert project.attrib == {
        "name": "acme/press :: build (main)",
        "activity": "Sleeping",
        "lastBuildStatus": shown,
        "lastBuildLabel": "7",
        "lastBuildTime": f"{standing.stopped_at:%Y-%m-%dT%H:%M:%SZ}",
        "webUrl": "https://app.circleci.com/pipelines/github/acme/press/7/workflows/1",
    }


def test_cctray_survives_hostile_names_and_deleted_runs(client):
    standing = add_standing("bad", project=MARKUP, project_slug="circleci/1/2")
    WorkflowEvent.objects.filter(pk=standing.last_id).delete()
    [project] = ET.fromstring(client.get(f"{add_feed()}cc.xml").content)
    assert project.get("name").startswith('<script>alert(\'&"1")</script>')
    assert (project.get("lastBuildStatus"), project.get("webUrl")) == ("Failure", "http://testserver/admin/")


def test_links_to_the_site_have_its_path_prefix_once(client, settings):
    WorkflowEvent.objects.filter(pk=add_standing("bad").last_id).delete()
    url = add_feed()
    settings.SITE_URL = "https://hooks.example.com/ci"
    settings.FORCE_SCRIPT_NAME = "/ci"
    [project] = ET.fromstring(client.get(f"{url}cc.xml").content)
    assert project.get("webUrl") == "https://hooks.example.com/ci/admin/"


# Atom.


def read_atom(client, url, **query):
    answer = client.get(f"{url}changes.atom", query)
    feed = feedparser.parse(answer.content)
    assert not feed.bozo, feed.get("bozo_exception")
    return feed


def test_atom_has_an_entry_for_each_change(client):
    add_change(age=3 * HOUR)
    add_change("fixed", age=HOUR)
    add_change(quiet_reason="an older pipeline")
    add_change(branch="shed")
    feed = read_atom(client, add_feed(name="Press & friends"))
    fixed, broke = feed.entries
    assert feed.feed.title == "Press & friends"
    assert fixed.title == "press · build fixed on main after 2 h"
    assert broke.title.startswith("press · build broke on main, broken since 20")
    assert broke.summary == "Pipeline 7 · commit aaaaaaa · by Wilma Quince · Press the apples"
    assert broke.summary_detail.type == "text/plain"
    assert len({entry.id for entry in feed.entries}) == 2
    assert all(entry.id.startswith("tag:") for entry in feed.entries)


def test_atom_survives_hostile_names(client):
    add_change(workflow=MARKUP, project=MARKUP)
    [entry] = read_atom(client, add_feed(name="x\x08\ufffe<b>")).entries
    assert entry.title.startswith('<script>alert(\'&"1")</script>')
    assert (entry.title_detail.type, entry.summary_detail.type) == ("text/plain", "text/plain")


def test_atom_without_changes_is_valid(client):
    assert read_atom(client, add_feed()).entries == []


# With a password or a token instead of a secret URL.


def test_monitors_that_sign_in_see_the_branches_of_all_projects(reader, client):
    add_standing()
    add_standing("bad", project="cider", project_slug="github/acme/cider")
    add_standing("bad", branch="feature/pears")
    names = [project.get("name") for project in ET.fromstring(reader.get("/cc.xml").content)]
    assert names == ["acme/cider :: build (main)", "acme/press :: build (main)"]
    assert len(ET.fromstring(reader.get("/cc.xml", {"branches": "all"}).content)) == 3
    answer = reader.get("/cc.xml", {"project": "github/acme/press", "workflow": "build"})
    (project,) = ET.fromstring(answer.content)
    assert project.get("lastBuildStatus") == "Success"
    assert answer.headers["Content-Type"] == "application/xml"
    assert reader.get("/cc.xml", headers={"if-none-match": reader.get("/cc.xml").headers["ETag"]}).status_code == 304
    assert client.get("/cc.xml").status_code == 401


def test_a_monitor_with_a_wrong_parameter_gets_an_error(reader):
    assert reader.get("/cc.xml", {"stale": "7d"}).status_code == 400
    assert reader.get("/cc.xml", {"project": "x" * 501}).status_code == 400
    assert len(ET.fromstring(reader.get("/cc.xml", {"project": "unknown"}).content)) == 0
