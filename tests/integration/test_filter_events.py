"""What the list's parameters choose, and what they refuse."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.models import WorkflowEvent
from logs.reading import pages, search

pytestmark = pytest.mark.django_db

URL = "/fetch-webhooks-logs"
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
PROJECT_ID = "3f8e2c11-94a7-4a52-8d0c-6a1f5e7b9d20"

# fmt: off
DEPLOY = {
    "event_id": "deploy", "event_type": "workflow-completed", "status": "failed",
    "project": "press", "project_slug": "github/orchard/press", "project_id": PROJECT_ID, "organization": "orchard",
    "workflow": "deploy", "workflow_id": "workflow-1", "pipeline_id": "pipeline-1", "pipeline_number": 41,
    "branch": "feature/login-form", "revision": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", "author": "Rosa Lindqvist",
    "commit_subject": "Mend the gate's hinge (v1.2)", "name": "deploys", "trigger": "api",
    "happened_at": NOW - timedelta(hours=2), "received_at": NOW - timedelta(hours=1), "duration_seconds": 90.5,
    "verified": True,
}
TEST = {
    "event_id": "test", "event_type": "job-completed", "status": "success",
    "project": "cellar", "project_slug": "github/orchard/cellar", "organization": "meadow",
    "workflow": "test", "workflow_id": "workflow-2", "pipeline_id": "pipeline-2", "pipeline_number": 7, "job": "unit",
    "tag": "v1.2", "revision": "0a1bffffffffffffffffffffffffffffffffffff", "author": "Ada Östberg",
    "commit_subject": "Öffne das Tor", "name": "builds", "trigger": "webhook",
    "happened_at": NOW - timedelta(days=3), "received_at": NOW - timedelta(days=2), "duration_seconds": 0,
    "verified": False,
}
BARE = {"event_id": "bare", "received_at": NOW - timedelta(days=30), "verified": True}
# fmt: on


@pytest.fixture
def find(reader):
    """Log the three events, ask for the list with some parameters at ten o'clock, and return the ids."""
    for event in (BARE, TEST, DEPLOY):
        WorkflowEvent.objects.create(**event)

    def ask(**parameters):
        with time_machine.travel(NOW, tick=False):
            answer = reader.get(URL, parameters)
        assert answer.status_code == 200, answer.content
        return [event["id"] for event in answer.json()]

    return ask


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("project", "press", ["deploy"]),
        ("project", "github/orchard/cellar", ["test"]),
        ("project", PROJECT_ID, ["deploy"]),
        ("project", "gh/orchard/press", ["deploy"]),
        ("project", "GH/orchard/press", ["deploy"]),
        ("project", "GitHub/orchard/press", ["deploy"]),
        ("project", "bb/orchard/cellar", []),
        ("project", "gh/orchard/Press", ["deploy"]),
        ("project", "gh/orchard/*", ["deploy", "test"]),
        ("project", "gh/orchard", []),
        ("project", "https://app.circleci.com/pipelines/github/orchard/press", ["deploy"]),
        ("project", "https://app.circleci.com/pipelines/gh/orchard/press?branch=main", ["deploy"]),
        ("project", "https://app.circleci.com/pipelines/gh/orchard/press/41/workflows/a", ["deploy"]),
        ("project", "https://app.circleci.com/settings/project/github/orchard/press#x", ["deploy"]),
        ("project", "https://circleci.com/gh/orchard/press/41", ["deploy"]),
        ("project", "https://app.circleci.com/pipelines/github/orchard", []),
        ("project", PROJECT_ID.upper(), ["deploy"]),
        ("project", "Press", ["deploy"]),
        ("project", "*R*", ["deploy", "test"]),
        ("organization", "meadow", ["test"]),
        ("organization", "MEA*", ["test"]),
        ("workflow", "deploy", ["deploy"]),
        ("workflow", "DEPLOY", ["deploy"]),
        ("job", "unit", ["test"]),
        ("job", "U*", ["test"]),
        ("status", "failed", ["deploy"]),
        ("status", "failed,success", ["deploy", "test"]),
        ("status", "error,failing", []),
        ("status", ["failed", "success"], ["deploy", "test"]),
        ("status", ["error,failed", "success"], ["deploy", "test"]),
        ("status", ["failed", "failed"], ["deploy"]),
        ("status", "FAILED,Error", ["deploy"]),
        ("event_type", "job-completed", ["test"]),
        ("event_type", "Job-*", ["test"]),
        ("branch", "feature/login-form", ["deploy"]),
        ("branch", "feature", []),
        ("branch", "Feature/*", ["deploy"]),
        ("tag", "v1.2", ["test"]),
        ("tag", "V1.*", ["test"]),
        ("revision", "0a1b", ["deploy", "test"]),
        ("revision", "0a1b2", ["deploy"]),
        ("revision", DEPLOY["revision"], ["deploy"]),
        ("revision", "0A1B2", ["deploy"]),
        ("revision", "0a1B2", ["deploy"]),
        ("revision", DEPLOY["revision"].upper(), ["deploy"]),
        ("revision", "0A1BE", []),
        ("revision", "%%%%", []),
        ("revision", "____", []),
        ("author", "Rosa Lindqvist", ["deploy"]),
        ("author", "rosa*", ["deploy"]),
        ("author", "ADA ÖSTBERG", ["test"]),
        ("webhook", "builds", ["test"]),
        ("webhook", "BUILD*", ["test"]),
        ("pipeline", "41", ["deploy"]),
        ("workflow_id", "workflow-2", ["test"]),
        ("workflow_id", "Workflow-2", []),
        ("pipeline_id", "pipeline-1", ["deploy"]),
        ("trigger", "API", ["deploy"]),
        ("happened_after", "2026-05-04T08:00:00Z", ["deploy"]),
        ("happened_after", "2026-05-04T08:00:00.000001Z", []),
        ("happened_before", "2026-05-04T08:00:00Z", ["test"]),
        ("happened_before", "2026-05-04T10:00:01+02:00", ["deploy", "test"]),
        ("happened_before", "2026-05-04T10:00:01 02:00", ["deploy", "test"]),
        ("happened_after", "1777881600", ["deploy"]),
        ("happened_after", "1777881600000", ["deploy"]),
        ("happened_after", "1777881600001", []),
        ("received_after", "24h", ["deploy"]),
        ("received_after", "7d", ["deploy", "test"]),
        ("received_after", "60m", ["deploy"]),
        ("received_after", "2026-05-02", ["deploy", "test"]),
        ("received_before", "24h", ["test", "bare"]),
        ("min_duration", "90.5", ["deploy"]),
        ("min_duration", "0", ["deploy", "test"]),
        ("max_duration", "90", ["test"]),
        ("verified", "true", ["deploy", "bare"]),
        ("verified", "false", ["test"]),
        *(("verified", spelling, ["deploy", "bare"]) for spelling in ("True", "TRUE", "1")),
        *(("verified", spelling, ["test"]) for spelling in ("False", "FALSE", "0")),
        ("q", "hinge", ["deploy"]),
        ("q", "GATE mend", ["deploy"]),
        ("q", "login", ["deploy"]),
        ("q", "lindqvist deploy", ["deploy"]),
        ("q", "unit", ["test"]),
        ("q", "gate unit", []),
        ("q", "logi", ["deploy"]),
        ("q", "mend LOG", ["deploy"]),
        ("q", "lo", []),
        ("q", "logi mend", []),
        ("q", "v1.2", ["deploy"]),
        ("q", "Tor Östberg", ["test"]),
        ("q", "öffne", ["test"]),
        ("q", 'hinge" OR "unit', []),
        ("q", "hinge & !gate | unit:*", []),
        ("q", "NOT hinge", []),
        ("q", "'gate' (mend) <-> -the", ["deploy"]),
    ],
)
def test_chooses(find, name, value, found):
    assert find(**{name: value}) == found


@pytest.mark.parametrize(
    ("words", "found"),
    [("login", ["deploy"]), ("öffne", ["test"]), ("gate unit", []), ("logi", ["deploy"]), ("ogin", [])],
)
def test_words_find_the_same_where_they_are_taken_for_very_frequent_ones(find, monkeypatch, words, found):
    monkeypatch.setattr(search, "FEW", -1)
    monkeypatch.setattr(search, "MANY", -1)
    with CaptureQueriesContext(connection) as captured:
        assert find(q=words) == found
    looked_up = [query["sql"] for query in captured if "LIMIT 0" in query["sql"]]
    assert len(looked_up) == (connection.vendor == "sqlite")


@pytest.mark.parametrize(
    ("subject", "found", "missed"),
    [
        (
            "ログイン画面の不具合を修正",
            ["修正", "ログイン", "ﾛｸﾞｲﾝ", "の", "画面 修正", "修正 画面", "面の不"],
            ["正修", "修理", "画修"],
        ),
        ("login画面のbugを修正 (v2)", ["login 修正", "BUG 修", "修正 v2", "画面 deploy", "login画面"], ["login 修理"]),
        ("ﾛｸﾞｲﾝ画面", ["ログイン", "ﾛｸﾞｲﾝ", "グ", "ログイン 画面"], ["ログアウト"]),
        ("\u30cf\u3099\u30af\u3099を直す", ["バグ", "直す"], ["バク直"]),
        ("修复登录页面的问题", ["登录", "页", "登录页面", "问题 修复"], ["录登", "登陆"]),
        ("𠮷野家のメニュー", ["𠮷", "𠮷野家"], ["吉野家"]),
        ("แก้ไขหน้าเข้าสู่ระบบ", ["หน้า", "เข้าสู่ระบบ", "แก้ไข"], ["ออกจาก"]),
        ("ແກ້ໄຂໜ້າເຂົ້າສູ່ລະບົບ", ["ໜ້າ", "ລະບົບ"], ["ອອກ"]),
        ("កែទំព័រចូល", ["ទំព័រ", "ចូល"], ["ចេញ"]),
        ("ဝင်ရောက်မှုကိုပြင်ပါ", ["ပြင်", "ဝင်ရောက်"], ["ထွက်"]),
        ("로그인을 수정", ["로그인", "수정 로그"], ["로그아웃"]),
        ("Öffne 登录", ["öffne 登", "ÖFFNE 登"], ["schließe 登"]),
    ],
)
def test_finds_words_of_scripts_without_spaces_as_parts_of_the_text(reader, subject, found, missed):
    WorkflowEvent.objects.create(**DEPLOY | {"commit_subject": subject})
    WorkflowEvent.objects.create(**TEST)
    for words in found:
        assert [event["id"] for event in reader.get(URL, {"q": words}).json()] == ["deploy"], words
    for words in missed:
        assert reader.get(URL, {"q": words}).json() == [], words


@pytest.mark.parametrize("column", ["commit_subject", "branch", "author", "workflow", "job"])
def test_finds_words_of_scripts_without_spaces_in_every_searched_column(reader, column):
    WorkflowEvent.objects.create(**TEST | {column: "画面の修正版"})
    assert len(reader.get(URL, {"q": "修正"}).json()) == 1
    assert len(reader.get(URL, {"q": "修正", "ordering": "-duration", "status": "success"}).json()) == 1


def test_words_of_scripts_without_spaces_are_found_on_a_later_page(many, monkeypatch):
    monkeypatch.setattr(pages, "MAX_SCANNED", 50)
    WorkflowEvent.objects.filter(event_id__in=["event-7", "event-299"]).update(commit_subject="画面の修正")
    ids, count = follow(many, f"{URL}?q={quote('修正')}")
    assert ids == ["event-7", "event-299"]
    assert 3 <= count <= 300 // 50 + 1


def test_chooses_what_meets_every_condition(find):
    assert find(status="failed", project="press", q="gate", received_after="24h", min_duration="1") == ["deploy"]
    assert find(status="failed", project="cellar") == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("verified", "yes", "true or false"),
        ("verified", "2", "true or false"),
        ("pipeline", "seven", "whole number"),
        ("pipeline", "-1", "greater than or equal to 0"),
        ("pipeline", "9" * 40, "less than or equal to"),
        ("pipeline", "9" * 5_000, "whole number"),
        ("min_duration", "long", "number"),
        ("min_duration", "nan", "number"),
        ("max_duration", "1e999", "number"),
        ("max_duration", "-1", "greater than or equal to 0"),
        ("received_after", "yesterday", "ISO 8601 (2026-05-04T10:00Z), seconds or milliseconds since 1970, or an age"),
        ("received_after", "-1764345600000", "Invalid time"),
        ("received_after", "17643456000", "Invalid time"),
        ("received_after", "1764345600000ms", "Invalid time"),
        ("received_before", "0001-01-01T00:00+14:00", "Invalid time"),
        ("happened_after", "9999-12-31T23:59-14:00", "Invalid time"),
        ("happened_before", "١d", "Invalid time"),
        ("revision", "abc", "at least 4"),
        ("status", "failed,", "between commas"),
        ("status", ",", "between commas"),
        ("status", ["failed", "success,"], "between commas"),
        ("branch", "x" * 501, "at most 500"),
        ("branch", "a\x00b", "Null characters"),
        ("q", " - ", "a letter or a digit"),
        ("q", "\x00", "Null characters"),
    ],
)
def test_refuses_a_value_and_says_what_was_wanted(reader, name, value, words):
    answer = reader.get(URL, {name: value})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_parameter"
    assert answer.json()["detail"].startswith(f"{name}: ")
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("asked", ["ab12cd34", "AB12CD34", "Ab12cD34"])
@pytest.mark.parametrize("sent", ["ab12cd34e", "AB12CD34E"])
def test_finds_a_hash_however_its_case_was_sent(reader, sent, asked):
    WorkflowEvent.objects.create(**TEST | {"revision": sent})
    WorkflowEvent.objects.create(**DEPLOY | {"revision": "ab12cd35e"})
    (event,) = reader.get(URL, {"revision": asked}).json()
    assert event["revision"] == sent


def test_the_case_of_a_revision_that_is_no_hash_matters(reader):
    WorkflowEvent.objects.create(**TEST | {"revision": "r4711-trunk"})
    assert len(reader.get(URL, {"revision": "r4711-t"}).json()) == 1
    assert reader.get(URL, {"revision": "R4711-T"}).json() == []


def test_finds_a_project_of_bitbucket_by_both_spellings(reader):
    WorkflowEvent.objects.create(**TEST | {"project_slug": "bitbucket/orchard/cellar"})
    for slug in ("bb/orchard/cellar", "bitbucket/orchard/cellar", "BB/orchard/cellar"):
        assert len(reader.get(URL, {"project": slug}).json()) == 1


@pytest.mark.parametrize("name", ["workflow_id", "pipeline_id"])
@pytest.mark.parametrize("sent", [PROJECT_ID, PROJECT_ID.upper()])
def test_finds_an_id_in_upper_case(reader, name, sent):
    WorkflowEvent.objects.create(**TEST | {name: sent})
    assert len(reader.get(URL, {name: PROJECT_ID.upper()}).json()) == 1


def test_the_links_of_a_page_keep_a_repeated_list(find, reader):
    find()
    answer = reader.get(f"{URL}?status=success&limit=1&status=failed")
    following = re.search(r'<([^>]*)>; rel="next"', answer.headers["Link"])[1]
    assert [each["id"] for each in answer.json() + reader.get(following).json()] == ["deploy", "test"]


def test_finds_words_of_the_newest_version_only(reader):
    event = WorkflowEvent.objects.create(**DEPLOY)
    event.commit_subject = "Replace the gate's latch"
    event.save()
    found = {word: len(reader.get(URL, {"q": word}).json()) for word in ("hinge", "latch", "gate")}
    assert found == {"hinge": 0, "latch": 1, "gate": 1}
    event.delete()
    assert reader.get(URL, {"q": "latch"}).json() == []


@pytest.mark.parametrize(
    ("ordering", "found"),
    [
        ("received_at", ["bare", "test", "deploy"]),
        ("-received_at", ["deploy", "test", "bare"]),
        ("happened_at", ["bare", "test", "deploy"]),
        ("-happened_at", ["deploy", "test", "bare"]),
        ("duration", ["bare", "test", "deploy"]),
        ("-duration", ["deploy", "test", "bare"]),
    ],
)
def test_orders(find, ordering, found):
    assert find(ordering=ordering) == found


@pytest.mark.parametrize("ordering", ["status", "-", "--received_at", "received_at,id"])
def test_refuses_another_ordering_and_names_those_there_are(reader, ordering):
    answer = reader.get(URL, {"ordering": ordering})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_ordering"
    assert "received_at, -received_at, happened_at, -happened_at, duration, -duration" in answer.json()["detail"]


def test_a_cursor_belongs_to_its_ordering(find, reader):
    find()
    cursor = re.search(r"cursor=([^&>]+)", reader.get(URL, {"limit": 1, "ordering": "-duration"}).headers["Link"])[1]
    assert reader.get(URL, {"ordering": "-duration", "cursor": cursor}).status_code == 200
    assert reader.get(URL, {"ordering": "duration", "cursor": cursor}).json()["code"] == "invalid_cursor"


def follow(reader, address, relation="next"):
    """Return the ids of all pages and how many pages there were."""
    ids, count = [], 0
    while address:
        answer = reader.get(address)
        assert answer.status_code == 200, answer.content
        ids += [event["id"] for event in answer.json()]
        count += 1
        links = dict(re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["Link"]))
        address = {name: url for url, name in links.items()}.get(relation)
    return ids, count


@pytest.fixture
def many(reader):
    """Log 300 events: many of one moment, of one duration or without any, every seventh failed."""
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=f"event-{number}",
            received_at=NOW - timedelta(minutes=number // 10),
            happened_at=None if number % 5 == 0 else NOW - timedelta(minutes=number * 7 % 40),
            duration_seconds=None if number % 4 == 0 else number % 13,
            status="success" if number % 7 else "failed",
            project="press" if number % 2 else "cellar",
            verified=bool(number % 90),
        )
        for number in range(300)
    )
    return reader


@pytest.mark.parametrize("scanned", [7, 10_000])
@pytest.mark.parametrize(
    "ordering", ["received_at", "-received_at", "happened_at", "-happened_at", "duration", "-duration"]
)
@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 300),
        ({"project": "press"}, 150),
        ({"project": "press", "status": "failed"}, 21),
        ({"verified": "false"}, 4),
    ],
)
def test_following_next_gives_every_match_once_in_order_however_short_the_pages(
    many, monkeypatch, scanned, ordering, filters, count
):
    monkeypatch.setattr(pages, "MAX_SCANNED", scanned)
    query = "&".join(f"{name}={value}" for name, value in {**filters, "ordering": ordering, "limit": 9}.items())
    ids, _ = follow(many, f"{URL}?{query}")
    assert len(ids) == len(set(ids)) == count
    column = {"duration": "duration_seconds"}.get(ordering.lstrip("-"), ordering.lstrip("-"))
    events = {event.event_id: event for event in WorkflowEvent.objects.all()}
    keys = [(getattr(events[one], column) is not None, getattr(events[one], column), events[one].pk) for one in ids]
    keys = [(known, value if known else 0, pk) for known, value, pk in keys]
    assert keys == sorted(keys, reverse=ordering.startswith("-"))


@pytest.mark.parametrize("scanned", [7, 10_000])
def test_prev_leads_back_through_the_same_events(many, monkeypatch, scanned):
    monkeypatch.setattr(pages, "MAX_SCANNED", scanned)
    address = f"{URL}?project=press&status=failed&limit=4"
    forwards, _ = follow(many, address)
    address = f"{address}&ordering=received_at"
    upwards, _ = follow(many, address)
    assert upwards == forwards[::-1]


def test_a_search_that_finds_nothing_ends_without_next_once_all_is_searched(many, monkeypatch):
    monkeypatch.setattr(pages, "MAX_SCANNED", 50)
    ids, count = follow(many, f"{URL}?event_type=unheard-of")
    assert ids == []
    assert 3 <= count <= 300 // 50 + 1


def test_relative_times_stand_still_while_pages_are_followed(reader):
    for minutes in range(1, 50):
        WorkflowEvent.objects.create(
            event_id=f"event-{minutes}", received_at=NOW - timedelta(minutes=minutes), verified=True
        )
    with time_machine.travel(NOW, tick=False) as clock:
        answer = reader.get(URL, {"received_after": "30m", "ordering": "received_at", "limit": 10})
        link = re.search(r'<([^>]*)>; rel="next"', answer.headers["Link"])[1]
        assert "received_after=2026-05-04T09%3A30%3A00%2B00%3A00" in link
        clock.shift(timedelta(minutes=25))
        assert len(follow(reader, link)[0]) == 20
