"""Act as CircleCI towards an installation: ``manage.py send_test_webhook``."""

import time
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.urls import reverse
from rich.console import Console
from rich.progress import track

from logs import conf
from logs.circleci import samples
from logs.circleci.vocabulary import JOB_STATUSES, WORKFLOW_STATUSES, EventType
from logs.management.arguments import filled_text, positive_integer, positive_number, web_address
from logs.management.examples import CommandWithExamples
from logs.management.workbench import fixtures
from logs.management.workbench.sending import (
    CIRCLECI_TIMEOUT_SECONDS,
    MAX_SHOWN_SINGLY,
    Answer,
    Message,
    Sender,
    line,
    paced,
    reasons,
    summary,
)

ALL = "all"
DEFAULT_PROJECT = "orchard"

EXAMPLES = """
manage.py send_test_webhook
manage.py send_test_webhook --type job-completed --status failed
manage.py send_test_webhook https://ci-log.example.org/log-circleci-webhook --webhook payments
manage.py send_test_webhook --count 1000 --rate 20
manage.py send_test_webhook --fixture fixtures/delivery-12.json
"""

# What makes an event of a type, and the statuses that "all" stands for.
# fmt: off
MAKERS = {
    EventType.WORKFLOW_COMPLETED: (samples.workflow_completed, WORKFLOW_STATUSES),
    EventType.JOB_COMPLETED:      (samples.job_completed,      JOB_STATUSES),
}
# fmt: on


class Command(CommandWithExamples):
    """Send webhooks and report the answers; the exit code is 1 unless every one was accepted."""

    help = (
        "Act as CircleCI: send one ping, one workflow-completed and one job-completed event, "
        "or with --count a random mix of events, or with --fixture what export_fixture has written."
    )
    examples = EXAMPLES
    exit_codes = "0 when every event was accepted, 1 when one was not, 2 for wrong arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the address and the options."""
        parser.add_argument("url", nargs="?", type=web_address, default=_default_url(), help="default: %(default)s")
        parser.add_argument("--webhook", metavar="NAME", help="the configured webhook to send as (default: the first)")
        signing = parser.add_mutually_exclusive_group()
        signing.add_argument("--secret", type=filled_text, help="default: the first secret of the webhook")
        signing.add_argument("--unsigned", action="store_true", help="sign nothing, as without a secret token")
        self._add_event_arguments(parser)
        parser.add_argument("--rate", type=positive_number, metavar="PER_SECOND", help="default: as fast as answered")
        parser.add_argument(
            "--timeout",
            type=positive_number,
            metavar="SECONDS",
            default=CIRCLECI_TIMEOUT_SECONDS,
            help="how long to wait for an answer (default: %(default)s, as CircleCI does)",
        )

    def _add_event_arguments(self, parser: ArgumentParser) -> None:
        types, hosts = [*map(str, EventType), ALL], [*map(str, samples.Host), ALL]
        parser.add_argument("--type", choices=types, help="default: all")
        parser.add_argument("--status", type=filled_text, help="any word, or all documented ones (default: success)")
        parser.add_argument("--host", choices=hosts, help="where the code is hosted (default: github_oauth)")
        parser.add_argument("--project", type=filled_text, metavar="NAME", help=f"default: {DEFAULT_PROJECT}")
        parser.add_argument("--count", type=positive_integer, metavar="N", help="send a random mix of N events")
        parser.add_argument("--seed", type=int, metavar="N", help="the same N sends the same bytes again, dated alike")
        parser.add_argument(
            "--fixture",
            action="append",
            type=Path,
            metavar="FILE",
            help="send this body as it stands, signed anew; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Send what the options ask for.

        Raises:
            CommandError: the options contradict each other, there is no secret to sign with, or an event was not
                accepted.
        """
        _refuse_contradictions(options)
        webhook_name, secret = _identity(options)
        answers = self._send(_messages(webhook_name, secret, options), options)
        if told := reasons(answers):
            refused = sum(not answer.accepted for answer in answers)
            raise CommandError(f"{refused} of {len(answers)} events not accepted: {'; '.join(told)}")

    def _send(self, messages: Iterable[Message], options: dict[str, Any]) -> list[Answer]:
        sender = Sender(options["url"], timeout_seconds=options["timeout"])
        count, answers = options["count"], []
        is_many = count is not None and count > MAX_SHOWN_SINGLY
        started = time.monotonic()
        for message in _with_progress(paced(messages, options["rate"]), count if is_many else None):
            answers.append(sender.send(message))
            if not is_many:
                self.stdout.write(line(message, answers[-1]))
        if count is not None:
            self.stdout.write("\n".join(summary(answers, time.monotonic() - started)))
        return answers


def _default_url() -> str:
    return f"http://127.0.0.1:{settings.PORT}{reverse('logs:receive')}"


def _refuse_contradictions(options: dict[str, Any]) -> None:
    names = ["type", "status", "host"]
    if options["fixture"]:
        names += ["project", "count", "seed"]
    chosen = [f"--{name}" for name in names if options[name] is not None]
    if options["fixture"] and chosen:
        raise CommandError(f"--fixture sends what stands in the file: leave out {' and '.join(chosen)}")
    if options["count"] is not None and chosen:
        raise CommandError(f"--count sends a random mix of events: leave out {' and '.join(chosen)}")


def _identity(options: dict[str, Any]) -> tuple[str, str | None]:
    """Return the name of the webhook to send as, and the secret to sign with; None signs nothing."""
    name = options["webhook"]
    configured = [webhook for webhook in conf.webhooks() if name in (None, webhook.name)]
    if options["unsigned"] or options["secret"]:
        known_names = [webhook.name for webhook in configured]
        return name or next(iter(known_names), samples.WEBHOOK_NAME), options["secret"]
    for webhook in configured:
        if webhook.secrets:
            return webhook.name, webhook.secrets[0]
    whose = f"the webhook {name!r}" if name else "any webhook"
    raise CommandError(f"CIRCLECI_WEBHOOK_SECRETS holds no secret of {whose}: set it, or use --secret or --unsigned")


def _messages(webhook_name: str, secret: str | None, options: dict[str, Any]) -> Iterator[Message]:
    if options["fixture"]:
        return iter([fixtures.read(path, secret) for path in options["fixture"]])
    random = Random(options["seed"])
    make = _chosen_events if options["count"] is None else _random_events
    return (_message(document, secret) for document in make(random, webhook_name, options))


def _message(document: dict[str, Any], secret: str | None) -> Message:
    subject = document.get("job") or document.get("workflow") or {}
    body = samples.encode(document)
    return Message(
        label=f"{document['type']:<20}{subject.get('status', '-')}",
        body=body,
        headers=samples.headers(body, document, secret),
    )


def _chosen_events(random: Random, webhook_name: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one event of each type, status and host that the options choose; a ping has neither status nor host."""
    chosen_type = options["type"] or ALL
    if chosen_type in (ALL, EventType.PING):
        yield samples.ping(random=random, webhook_name=webhook_name, happened_at=_moment(options))
    for event_type, (make, documented_statuses) in MAKERS.items():
        if chosen_type not in (ALL, event_type):
            continue
        for status in _expanded(options["status"] or "success", documented_statuses):
            for host in _expanded(options["host"] or samples.Host.GITHUB_OAUTH, samples.Host):
                yield make(
                    random=random,
                    status=status,
                    host=samples.Host(host),
                    project=options["project"] or DEFAULT_PROJECT,
                    webhook_name=webhook_name,
                    happened_at=_moment(options),
                )


def _random_events(random: Random, webhook_name: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    # Made one by one, so that each is dated when its turn comes, however long the whole takes.
    for _ in range(options["count"]):
        yield samples.random_event(random, project=options["project"], webhook_name=webhook_name, now=_moment(options))


def _expanded(word: str, every_word: Iterable[str]) -> list[str]:
    return list(every_word) if word == ALL else [word]


def _moment(options: dict[str, Any]) -> datetime | None:
    """Return the present; None with a seed, since a date from the clock would change the bytes."""
    return datetime.now(UTC) if options["seed"] is None else None


def _with_progress(messages: Iterable[Message], count: int | None) -> Iterable[Message]:
    """Show on stderr how far ``count`` events have got: a bar on a terminal, else one line; None shows nothing."""
    if count is None:
        return messages
    console = Console(stderr=True)
    if console.is_terminal:
        return track(messages, description="sending", total=count, console=console)
    console.print(f"sending {count} events", highlight=False)
    return messages
