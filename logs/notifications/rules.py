"""Compare rules with changes, runs and jobs, without a query. The watch and the trial of a rule both use it."""

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Any, NamedTuple

from logs.conf import is_default_branch
from logs.models.notifications import Channel
from logs.models.rules import DEFAULT_BRANCH, Rule, Subject
from logs.notifications.channels import TRANSPORTS
from logs.standings.judging import UNSIGNED


class Side(NamedTuple):
    """The patterns that include, or those that exclude."""

    globs: re.Pattern[str]
    has_default: bool  # Whether DEFAULT_BRANCH is one of them.


def matches(patterns: str, *values: str, is_default: Callable[[str], bool] | None = None) -> bool:
    """Return whether patterns, one per line, select something with these names.

    A pattern that begins with "!" excludes. Without any other pattern, everything else is selected. No pattern
    matches an empty name.

    Args:
        patterns: the patterns of a rule, case-sensitive.
        values: the names; a pattern needs to match only one of them.
        is_default: for branches, returns whether DEFAULT_BRANCH matches one.
    """
    if not patterns:
        return True
    included, excluded = _parse(patterns)

    def match_any(side: Side) -> bool:
        by_default = is_default if side.has_default else None
        return any(side.globs.match(value) or (by_default and by_default(value)) for value in filter(None, values))

    return (included is None or match_any(included)) and not (excluded and match_any(excluded))


@lru_cache(maxsize=1_000)
def _parse(patterns: str) -> tuple[Side | None, Side | None]:
    """Return the patterns that include and those that exclude; None if there are none."""
    lines = [line.strip() for line in patterns.splitlines()]
    included = [line for line in lines if line and not line.startswith("!")]
    excluded = [line[1:].strip() for line in lines if line.startswith("!")]
    return _side(included), _side(list(filter(None, excluded)))


def _side(globs: Sequence[str]) -> Side | None:
    one_for_all = re.compile("|".join(map(translate, globs)))
    return Side(one_for_all, DEFAULT_BRANCH in globs) if globs else None


def matches_project(rule: Rule, project_slug: str, project: str) -> bool:
    """Return whether a rule selects a project, by its slug or its name: the slugs of GitLab projects are unreadable."""
    return matches(rule.projects, project_slug, project)


def matches_branch(rule: Rule, project_slug: str, branch: str) -> bool:
    """Return whether a rule selects a branch of a project."""

    def is_default(name: str) -> bool:
        return is_default_branch(project_slug, name)

    return matches(rule.branches, branch, is_default=is_default)


def matches_standing(rule: Rule, standing: Any) -> bool:
    """Return whether a rule selects a workflow on a branch.

    Args:
        rule: the rule.
        standing: anything with the columns of a Standing that identify the branch, such as a change or a run.
    """
    return (
        matches_branch(rule, standing.project_slug, standing.branch)
        and matches_project(rule, standing.project_slug, standing.project)
        and matches(rule.workflows, standing.workflow)
    )


def matches_event(rule: Rule, event: Any) -> bool:
    """Return whether a rule on runs or jobs selects an event (anything with its columns)."""
    return (
        (not rule.statuses or event.status in rule.statuses)
        and _matches_ref(rule, event)
        and matches_project(rule, event.project_slug, event.project)
        and matches(rule.workflows, event.workflow)
        and matches(rule.authors, event.author)
    )


def _matches_ref(rule: Rule, event: Any) -> bool:
    """Return whether a rule selects an event's tag or branch. Patterns that only exclude tags select any branch."""
    if rule.tags:
        if event.tag and matches(rule.tags, event.tag):
            return True
        included, _ = _parse(rule.tags)
        if (event.tag or included) and not (rule.branches and event.branch):
            return False
    return matches_branch(rule, event.project_slug, event.branch)


def is_loud(rule: Rule, quiet_reason: str) -> bool:
    """Return whether a rule reports a change or run with a reason to be quiet (empty: without one)."""
    return not quiet_reason or (rule.allow_unverified and quiet_reason == UNSIGNED)


def reports_breakage(rule: Rule, *, before: int, after: int) -> bool:
    """Return whether a rule reports a branch whose failures in a row rose from `before` to `after`."""
    return rule.on_broke and before < rule.after_failures <= after


def reports_fix(rule: Rule, fix: Any, *, has_breakage: bool) -> bool:
    """Return whether a rule reports a fix (a change on a branch that it selects) to a channel.

    Args:
        rule: the rule.
        fix: anything with the columns of the change.
        has_breakage: whether the channel got the breakage, whose author was compared then.
    """
    if not rule.on_fixed:
        return False
    return has_breakage if rule.on_broke else matches(rule.authors, fix.author)


def channels_for(rule: Rule, channels: Iterable[Channel]) -> list[Channel]:
    """Return a rule's enabled channels.

    For runs and jobs, without those that open incidents, because nothing would resolve them.
    """
    have_ends = rule.subject in (Subject.CHANGES, Subject.LOG)
    known = (channel for channel in channels if channel.enabled and channel.kind in TRANSPORTS)
    return [channel for channel in known if have_ends or not TRANSPORTS[channel.kind].opens_incidents]
