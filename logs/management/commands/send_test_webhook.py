"""Send webhooks as CircleCI does: ``manage.py send_test_webhook``."""

import time
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from django.core.management.base import CommandError

from logs import conf
from logs.circleci import samples
from logs.circleci.vocabulary import JOB_STATUSES, WORKFLOW_STATUSES, EventType
from logs.management.arguments import http_url, nonempty_text, one_of, positive_integer, positive_number
from logs.management.examples import CommandWithExamples
from logs.management.terminal import with_progress
from logs.management.workbench import fixtures, sending

ALL = "all"
DEFAULT_PROJECT = "orchard"

EXAMPLES = """
manage.py send_test_webhook
manage.py send_test_webhook --type job-completed --status failed
manage.py send_test_webhook https://ci-log.example.org/log-circleci-webhook --webhook payments
manage.py send_test_webhook --count 1000 --rate 20
manage.py send_test_webhook --fixture fixtures/delivery-12.json
"""

# The factory for each event type, and the statuses that "all" stands for.
# fmt: off
MAKERS = {
    EventType.WORKFLOW_COMPLETED: (samples.workflow_completed, WORKFLOW_STATUSES),
    EventType.JOB_COMPLETED:      (samples.job_completed,      JOB_STATUSES),
}
# fmt: on


class Command(CommandWithExamples):
    """Send webhooks and report the responses."""

    help = (
        "Act as CircleCI: send one ping, one workflow-completed and one job-completed event. With --count, send a "
        "random mix of events; with --fixture, send files from export_fixture."
    )
    examples = EXAMPLES
    exit_codes = "0 when every event was accepted, 1 when one was not, 2 for invalid arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the URL and the options."""
        parser.add_argument("url", nargs="?", type=http_url, default=sending.local_url(), help="default: %(default)s")
        parser.add_argument("--webhook", metavar="NAME", help="webhook to send as (default: the first configured one)")
        signing = parser.add_mutually_exclusive_group()
        signing.add_argument("--secret", type=nonempty_text, help="secret to sign with (default: the webhook's first)")
        signing.add_argument("--unsigned", action="store_true", help="send no signature")
        self._add_event_arguments(parser)
        parser.add_argument("--rate", type=positive_number, metavar="PER_SECOND", help="default: unlimited")
        parser.add_argument(
            "--timeout",
            type=positive_number,
            metavar="SECONDS",
            default=sending.CIRCLECI_TIMEOUT_SECONDS,
            help="how long to wait for a response (default: %(default)s, the same as CircleCI)",
        )

    def _add_event_arguments(self, parser: ArgumentParser) -> None:
        types, hosts = [*map(str, EventType), ALL], [*map(str, samples.Host), ALL]
        parser.add_argument("--type", type=one_of(types), choices=types, help="default: all")
        parser.add_argument("--status", type=nonempty_text, help="a status, or all (default: success)")
        parser.add_argument("--host", type=one_of(hosts), choices=hosts, help="code host (default: github_oauth)")
        parser.add_argument("--project", type=nonempty_text, metavar="NAME", help=f"default: {DEFAULT_PROJECT}")
        parser.add_argument("--count", type=positive_integer, metavar="N", help="send a random mix of N events")
        parser.add_argument("--seed", type=int, metavar="N", help="send the same bytes, times included, for the same N")
        parser.add_argument(
            "--fixture",
            action="append",
            type=Path,
            metavar="FILE",
            help="sign and send this body unchanged; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Send the events and report the responses.

        Raises:
            CommandError: the options are contradictory, there is no secret to sign with, or an event was not accepted.
        """
        _reject_contradictions(options)
        webhook_name, secret = _identity(options)
        answers = self._send(_messages(webhook_name, secret, options), options)
        if failures := sending.reasons(answers):
            failed = sum(not answer.accepted for answer in answers)
            raise CommandError(f"{failed} of {len(answers)} events not accepted: {'; '.join(failures)}")

    def _send(self, messages: Iterable[sending.Message], options: dict[str, Any]) -> list[sending.Answer]:
        sender = sending.WebhookClient(options["url"], timeout_seconds=options["timeout"])
        count, answers = options["count"], []
        is_many = count is not None and count > sending.MAX_SHOWN_SINGLY
        shown_total, notice = count if is_many else None, f"sending {count} events"
        started = time.monotonic()
        for message in with_progress(sending.paced(messages, options["rate"]), shown_total, "sending", notice=notice):
            answers.append(sender.send(message))
            if not is_many:
                self.stdout.write(sending.line(message, answers[-1]))
        if count is not None:
            self.stdout.write("\n".join(sending.summary(answers, time.monotonic() - started)))
        return answers


def _reject_contradictions(options: dict[str, Any]) -> None:
    names = ["type", "status", "host"]
    if options["fixture"]:
        names += ["project", "count", "seed"]
    given = [f"--{name}" for name in names if options[name] is not None]
    if options["fixture"] and given:
        raise CommandError(f"--fixture sends the file unchanged: omit {' and '.join(given)}")
    if options["count"] is not None and given:
        raise CommandError(f"--count sends a random mix of events: omit {' and '.join(given)}")


def _identity(options: dict[str, Any]) -> tuple[str, str | None]:
    """Return the name of the webhook to send as, and the secret to sign with (None for no signature)."""
    name = options["webhook"]
    configured = [webhook for webhook in conf.webhooks() if name in (None, webhook.name)]
    if options["unsigned"] or options["secret"]:
        known_names = [webhook.name for webhook in configured]
        return name or next(iter(known_names), samples.WEBHOOK_NAME), options["secret"]
    for webhook in configured:
        if webhook.secrets:
            return webhook.name, webhook.secrets[0]
    owner = f"the webhook {name!r}" if name else "any webhook"
    raise CommandError(f"there is no secret for {owner}: set CIRCLECI_WEBHOOK_SECRETS, or use --secret or --unsigned")


def _messages(webhook_name: str, secret: str | None, options: dict[str, Any]) -> Iterator[sending.Message]:
    if options["fixture"]:
        return iter([fixtures.read(path, secret) for path in options["fixture"]])
    random = Random(options["seed"])
    make = _selected_events if options["count"] is None else _random_events
    return (_message(document, secret) for document in make(random, webhook_name, options))


def _message(document: dict[str, Any], secret: str | None) -> sending.Message:
    subject = document.get("job") or document.get("workflow") or {}
    body = samples.encode(document)
    return sending.Message(
        label=f"{document['type']:<20}{subject.get('status', '-')}",
        body=body,
        headers=samples.headers(body, document, secret),
    )


def _selected_events(random: Random, webhook_name: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one event for each selected type, status and host; a ping has neither status nor host."""
    selected_type = options["type"] or ALL
    if selected_type in (ALL, EventType.PING):
        yield samples.ping(random=random, webhook_name=webhook_name, happened_at=_now(options))
    for event_type, (make, documented_statuses) in MAKERS.items():
        if selected_type not in (ALL, event_type):
            continue
        for status in _expanded(options["status"] or "success", documented_statuses):
            for host in _expanded(options["host"] or samples.Host.GITHUB_OAUTH, samples.Host):
                yield make(
                    random=random,
                    status=status,
                    host=samples.Host(host),
                    project=options["project"] or DEFAULT_PROJECT,
                    webhook_name=webhook_name,
                    happened_at=_now(options),
                )


def _random_events(random: Random, webhook_name: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    # Created one by one, so that each event has the time at which it is sent, however long sending takes.
    for _ in range(options["count"]):
        yield samples.random_event(random, project=options["project"], webhook_name=webhook_name, now=_now(options))


def _expanded(word: str, every_word: Iterable[str]) -> list[str]:
    return list(every_word) if word == ALL else [word]


def _now(options: dict[str, Any]) -> datetime | None:
    """Return the current time; None if there is a seed, because the clock would change the bytes."""
    return datetime.now(UTC) if options["seed"] is None else None
