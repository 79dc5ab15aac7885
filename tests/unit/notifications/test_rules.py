"""Which changes, runs and jobs a rule selects."""

from types import SimpleNamespace

import pytest

from logs.models import Channel, Rule
from logs.notifications.rules import (
    channels_for,
    is_loud,
    matches,
    matches_event,
    matches_standing,
    reports_breakage,
    reports_fix,
)
from logs.standings.judging import UNSIGNED


def event(**columns):
    """Return a failed run of acme/orchard on main by Ada, or another one."""
    defaults = {"project_slug": "github/acme/orchard", "project": "orchard", "workflow": "build", "branch": "main"}
    return SimpleNamespace(**defaults | {"tag": "", "author": "Ada", "status": "failed"} | columns)


@pytest.mark.parametrize(
    ("patterns", "name", "is_selected"),
    [
        ("", "build", True),
        ("", "", True),
        ("\n  \n", "build", True),
        ("build", "build", True),
        ("build", "rebuild", False),
        ("build", "Build", False),
        ("bui*", "build", True),
        ("bui?d", "build", True),
        ("[ab]uild", "build", True),
        ("deploy\r\nbuild", "build", True),
        ("  build  ", "build", True),
        ("*", "build", True),
        ("*", "", False),
        ("!build", "build", False),
        ("! build", "build", False),
        ("!build", "deploy", True),
        ("!build", "", True),
        ("!deploy\n!build", "build", False),
        ("*\n!build", "build", False),
        ("!build\n*", "build", False),
        ("b*\n!build", "bake", True),
        ("b*\n!build", "deploy", False),
        ("!", "build", True),
    ],
)
def test_globs_select_and_exclude(patterns, name, is_selected):
    assert matches(patterns, name) is is_selected


def test_a_name_is_compared_with_all_patterns_at_once(monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr("fnmatch._compile_pattern", fail)  # Of each comparison with a single pattern.
    patterns = "\n".join([*(f"name-{number}-*" for number in range(300)), "!*-7"])
    assert matches(patterns, "name-299-x", "other")
    assert not matches(patterns, "name-300-x", "other")
    assert not matches(patterns, "name-299-7")


@pytest.mark.parametrize(
    ("patterns", "is_selected"),
    [
        ("github/acme/*", True),
        ("orchard", True),
        ("github/*\n!orchard", False),
        ("!github/acme/orchard", False),
        ("github/other/*", False),
        ("acme/orchard", False),
    ],
)
def test_a_project_is_selected_by_its_slug_or_its_name(patterns, is_selected):
    assert matches_standing(Rule(projects=patterns), event()) is is_selected


@pytest.mark.parametrize(
    ("patterns", "branch", "is_selected"),
    [
        ("<default>", "main", True),
        ("<default>", "shed", False),
        ("<default>\nrelease/*", "release/1", True),
        ("!<default>", "main", False),
        ("!<default>", "shed", True),
        ("<default>\n!ma*", "main", False),
        ("<default>\n!ma*", "trunk", True),
        ("<DEFAULT>", "main", False),
        ("<default>", "", False),
        ("!<default>", "", True),
    ],
)
def test_default_branches_are_those_of_the_settings(settings, patterns, branch, is_selected):
    settings.DEFAULT_BRANCHES = ["main", "trunk", "github/legacy/*:develop"]
    assert matches_standing(Rule(branches=patterns), event(branch=branch)) is is_selected
    assert not matches_standing(Rule(branches="<default>"), event(branch="main", project_slug="github/legacy/barn"))


@pytest.mark.parametrize(
    ("branches", "tags", "selected"),
    [
        ("", "", {"main", "shed", "v1", "x1"}),
        ("<default>", "", {"main"}),
        ("", "v*", {"v1"}),
        ("", "!v*", {"main", "shed", "x1"}),
        ("<default>", "!v*", {"main", "x1"}),
        ("<default>", "v*", {"main", "v1"}),
        ("*", "v*", {"main", "shed", "v1"}),
        ("!shed", "", {"main", "v1", "x1"}),
        ("!shed", "v*", {"main", "v1"}),
    ],
)
def test_tags_select_runs_with_tags(branches, tags, selected):
    rule = Rule(subject="runs", branches=branches, tags=tags)
    runs = [event(branch="main"), event(branch="shed"), event(branch="", tag="v1"), event(branch="", tag="x1")]
    assert {run.branch or run.tag for run in runs if matches_event(rule, run)} == selected


@pytest.mark.parametrize(
    ("columns", "is_selected"),
    [
        ({"authors": "Ada"}, True),
        ({"authors": "!Ada"}, False),
        ({"authors": "renovate*"}, False),
        ({"workflows": "build"}, True),
        ({"workflows": "deploy"}, False),
        ({"projects": "github/other/*"}, False),
        ({"statuses": ["failed", "error"]}, True),
        ({"statuses": ["success"]}, False),
    ],
)
def test_a_rule_on_runs_also_compares_authors_and_statuses(columns, is_selected):
    assert matches_event(Rule(subject="runs", **columns), event()) is is_selected


@pytest.mark.parametrize(
    ("reason", "allow_unverified", "expected"),
    [("", False, True), (UNSIGNED, False, False), (UNSIGNED, True, True), ("imported", True, False)],
)
def test_only_a_rule_that_allows_it_reports_unsigned_events(reason, allow_unverified, expected):
    assert is_loud(Rule(allow_unverified=allow_unverified), reason) is expected


@pytest.mark.parametrize(
    ("wanted", "before", "after", "expected"),
    [(1, 0, 1, True), (1, 1, 2, False), (3, 1, 2, False), (3, 2, 3, True), (3, 0, 5, True), (3, 3, 4, False)],
)
def test_a_breakage_is_reported_when_the_failures_reach_a_number(wanted, before, after, expected):
    assert reports_breakage(Rule(after_failures=wanted), before=before, after=after) is expected
    assert not reports_breakage(Rule(after_failures=wanted, on_broke=False), before=before, after=after)


@pytest.mark.parametrize(
    ("columns", "has_breakage", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"authors": "Bob"}, True, True),
        ({"on_fixed": False}, True, False),
        ({"on_broke": False}, False, True),
        ({"on_broke": False, "authors": "Bob"}, False, False),
    ],
)
def test_a_fix_goes_to_the_channels_with_the_breakage_or_from_rules_on_fixes_only(columns, has_breakage, expected):
    assert reports_fix(Rule(**columns), event(), has_breakage=has_breakage) is expected


@pytest.mark.parametrize(
    ("subject", "names"),
    [("changes", ["slack", "pagerduty"]), ("log", ["slack", "pagerduty"]), ("runs", ["slack"]), ("jobs", ["slack"])],
)
def test_rules_on_runs_and_jobs_open_no_incidents(subject, names):
    kinds = [Channel(kind=kind) for kind in ("slack", "pagerduty", "pigeon")]
    channels = channels_for(Rule(subject=subject), [*kinds, Channel(kind="teams", enabled=False)])
    assert [channel.kind for channel in channels] == names
