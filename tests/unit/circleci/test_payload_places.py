"""A column is read from the first place that holds it, and from nothing that only looks like it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from logs.circleci.payload import read_event


def read(**blocks):
    return read_event(json.dumps({"id": "e", "type": "workflow-completed"} | blocks).encode())


def read_pipeline(vcs=None, **parameters):
    return read(pipeline={"vcs": vcs, "trigger_parameters": parameters})


@pytest.mark.parametrize(
    ("sources", "branch"),
    [
        ({"vcs": {"branch": "a"}, "git": {"branch": "b"}}, "a"),
        ({"git": {"branch": "b"}, "gitlab": {"branch": "c"}}, "b"),
        ({"vcs": {"branch": ""}, "git": {"branch": ""}, "gitlab": {"branch": "c"}}, "c"),
        ({"vcs": {"branch": None}, "git": {"branch": 5}, "github_app": {"branch": "d"}}, "d"),
        ({"git": "no block", "gitlab": [], "github_app": {"branch": "d"}}, "d"),
        ({"git": {"ref": "refs/heads/feature/b"}}, "feature/b"),
        ({"git": {"branch": "", "ref": "refs/heads/b"}, "github_app": {"full_ref": "refs/heads/c"}}, "b"),
        ({"git": {"ref": "refs/tags/b"}, "github_app": {"full_ref": "refs/heads/c", "ref": "c"}}, "c"),
        ({"github_app": {"ref": "refs/heads/d"}}, "d"),
        ({"vcs": {"branch": None}, "gitlab": {"ref": "refs/heads/e"}}, "e"),
        ({"gitlab": {"branch": "f"}, "git": {"ref": "refs/heads/b"}}, "f"),
        ({"git": {"branch": "refs/heads/b"}}, "b"),
        ({"git": {"ref": "refs/heads/refs/heads/b"}}, "refs/heads/b"),
        ({"git": {"ref": "refs/heads/" + "b" * 300}}, "b" * 255),
        ({"vcs": {"branch": None}, "git": {"ref": "refs/tags/v1", "tag": "v1"}}, ""),
        ({"git": {"ref": "refs/pull/7/head"}}, ""),
        ({"git": {"ref": "refs/merge-requests/1/head"}}, ""),
        ({"git": {"ref": "refs/heads/"}}, ""),
        ({"git": {"ref": "b"}}, ""),
        ({"git": {"ref": ["refs/heads/b"]}}, ""),
    ],
)
def test_branch_comes_from_vcs_then_git_then_the_provider_then_a_full_ref(sources, branch):
    assert read_pipeline(**sources).branch == branch


@pytest.mark.parametrize(
    ("sources", "tag"),
    [
        ({"vcs": {"tag": "a"}, "git": {"tag": "b"}}, "a"),
        ({"vcs": {"tag": ""}, "git": {"tag": "b", "ref": "refs/tags/c"}}, "b"),
        ({"git": {"tag": "", "ref": "refs/tags/c"}, "github_app": {"full_ref": "refs/tags/d"}}, "c"),
        ({"git": {"ref": "refs/heads/c"}, "github_app": {"full_ref": "refs/tags/d"}}, "d"),
        ({"github_app": {"ref": "refs/tags/g"}}, "g"),
        ({"gitlab": {"ref": "refs/tags/h"}}, "h"),
        ({"git": {"tag": ""}, "gitlab": {"tag": "e", "ref": "refs/tags/f"}}, "e"),
        ({"git": {"ref": "refs/tags/releases/8"}}, "releases/8"),
        ({"git": {"tag": "refs/tags/b"}}, "b"),
        ({"git": {"ref": "refs/tags/" + "b" * 300}}, "b" * 255),
        ({"git": {"ref": "refs/merge-requests/1/head"}}, ""),
        ({"git": {"ref": "refs/heads/main"}, "github_app": {"full_ref": "refs/heads/main"}}, ""),
        ({"git": {"ref": "refs/heads/refs/tags/e"}}, ""),
        ({"git": {"ref": "v1"}}, ""),
        ({"git": {"ref": "refs/tags/"}}, ""),
        ({"git": {"ref": ["refs/tags/c"]}}, ""),
    ],
)
def test_tag_comes_from_vcs_then_git_then_a_full_ref(sources, tag):
    assert read_pipeline(**sources).tag == tag


@pytest.mark.parametrize(
    ("sources", "revision"),
    [
        ({"vcs": {"revision": "a"}, "git": {"checkout_sha": "b"}}, "a"),
        ({"git": {"checkout_sha": "b"}, "gitlab": {"commit_sha": "c"}}, "b"),
        ({"git": {"checkout_sha": ""}, "gitlab": {"commit_sha": "c"}}, "c"),
        ({"git": {"checkout_sha": None}, "github_app": {"commit_sha": "d"}}, "d"),
    ],
)
def test_revision_comes_from_vcs_then_git_then_the_provider(sources, revision):
    assert read_pipeline(**sources).revision == revision


@pytest.mark.parametrize("provider", ["gitlab", "github_app"])
def test_commit_comes_from_vcs_then_the_provider(provider):
    block = {"commit_title": "Tidy up", "commit_author_name": "Ama Mensah"}
    commit = {"subject": "Prune", "author": {"name": "Wilma Quince"}}
    event = read_pipeline(vcs={"commit": commit}, **{provider: block})
    assert (event.commit_subject, event.author) == ("Prune", "Wilma Quince")
    event = read_pipeline(vcs={"commit": {"subject": None, "author": {"name": None}}}, **{provider: block})
    assert (event.commit_subject, event.author) == ("Tidy up", "Ama Mensah")


def test_commit_comes_from_git_where_the_provider_tells_nothing():
    event = read_pipeline(git={"commit_message": "Tidy up\n\nAll of it.", "commit_author_name": "Ama Mensah"})
    assert (event.commit_subject, event.author) == ("Tidy up", "Ama Mensah")


@pytest.mark.parametrize(
    "line_break", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_a_commit_subject_ends_at_any_line_break(line_break):
    message = f" {line_break}\t Tidy  up \t{line_break}{line_break}All of it.{line_break}"
    event = read_pipeline(git={"commit_message": message})
    assert event.commit_subject == "Tidy  up"
    assert read_pipeline(vcs={"commit": {"subject": message}}) == event


def test_a_blank_commit_subject_gives_way_to_the_next_place():
    git = {"commit_message": "Tidy up"}
    assert read_pipeline(vcs={"commit": {"subject": " \r\n"}}, git=git).commit_subject == "Tidy up"
    assert read_pipeline(git={"commit_message": "\r\n \u2028"}).commit_subject == ""


JOB = {"status": "failed", "started_at": "2026-03-01T10:00:00Z", "stopped_at": "2026-03-01T10:00:05Z"}
WORKFLOW = {"status": "success", "created_at": "2026-03-01T09:00:00Z", "stopped_at": "2026-03-01T09:01:00Z"}


def test_a_job_event_takes_status_and_times_from_the_job():
    event = read(type="job-completed", job=JOB, workflow=WORKFLOW)
    assert (event.status, event.stopped_at.hour, event.duration_seconds) == ("failed", 10, 5)


@pytest.mark.parametrize("event_type", ["workflow-completed", "approval-requested", "JOB-COMPLETED"])
def test_every_other_event_takes_status_and_times_from_the_workflow(event_type):
    event = read(type=event_type, job=JOB, workflow=WORKFLOW)
    assert (event.event_type, event.status) == (event_type, "success")
    assert (event.stopped_at.hour, event.duration_seconds) == (9, 60)


def test_an_undocumented_status_is_kept_as_it_is():
    assert read(workflow={"status": "Half done!"}).status == "Half done!"


def test_a_duration_does_not_depend_on_how_its_times_are_written():
    event = read(workflow={"created_at": "2026-03-01T09:00Z", "stopped_at": "2026-03-01T09:04:30Z"})
    assert event.duration_seconds == 270


@pytest.mark.parametrize("key", ["created_at", "stopped_at"])
def test_without_both_times_there_is_no_duration(key):
    assert read(workflow=WORKFLOW | {key: None}).duration_seconds is None


def test_a_workflow_that_stops_before_it_starts_has_no_duration():
    event = read(workflow={"created_at": WORKFLOW["stopped_at"], "stopped_at": WORKFLOW["created_at"]})
    assert event.duration_seconds is None
    assert event.stopped_at is not None


@pytest.mark.parametrize("digits", range(13))
def test_reads_any_number_of_fraction_digits_and_drops_what_is_finer_than_microseconds(digits):
    fraction = "123456789123"[:digits]
    expected = datetime(2026, 3, 1, 9, 8, 7, int(fraction[:6].ljust(6, "0")), tzinfo=UTC)
    written = "2026-03-01T09:08:07" + ("." if digits else "") + fraction
    assert read(happened_at=f"{written}Z").happened_at == expected
    assert read(happened_at=f"{written.replace('T', ' ')} +0000 UTC").happened_at == expected


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01T09:08:07Z",
        "2026-03-01T09:08:07+00:00",
        "2026-03-01T09:08:07-0000",
        "2026-03-01T14:38:07+05:30",
        "2026-03-01T14:38:07+0530",
        "2026-02-28T23:08:07-10:00",
        "2026-03-01 09:08:07Z",
        "2026-03-01 09:08:07 +0000 UTC",
        "2026-03-01 11:08:07 +0200",
        "2026-03-01 11:08:07 +0200 CEST m=+0.000012345",
        "2026-03-01t09:08:07z",
        "2026-03-01T09:08:07,0Z",
        "20260301T090807Z",
        "2026-060T11:08:07+02",
        " 2026-03-01T09:08:07Z\n",
        1_772_356_087,
        1_772_356_087_000,
        1_772_356_087.0,
        "1772356087000000",
        "1772356087000000000",
    ],
)
def test_shows_every_notation_of_a_moment_in_utc(written):
    moment = read(happened_at=written).happened_at
    assert moment == datetime(2026, 3, 1, 9, 8, 7, tzinfo=UTC)
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("2026-03-01T09:08:07", id="naive"),
        pytest.param("2026-03-01", id="no time"),
        pytest.param("2026-13-01T09:08:07Z", id="month 13"),
        pytest.param("2026-02-30T09:08:07Z", id="30 February"),
        pytest.param("2026-03-01T25:08:07Z", id="hour 25"),
        pytest.param("2026-03-01T09:08:07+25:00", id="offset of a day"),
        pytest.param("2026-03-01T09:08:07.Z", id="no fraction after the point"),
        pytest.param("0000-01-01T00:00:00Z", id="year 0"),
        pytest.param("0001-01-01T00:00:00+14:00", id="before the calendar"),
        pytest.param("0001-01-01T00:00:00Z", id="Go's zero time"),
        pytest.param("1969-12-31T23:59:59Z", id="before 1970"),
        pytest.param("1970-01-01T00:30:00+01:00", id="before 1970 in UTC"),
        pytest.param("9999-12-31T23:59:59Z", id="year 9999"),
        pytest.param("9999-12-31T23:59:59-14:00", id="beyond the calendar"),
        pytest.param("12026-03-01T09:08:07Z", id="year of five digits"),
        pytest.param("２０２６-03-01T09:08:07Z", id="digits that are not ASCII"),
        pytest.param("yesterday", id="words"),
        pytest.param("", id="empty"),
        pytest.param(20_260_301, id="a date as a number"),
        pytest.param(-1_772_355_600, id="seconds before 1970"),
        pytest.param(177_235_600_000, id="neither seconds nor milliseconds"),
        pytest.param(1e300, id="a number beyond the calendar"),
        pytest.param(True, id="boolean"),
        pytest.param(["2026-03-01T09:08:07Z"], id="array"),
        pytest.param(None, id="null"),
    ],
)
def test_a_time_that_is_none_or_out_of_range_is_left_out(written):
    assert read(happened_at=written).happened_at is None


@pytest.mark.parametrize("written", ["1970-01-01T00:00:00Z", "9998-12-31T23:59:59Z"])
def test_the_first_and_the_last_second_in_range_are_read(written):
    assert read(happened_at=written).happened_at == datetime.fromisoformat(written)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (0, 0),
        (66, 66),
        ("66", 66),
        ("0066", 66),
        (2**63 - 1, 2**63 - 1),
        (str(2**63 - 1), 2**63 - 1),
        (2**63, None),
        (str(2**63), None),
        (-1, None),
        ("-1", None),
        (6.0, None),
        ("6.0", None),
        ("", None),
        (" 66", None),
        ("٦٦", None),
        ("²", None),
        ("1" * 5_000, None),
        (True, None),
        (None, None),
        ([66], None),
    ],
)
def test_numbers_are_whole_not_negative_and_fit_a_database(written, number):
    event = read(pipeline={"number": written}, job={"number": written})
    assert (event.pipeline_number, event.job_number) == (number, number)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://app.circleci.com/x", "https://app.circleci.com/x"),
        ("http://circleci.acme.example/x", "http://circleci.acme.example/x"),
        ("javascript:alert(1)", ""),
        ("data:text/html,<script>", ""),
        (" https://app.circleci.com/x", ""),
        ("//app.circleci.com/x", ""),
        ("ftp://app.circleci.com/x", ""),
        ("https:app.circleci.com", ""),
        (5, ""),
    ],
)
def test_only_web_addresses_become_links(written, url):
    assert read(workflow={"url": written}).url == url
