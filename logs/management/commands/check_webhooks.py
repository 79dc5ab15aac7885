"""Tell how each configured webhook fares: ``manage.py check_webhooks``."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.timesince import timesince

from logs import conf
from logs.management.examples import CommandWithExamples
from logs.models import Delivery


class Command(CommandWithExamples):
    """Read the newest deliveries of each webhook; write nothing."""

    help = (
        "Show for each webhook of CIRCLECI_WEBHOOK_SECRETS when it was last heard of, what was last refused at its "
        "address, and whether an older secret is still in use. CircleCI itself raises no alarm."
    )
    examples = """
manage.py check_webhooks
manage.py check_webhooks | grep "STILL IN USE"
"""
    exit_codes = "0, whatever it has found"

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a paragraph for each webhook and one for the address of all."""
        configured = conf.webhooks()
        if not configured:
            self.stdout.write("No webhook is configured; see CIRCLECI_WEBHOOK_SECRETS.")
        for webhook in configured:
            self.stdout.write("\n".join([f"{webhook.name}  (/log-circleci-webhook/{webhook.slug})", *_facts(webhook)]))
        self.stdout.write("\n".join(["Address of all webhooks  (/log-circleci-webhook)", _last_refused("")]))


def _facts(webhook: conf.Webhook) -> Iterator[str]:
    if webhook.is_signed:
        yield from _secret_facts(webhook)
    else:
        yield "  not signed: anybody who knows its address may log events"
        yield f"  last accepted: {_when(Delivery.objects.last_accepted(webhook.name, None))}"
    yield _last_refused(webhook.slug)


def _secret_facts(webhook: conf.Webhook) -> Iterator[str]:
    count = len(webhook.secrets)
    newest, *older = (Delivery.objects.last_accepted(webhook.name, position) for position in range(count))
    for position, last in enumerate([newest, *older]):
        yield f"  {_secret_title(position, count)} last verified: {_when(last)}"
    for position, last in enumerate(older, start=1):
        yield _advice(position, last, newest)


def _secret_title(position: int, count: int) -> str:
    if count == 1:
        return "secret"
    return f"secret {position + 1} of {count} ({'the newest' if position == 0 else 'older'})"


def _advice(position: int, last: Delivery | None, newest: Delivery | None) -> str:
    if newest is None:
        return f"  secret {position + 1}: keep it, CircleCI has not used the newest one yet"
    if last is None or last.received_at < newest.received_at:
        return f"  secret {position + 1}: CircleCI has changed to the newest; remove it once late retries are over"
    return f"  secret {position + 1}: STILL IN USE; enter the newest one in CircleCI before you remove it"


def _last_refused(slug: str) -> str:
    refused = Delivery.objects.refused().filter(webhook_slug=slug).newest_first().defer("body").first()
    return f"  last refused: {_when(refused)}" + (f", {refused.outcome}: {refused.reason}" if refused else "")


def _when(delivery: Delivery | None) -> str:
    if delivery is None:
        return "never"
    at: datetime = delivery.received_at
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({timesince(at, timezone.now()).replace(chr(0xA0), ' ')} ago)"
