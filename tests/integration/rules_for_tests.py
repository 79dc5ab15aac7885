"""Rules of the tests: without one, nothing is reported."""

from logs.models import Channel, Rule, Standing
from logs.notifications import outbox
from logs.standings.judging import Judgement


def add_rule(*channels, name="", branches="<default>", **columns):
    """Add a rule on the changes of default branches, for these channels or all that exist."""
    rule = Rule.objects.create(name=name or f"rule {Rule.objects.count() + 1}", branches=branches, **columns)
    rule.channels.set(channels or Channel.objects.all())
    return rule


def judgement_of(change, *, before=0, failures=1):
    """Return the judgement of a check that found a change, or that made failures in a row rise."""
    branch = (change.project_slug, change.workflow, change.branch)
    columns = {"project_slug": branch[0], "project": change.project, "workflow": branch[1], "branch": branch[2]}
    failures = failures if change.kind == "broke" else 0
    standing = Standing(**columns, failures=failures, last_id=change.event_id)
    changes = [] if before else [change]
    return Judgement(
        branch=branch,
        standing=standing,
        changes=changes,
        failures_before=before,
        quiet_reason="" if before else change.quiet_reason,
    )


def enqueue_changes(*changes):
    """Add the notifications for some changes; return whether there are any."""
    return outbox.enqueue([judgement_of(change) for change in changes])
