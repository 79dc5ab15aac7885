"""List what a rule would have sent: ``manage.py try_rule``."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from logs.management.arguments import positive_integer
from logs.management.examples import CommandWithExamples
from logs.management.terminal import printable
from logs.models import Rule, Subject
from logs.notifications.composing import SHORT_REVISION
from logs.notifications.trying import WEEK, WouldSend, try_rule

EXIT_CODE_OF_UNKNOWN_RULE = 2
MOST_DAYS = 365


class Command(CommandWithExamples):
    """Try a rule on the log and print the messages."""

    help = "List the messages that a rule would have sent recently, newest first. Nothing is sent or written."
    examples = """
manage.py try_rule "default branches"
manage.py try_rule deploys --days 1
"""
    exit_codes = "0 when the rule was tried, 2 for an unknown rule or invalid arguments"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the name and the period."""
        parser.add_argument("name", metavar="NAME", help="the rule's name; it may be disabled")
        parser.add_argument(
            "--days", type=_days, default=WEEK.days, metavar="N", help=f"1 to {MOST_DAYS}, default: {WEEK.days}"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line per message, and the count.

        Raises:
            CommandError: the rule is unknown.
        """
        rule = _rule(options["name"])
        period = timedelta(days=options["days"])
        trial = try_rule(rule, list(rule.channels.order_by("name")), now=timezone.now(), period=period)
        for message in trial.messages:
            self.stdout.write(printable(_line(message)))
        messages = _counted(trial.messages_sent, "message")
        compared = _counted(trial.runs, "job" if rule.subject == Subject.JOBS else "run")
        self.stdout.write(f"{messages} in {compared} since {trial.since:%Y-%m-%d %H:%M} UTC")


def _days(text: str) -> int:
    days = positive_integer(text)
    if days > MOST_DAYS:
        raise ArgumentTypeError(f"{text!r} is too many: use 1 to {MOST_DAYS} days")
    return days


def _rule(name: str) -> Rule:
    rule = Rule.objects.filter(name=name).first()
    if rule is None:
        names = Rule.objects.order_by("name").values_list("name", flat=True)
        known = ", ".join(printable(repr(each)) for each in names) or "none"
        raise CommandError(f"there is no rule {name!r}; rules: {known}", returncode=EXIT_CODE_OF_UNKNOWN_RULE)
    return rule


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _line(message: WouldSend) -> str:
    number = "" if message.pipeline_number is None else f"#{message.pipeline_number}"
    parts = (
        f"{message.happened_at:%Y-%m-%d %H:%M}",
        f"{message.project} · {message.workflow}",
        f"{message.kind} on {message.branch}",
        number,
        message.revision[:SHORT_REVISION],
        message.author,
        f"→ {', '.join(message.channels) or 'no channel'}",
    )
    return "  ".join(filter(None, parts))
