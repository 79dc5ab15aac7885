"""Judge kept deliveries again after a mend: ``manage.py replay_deliveries``."""

import getpass
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import QuerySet
from rich.console import Console
from rich.progress import track

from logs.ingest.replay import Replay, replay
from logs.management.arguments import moment, positive_integer
from logs.models import Delivery, Outcome
from logs.models.deliveries import REFUSED


class Command(BaseCommand):
    """Replay deliveries, the oldest first, each in a transaction of its own, so that it may be stopped at any time."""

    help = (
        "Pass kept deliveries through the pipeline again, by their original bytes and headers and under today's "
        "settings: after a mended secret, say. Without a choice it takes all refused ones. Try --dry-run first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the choice of deliveries."""
        parser.add_argument("ids", nargs="*", type=positive_integer, metavar="ID", help="deliveries by their number")
        parser.add_argument("--outcome", action="append", choices=Outcome.values, help="may be repeated")
        parser.add_argument("--address", metavar="SLUG", help="the last part of the address they were sent to")
        parser.add_argument("--since", type=moment, metavar="WHEN", help="2026-05-04T10:00Z, or 24h, 7d")
        parser.add_argument("--until", type=moment, metavar="WHEN", help="the same")
        parser.add_argument("--dry-run", action="store_true", help="judge and tell, but write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay what the options choose, and tell what became of it."""
        chosen = list(_chosen(options).order_by("pk").values_list("pk", flat=True))
        if not chosen:
            self.stdout.write("There is no such delivery to replay.")
            return
        counts: Counter[str] = Counter()
        for delivery_id in _with_progress(chosen):
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


def _chosen(options: dict[str, Any]) -> QuerySet[Delivery]:
    deliveries = Delivery.objects.all()
    if options["ids"]:
        deliveries = deliveries.filter(pk__in=options["ids"])
    if options["outcome"] or not options["ids"]:
        deliveries = deliveries.filter(outcome__in=options["outcome"] or REFUSED)
    if options["address"] is not None:
        deliveries = deliveries.filter(webhook_slug=options["address"])
    if options["since"]:
        deliveries = deliveries.filter(received_at__gte=options["since"])
    if options["until"]:
        deliveries = deliveries.filter(received_at__lte=options["until"])
    return deliveries


def _with_progress(chosen: list[int]) -> Any:
    console = Console(stderr=True)
    return track(chosen, description="replaying", console=console) if console.is_terminal else chosen


def _actor() -> str:
    try:
        return f"{getpass.getuser()} (manage.py)"
    except (KeyError, OSError):  # A container's user may have a number but no name.
        return "manage.py"


def _line(result: Replay) -> str:
    reason = f": {result.verdict.reason}" if result.verdict.reason else ""
    return f"delivery {result.delivery.pk}: {result.before} -> {result.verdict.outcome}{reason}"
