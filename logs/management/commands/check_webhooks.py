"""Report the state of each configured webhook: ``manage.py check_webhooks``."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince

from logs import conf
from logs.insights.secret_use import Removal, Rotation, Use, read_rotations, read_uses
from logs.insights.watching import WatchState, read_watch
from logs.management.examples import CommandWithExamples
from logs.management.terminal import printable
from logs.models import Delivery

MAX_LISTED = 10

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
        "report failed deliveries. The last paragraph shows whether the watch runs."
    )
    examples = """
manage.py check_webhooks
manage.py check_webhooks | grep "STILL IN USE"
"""
    exit_codes = "0 whatever the state of the webhooks"

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a paragraph for each webhook, and another for the URL that all webhooks share."""
        configured = conf.webhooks()
        if not configured:
            self.stdout.write("No webhook is configured: set CIRCLECI_WEBHOOK_SECRETS.")
        uses = read_uses()
        rotations = read_rotations(uses)
        for webhook in configured:
            title = f"{webhook.name}  ({_path(webhook.slug)})"
            self.stdout.write("\n".join([title, *_facts(webhook, uses[webhook.name], rotations.get(webhook.name))]))
        self.stdout.write("\n".join([f"URL of all webhooks  ({_path('')})", _last_refused("")]))
        self.stdout.write("\n".join(["Watch", *_watch_facts(read_watch())]))


def _watch_facts(watch: WatchState) -> Iterator[str]:
    if watch.is_running:
        yield "  running"
    else:
        last = _when(watch.last_started_at) if watch.last_started_at else "never"
        yield f"  NOT RUNNING; last active: {last}. State changes are not found: unset WATCH or run manage.py watch"
    for task, error in watch.errors.items():
        yield f"  the task {task} fails: {printable(error)}"


def _path(slug: str) -> str:
    return reverse("logs:receive-webhook", args=[slug]) if slug else reverse("logs:receive")


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
        f"{_project(each.project)}{'' if is_one else f' (secret {each.position + 1})'}, {_age(each.received_at)}"
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
    more = len(items) - MAX_LISTED
    return "; ".join([*items[:MAX_LISTED], *([f"and {more} more"] if more > 0 else [])])


def _last_refused(slug: str) -> str:
    refused = Delivery.objects.refused().filter(webhook_slug=slug).newest_first().defer("body").first()
    if refused is None:
        return "  last refused: never"
    return f"  last refused: {_when(refused.received_at)}, {refused.outcome}: {refused.reason}"


def _last(uses: Sequence[Use]) -> str:
    return _when(max(uses, key=lambda use: use.key).received_at) if uses else "never"


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({_age(at)})"


def _age(at: datetime) -> str:
    return f"{timesince(at, timezone.now()).replace(chr(0xA0), ' ')} ago"
