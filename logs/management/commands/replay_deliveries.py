"""Judge kept deliveries again after a mend, or send them elsewhere: ``manage.py replay_deliveries``."""

import getpass
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.urls import reverse
from rich.console import Console
from rich.progress import track

from logs.ingest.replay import Replay, replay
from logs.management.arguments import moment, positive_integer, positive_number, web_address
from logs.management.examples import CommandWithExamples
from logs.management.filtering import add_event_filters, chosen_events, filters_given
from logs.management.terminal import EXIT_CODE_OF_CTRL_C
from logs.management.workbench import resending
from logs.management.workbench.sending import MAX_SHOWN_SINGLY, Answer, Sender, line, paced, reasons, summary
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
EXAMPLES = """
manage.py replay_deliveries --dry-run
manage.py replay_deliveries 12 13
manage.py replay_deliveries --to http://localhost:1337/log-circleci-webhook 12
manage.py replay_deliveries --to http://localhost:1337/log-circleci-webhook --since 24h --project orchard --rate 5
manage.py replay_deliveries --save deliveries --status failed --since 7d
"""


class Command(CommandWithExamples):
    """Replay deliveries, the oldest first, each on its own, so that it may be stopped at any time."""

    help = (
        "Pass kept deliveries through the pipeline again, by their original bytes and headers and under today's "
        "settings: after a mended secret, say. Without a choice it takes all refused ones. With --to it sends them to "
        "another address instead, with --save it writes them as files; this log then stays as it is. Try "
        "--dry-run first."
    )
    examples = EXAMPLES
    exit_codes = "0 when all was done, 1 when something was not, 2 for wrong arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the choice of deliveries, and what to do with them."""
        parser.add_argument("ids", nargs="*", type=positive_integer, metavar="ID", help="deliveries by their number")
        parser.add_argument("--outcome", action="append", choices=Outcome.values, help="may be repeated")
        parser.add_argument("--address", metavar="SLUG", help="the last part of the address they were sent to")
        parser.add_argument("--since", type=moment, metavar="WHEN", help="2026-05-04T10:00Z, or 24h, 7d")
        parser.add_argument("--until", type=moment, metavar="WHEN", help="the same")
        parser.add_argument("--dry-run", action="store_true", help="judge and tell, but write and send nothing")
        add_event_filters(parser)
        elsewhere = parser.add_argument_group("instead of judging them here")
        elsewhere.add_argument("--to", type=web_address, metavar="URL", help="send them there, as CircleCI sent them")
        elsewhere.add_argument("--allow-public", action="store_true", help="with --to: allow a URL on the internet")
        elsewhere.add_argument("--rate", type=positive_number, metavar="PER_SECOND", help="with --to: so many a second")
        elsewhere.add_argument(
            "--save",
            type=Path,
            metavar="DIR",
            help="write <ID>.body and <ID>.sh, a script that sends it by curl to the address of --to, or of this site",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay what the options choose, and tell what became of it.

        Raises:
            CommandError: nothing chooses what to send, or something chosen could not be sent or was not accepted.
            SystemExit: with 130, after Ctrl-C while sending.
        """
        _refuse_contradictions(options)
        chosen = list(_chosen(options).order_by("pk").values_list("pk", flat=True))
        if not chosen:
            self.stdout.write("There is no such delivery to replay.")
        elif not _is_elsewhere(options):
            self._judge(chosen, options)
        elif options["dry_run"]:
            self._forecast(chosen)
        elif options["save"]:
            self._save(chosen, options)
        else:
            self._send(chosen, options)

    def _judge(self, chosen: list[int], options: dict[str, Any]) -> None:
        counts: Counter[str] = Counter()
        for delivery_id in _with_progress(chosen, len(chosen), "replaying"):
            try:
                result = replay(delivery_id, actor=_actor(), dry_run=options["dry_run"])
            except Delivery.DoesNotExist:
                counts["removed meanwhile"] += 1
                continue
            counts[f"{result.before} -> {result.verdict.outcome}"] += 1
            if options["verbosity"] > 1 or len(chosen) == 1:
                self.stdout.write(_line(result))
        for change, count in sorted(counts.items()):
            self.stdout.write(f"{count} x {change}")
        if options["dry_run"]:
            self.stdout.write("Nothing was written: this was a dry run.")

    def _forecast(self, chosen: list[int]) -> None:
        left_out = 0
        for delivery in resending.kept(chosen):
            if delivery is None:
                left_out += 1
            else:
                size = len(delivery.body)
                received_at = f"{delivery.received_at:%Y-%m-%d %H:%M:%S}"
                self.stdout.write(f"delivery {delivery.pk:<10}{received_at}  {delivery.outcome:<12}{size:>8} bytes")
        self.stdout.write(f"{len(chosen)} chosen, {left_out} of them not kept, or not whole.")
        self.stdout.write("Nothing was sent or written: this was a dry run.")

    def _save(self, chosen: list[int], options: dict[str, Any]) -> None:
        directory, url = options["save"], options["to"] or _local_url()
        left_out = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for delivery in resending.kept(_with_progress(chosen, len(chosen), "saving")):
                if delivery:
                    self.stdout.write(str(resending.save(delivery, directory, url)))
                else:
                    left_out += 1
        except OSError as error:
            raise CommandError(f"cannot write to {directory}: {error.strerror}") from error
        _complain([], left_out, len(chosen))

    def _send(self, chosen: list[int], options: dict[str, Any]) -> None:
        sender = Sender(options["to"], allow_public=options["allow_public"])
        answers, left_out = list[Answer](), 0
        is_listed = len(chosen) <= MAX_SHOWN_SINGLY or options["verbosity"] > 1
        in_turn = _with_progress(paced(chosen, options["rate"]), None if is_listed else len(chosen), "sending")
        started, is_stopped = time.monotonic(), False
        try:
            for delivery in resending.kept(in_turn):
                if delivery is None:
                    left_out += 1
                    continue
                message = resending.message(delivery.pk, bytes(delivery.body), delivery.headers)
                answers.append(sender.send(message))
                if is_listed:
                    self.stdout.write(line(message, answers[-1]))
        except KeyboardInterrupt:
            is_stopped = True
        if answers:
            self.stdout.write("\n".join(summary(answers, time.monotonic() - started)))
        if is_stopped:
            self.stdout.write(f"Stopped; not sent: {len(chosen) - left_out - len(answers)}.")
            raise SystemExit(EXIT_CODE_OF_CTRL_C)
        _complain(answers, left_out, len(chosen))


def _is_elsewhere(options: dict[str, Any]) -> bool:
    return bool(options["to"] or options["save"])


def _refuse_contradictions(options: dict[str, Any]) -> None:
    if options["rate"] and (options["save"] or not options["to"]):
        raise CommandError("--rate is for sending: it needs --to, and --save sends nothing")
    if _is_elsewhere(options) and not filters_given(options) and not _lookups(options):
        raise CommandError("choose what to send: by number, --outcome, --since, --project, ... (see --help)")


def _chosen(options: dict[str, Any]) -> QuerySet[Delivery]:
    deliveries = Delivery.objects.filter(**_lookups(options))
    if filters_given(options):
        return deliveries.filter(event__in=chosen_events(options))
    if options["outcome"] or options["ids"] or _is_elsewhere(options):
        return deliveries
    return deliveries.refused()


def _lookups(options: dict[str, Any]) -> dict[str, Any]:
    # The bare address has no last part: an empty text is a choice, too.
    return {lookup: options[name] for name, lookup in LOOKUPS.items() if options[name] not in (None, [])}


def _complain(answers: list[Answer], left_out: int, chosen: int) -> None:
    told = [f"{left_out} x not kept, or only the beginning of its body"] if left_out else []
    if told := told + reasons(answers):
        failed = left_out + sum(not answer.accepted for answer in answers)
        raise CommandError(f"{failed} of {chosen} deliveries not done: {'; '.join(told)}")


def _local_url() -> str:
    return f"http://127.0.0.1:{settings.PORT}{reverse('logs:receive')}"


def _with_progress(chosen: Iterable[int], count: int | None, description: str) -> Iterable[int]:
    """Show on stderr, if that is a terminal, how far ``count`` deliveries have got; None shows nothing."""
    console = Console(stderr=True)
    if count is None or not console.is_terminal:
        return chosen
    return track(chosen, description=description, total=count, console=console)


def _actor() -> str:
    try:
        return f"{getpass.getuser()} (manage.py)"
    except (KeyError, OSError):  # A container's user may have a number but no name.
        return "manage.py"


def _line(result: Replay) -> str:
    reason = f": {result.verdict.reason}" if result.verdict.reason else ""
    return f"delivery {result.delivery.pk}: {result.before} -> {result.verdict.outcome}{reason}"
