"""Verify stored deliveries again after a fix, or send them to a URL: ``manage.py replay_deliveries``."""

import getpass
import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet

from logs.ingest.replay import Replay, replay
from logs.management.arguments import http_url, one_of, positive_integer, positive_number, time_or_age
from logs.management.examples import CommandWithExamples
from logs.management.filtering import add_event_filters, given_filters, selected_events
from logs.management.terminal import EXIT_CODE_OF_CTRL_C, with_progress
from logs.management.workbench import resending, sending
from logs.models import Delivery, Outcome

# fmt: off
LOOKUPS = {
    "ids":     "pk__in",
    "outcome": "outcome__in",
    "address": "webhook_slug",
    "since":   "received_at__gte",
    "until":   "received_at__lte",
}
# fmt: on
UNAVAILABLE = "removed, or stored incompletely"
EXAMPLES = """
manage.py replay_deliveries --dry-run
manage.py replay_deliveries 12 13
manage.py replay_deliveries --to http://localhost:1337/log-circleci-webhook 12
manage.py replay_deliveries --to http://localhost:1337/log-circleci-webhook --since 24h --project orchard --rate 5
manage.py replay_deliveries --save deliveries --status failed --since 7d
"""


class Command(CommandWithExamples):
    """Replay deliveries one by one, oldest first; the command may be stopped at any time."""

    help = (
        "Verify and log stored deliveries again, from their original bytes and headers and with the current settings, "
        "for example after a secret was fixed. Without a selection, replay all refused deliveries. With --to, send "
        "deliveries to a URL instead, and with --save, write deliveries to files; neither changes this log. Try "
        "--dry-run first."
    )
    examples = EXAMPLES
    exit_codes = "0 when every delivery was handled, 1 when one was not, 2 for invalid arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the selection of deliveries, and the action."""
        parser.add_argument("ids", nargs="*", type=positive_integer, metavar="ID", help="numbers of deliveries")
        outcomes = Outcome.values
        parser.add_argument(
            "--outcome", action="append", type=one_of(outcomes), choices=outcomes, help="may be repeated"
        )
        parser.add_argument("--address", metavar="SLUG", help="the last part of the receiving URL")
        parser.add_argument("--since", type=time_or_age, metavar="WHEN", help="2026-05-04T10:00Z, or 24h, 7d")
        parser.add_argument("--until", type=time_or_age, metavar="WHEN", help="the same formats as for --since")
        parser.add_argument("--dry-run", action="store_true", help="show what would happen; write and send nothing")
        add_event_filters(parser)
        elsewhere = parser.add_argument_group("instead of replaying")
        elsewhere.add_argument("--to", type=http_url, metavar="URL", help="send deliveries there as CircleCI sent them")
        elsewhere.add_argument("--allow-public", action="store_true", help="with --to: allow a URL on the internet")
        elsewhere.add_argument("--rate", type=positive_number, metavar="PER_SECOND", help="with --to: maximum rate")
        elsewhere.add_argument(
            "--save",
            type=Path,
            metavar="DIR",
            help="write <ID>.body, and <ID>.sh, a script that sends the body to the --to URL, or to this site",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay, send or save the selected deliveries, and report the outcomes.

        Raises:
            CommandError: the options are contradictory or select nothing to send, a delivery does not exist, was not
                accepted, or could not be replayed, sent or saved.
            SystemExit: with 130, after Ctrl-C while sending.
        """
        _reject_contradictions(options)
        _require_existing(options["ids"])
        selected = list(_selected(options).order_by("pk").values_list("pk", flat=True))
        if not selected:
            self.stdout.write("No delivery matches.")
        elif not _is_elsewhere(options):
            self._replay(selected, options)
        elif options["dry_run"]:
            self._forecast(selected)
        elif options["save"]:
            self._save(selected, options)
        else:
            self._send(selected, options)

    def _replay(self, selected: list[int], options: dict[str, Any]) -> None:
        counts, removed = Counter[str](), 0
        for delivery_id in with_progress(selected, len(selected), "replaying"):
            try:
                result = replay(delivery_id, actor=_actor(), dry_run=options["dry_run"])
            except Delivery.DoesNotExist:
                removed += 1
                continue
            counts[f"{result.before} -> {result.verdict.outcome}"] += 1
            if options["verbosity"] > 1 or len(selected) == 1:
                self.stdout.write(_line(result))
        for change, count in sorted(counts.items()):
            self.stdout.write(f"{count} x {change}")
        if options["dry_run"]:
            self.stdout.write("Nothing was written: this was a dry run.")
        if removed:
            raise CommandError(f"{removed} of {len(selected)} deliveries were removed before they were replayed")

    def _forecast(self, selected: list[int]) -> None:
        skipped = 0
        for delivery in resending.whole_deliveries(selected):
            if delivery is None:
                skipped += 1
            else:
                size = len(delivery.body)
                received_at = f"{delivery.received_at:%Y-%m-%d %H:%M:%S}"
                self.stdout.write(f"delivery {delivery.pk:<10}{received_at}  {delivery.outcome:<12}{size:>8} bytes")
        self.stdout.write(f"{len(selected)} selected, {skipped} of them {UNAVAILABLE}.")
        self.stdout.write("Nothing was sent or written: this was a dry run.")

    def _save(self, selected: list[int], options: dict[str, Any]) -> None:
        directory, url = options["save"], options["to"] or sending.local_url()
        skipped = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for delivery in resending.whole_deliveries(with_progress(selected, len(selected), "saving")):
                if delivery:
                    self.stdout.write(str(resending.save(delivery, directory, url)))
                else:
                    skipped += 1
        except OSError as error:
            raise CommandError(f"cannot write to {directory}: {error.strerror}") from error
        _require_success([], skipped, len(selected))

    def _send(self, selected: list[int], options: dict[str, Any]) -> None:
        sender = sending.WebhookClient(options["to"], allow_public=options["allow_public"])
        answers, skipped = list[sending.Answer](), 0
        is_listed = len(selected) <= sending.MAX_SHOWN_SINGLY or options["verbosity"] > 1
        ids = with_progress(sending.paced(selected, options["rate"]), None if is_listed else len(selected), "sending")
        started, is_stopped = time.monotonic(), False
        try:
            for delivery in resending.whole_deliveries(ids):
                if delivery is None:
                    skipped += 1
                    continue
                message = resending.message(delivery.pk, bytes(delivery.body), delivery.headers)
                answers.append(sender.send(message))
                if is_listed:
                    self.stdout.write(sending.line(message, answers[-1]))
        except KeyboardInterrupt:
            is_stopped = True
        if answers:
            self.stdout.write("\n".join(sending.summary(answers, time.monotonic() - started)))
        if is_stopped:
            self.stdout.write(f"Stopped; not sent: {len(selected) - skipped - len(answers)}.")
            raise SystemExit(EXIT_CODE_OF_CTRL_C)
        _require_success(answers, skipped, len(selected))


def _is_elsewhere(options: dict[str, Any]) -> bool:
    return bool(options["to"] or options["save"])


def _reject_contradictions(options: dict[str, Any]) -> None:
    if options["rate"] and (options["save"] or not options["to"]):
        raise CommandError("--rate limits sending: use it with --to and without --save")
    if _is_elsewhere(options) and not given_filters(options) and not _lookups(options):
        raise CommandError("no delivery is selected: give numbers, --outcome, --since, --project, ... (see --help)")


def _require_existing(ids: list[int]) -> None:
    existing = set(Delivery.objects.filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()
    if missing := [str(each) for each in ids if each not in existing]:
        raise CommandError(f"there is no delivery {' or '.join(missing)}; retention may have removed it")


def _selected(options: dict[str, Any]) -> QuerySet[Delivery]:
    deliveries = Delivery.objects.filter(**_lookups(options))
    if given_filters(options):
        return deliveries.filter(event__in=selected_events(options))
    if options["outcome"] or options["ids"] or _is_elsewhere(options):
        return deliveries
    return deliveries.refused()


def _lookups(options: dict[str, Any]) -> dict[str, Any]:
    # An empty --address is a selection too: the URL that all webhooks share has no last part.
    return {lookup: options[name] for name, lookup in LOOKUPS.items() if options[name] not in (None, [])}


def _require_success(answers: list[sending.Answer], skipped: int, selected: int) -> None:
    failures = [f"{skipped} x {UNAVAILABLE}"] if skipped else []
    if failures := failures + sending.reasons(answers):
        failed = skipped + sum(not answer.accepted for answer in answers)
        raise CommandError(f"{failed} of {selected} deliveries failed: {'; '.join(failures)}")


def _actor() -> str:
    try:
        return f"{getpass.getuser()} (manage.py)"
    except (KeyError, OSError):  # A container's user may have no name.
        return "manage.py"


def _line(result: Replay) -> str:
    reason = f": {result.verdict.reason}" if result.verdict.reason else ""
    return f"delivery {result.delivery.pk}: {result.before} -> {result.verdict.outcome}{reason}"
