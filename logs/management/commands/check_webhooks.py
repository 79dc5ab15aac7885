"""Report the state of each configured webhook: ``manage.py check_webhooks``."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from django.utils import timezone

from logs import conf
from logs.http.full_urls import receiving_path
from logs.insights.secret_use import Removal, Rotation, Use, read_rotations, read_uses
from logs.insights.watching import WatchState, read_watch
from logs.management.arguments import age
from logs.management.examples import CommandWithExamples
from logs.management.source_report import age_of, cut, news_line, problems, source_lines, when
from logs.management.terminal import printable
from logs.models import Delivery
from logs.standings.sources import read_news, read_sources

# fmt: off
ADVICE = {
    Removal.NOT_YET: "keep it; CircleCI has not used the newest secret yet",
    Removal.IN_USE:  "STILL IN USE; enter the newest secret in CircleCI before you remove this one",
    Removal.UNKNOWN: "unknown whether it is in use; keep it until every project has used the newest secret",
    Removal.SAFE:    "safe to remove; every project has changed to the newest secret",
}
# fmt: on


class Command(CommandWithExamples):
    """Read the newest deliveries for each webhook."""

    help = (
        "For each webhook in CIRCLECI_WEBHOOK_SECRETS, show its last delivery, the last refused delivery at its URL, "
        "the projects that still use an older secret, and whether that secret is safe to remove. CircleCI does not "
        "report failed deliveries. Each source (a project of a webhook) has a line with its state, last delivery and "
        "the fingerprint of its secret; silent sources come first. The last paragraphs show whether the state is "
        "known, whether the watch runs, and which problems exist. Muted sources are not problems."
    )
    examples = """
manage.py check_webhooks
manage.py check_webhooks --max-age 24h
manage.py check_webhooks | grep "STILL IN USE"
"""
    exit_codes = (
        "0 without problems; 1 when a source is silent, or the state of the workflows is unknown, for example because\n"
        "the watch does not run; with --max-age, 1 when a source's last delivery is older, a webhook has never\n"
        "delivered, or the state of the workflows is unknown;\n"
        "2 for invalid arguments"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --max-age."""
        parser.add_argument(
            "--max-age",
            type=age,
            metavar="AGE",
            help="exit with 1 if a source's last delivery is older (30m, 24h, 7d), whatever its state",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a paragraph for each webhook, and another for the URL that all webhooks share.

        Raises:
            SystemExit: with 1, if there are problems.
        """
        now, configured, sources = timezone.now(), conf.webhooks(), read_sources()
        if not configured:
            self.stdout.write("No webhook is configured: set CIRCLECI_WEBHOOK_SECRETS.")
        uses = read_uses()
        rotations = read_rotations(uses)
        for webhook in configured:
            title = f"{webhook.name}  ({receiving_path(webhook.slug)})"
            facts = _facts(webhook, uses[webhook.name], rotations.get(webhook.name))
            of_sources = source_lines([source for source in sources if source.webhook == webhook.name], now)
            self.stdout.write("\n".join([title, *facts, *of_sources]))
        self.stdout.write("\n".join([f"URL of all webhooks  ({receiving_path('')})", _last_refused("")]))
        news = read_news(now)
        self.stdout.write(f"News\n  {news_line(news)}")
        self.stdout.write("\n".join(["Watch", *_watch_facts(read_watch())]))
        if found := list(problems(configured, sources, uses, news, now=now, max_age=options["max_age"])):
            self.stdout.write("\n".join(["Problems", *cut([f"  {each}" for each in found], more="  and {} more")]))
            raise SystemExit(1)


def _watch_facts(watch: WatchState) -> Iterator[str]:
    if watch.is_running:
        yield "  running"
    else:
        last = when(watch.last_started_at) if watch.last_started_at else "never"
        yield f"  NOT RUNNING; last active: {last}. State changes are not found: unset WATCH or run manage.py watch"
    for task, error in watch.errors.items():
        yield f"  the task {task} is failing: {printable(error)}"


def _facts(webhook: conf.Webhook, uses: Sequence[Use], rotation: Rotation | None) -> Iterator[str]:
    if webhook.is_signed:
        yield from _secret_facts(webhook, [use for use in uses if use.fingerprint != ""])
        if rotation:
            yield from _rotation_facts(rotation)
    else:
        yield "  not signed: anyone who knows its URL can log events"
        yield f"  last accepted: {_last([use for use in uses if not use.fingerprint])}"
    yield _last_refused(webhook.slug)


def _secret_facts(webhook: conf.Webhook, uses: Sequence[Use]) -> Iterator[str]:
    count, fingerprints = len(webhook.secrets), webhook.fingerprints
    for position, fingerprint in enumerate(fingerprints):
        last = _last([use for use in uses if use.fingerprint == fingerprint])
        yield f"  {_secret_title(position, count)} last verified: {last}"
    if others := [use for use in uses if use.fingerprint not in fingerprints]:
        yield f"  another or unknown secret, last verified: {_last(others)}"


def _rotation_facts(rotation: Rotation) -> Iterator[str]:
    is_one = len(rotation.removals) == 1
    behind = [
        f"{_project(each.project)}{'' if is_one else f' (secret {each.position + 1})'}, {age_of(each.received_at)}"
        for each in rotation.behind
    ]
    of_projects = f"  {rotation.on_newest} of {rotation.projects} projects use the new secret"
    still = f"; still on {'the' if is_one else 'an'} old one: {_listed(behind)}" if behind else ""
    yield of_projects + still
    if rotation.unknown:
        yield f"  projects whose secret is unknown: {_listed([_project(name) for name in rotation.unknown])}"
    for position, removal in enumerate(rotation.removals, start=1):
        yield f"  secret {position + 1}: {ADVICE[removal]}"


def _secret_title(position: int, count: int) -> str:
    if count == 1:
        return "secret"
    return f"secret {position + 1} of {count} ({'the newest' if position == 0 else 'older'})"


def _project(name: str) -> str:
    return printable(name) or "a delivery without a project"


def _listed(items: Sequence[str]) -> str:
    return "; ".join(cut(items, more="and {} more"))


def _last_refused(slug: str) -> str:
    refused = Delivery.objects.refused().filter(webhook_slug=slug).newest_first().defer("body").first()
    if refused is None:
        return "  last refused: never"
    return f"  last refused: {when(refused.received_at)}, {refused.outcome}: {refused.reason}"


def _last(uses: Sequence[Use]) -> str:
    return when(max(uses, key=lambda use: use.key).received_at) if uses else "never"
