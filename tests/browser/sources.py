"""Write sources in each state into a site's database; to be called in the site's own settings."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from logs import conf
from logs.models import Source, WebhookSecret, WorkflowEvent

WEBHOOK = "My CircleCI Webhook"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD = "9be0417d"


def make_sources(name="garden"):
    """Make a source in each state; `name` is that of the silent project."""
    now = timezone.now()
    secret = next(webhook for webhook in conf.webhooks() if webhook.name == WEBHOOK).fingerprints[0]
    for fingerprint, days in ((secret, 12), (OLD, 400)):
        WebhookSecret.objects.update_or_create(
            webhook=WEBHOOK, fingerprint=fingerprint, defaults={"first_seen_at": now - days * DAY}
        )
    run = WorkflowEvent.objects.exclude(workflow="").order_by("pk").last()
    known = {"first_event_at": now - 90 * DAY, "last_event": run, "secret_fingerprint": secret}
    mute = {"muted_until": now + 4 * DAY, "muted_by": User.objects.get(username="operator")}
    _source("orchard", state="up", last_delivery_at=now - HOUR, **known)
    _source("shop", state="late", last_delivery_at=now - 26 * HOUR, **known | {"secret_fingerprint": OLD})
    _source(name, state="silent", last_delivery_at=now - 3 * DAY, **known)
    _source("harbour", state="up", last_delivery_at=now - 2 * DAY, **known, **mute)
    _source("field", state="new", last_delivery_at=now - HOUR, **known | {"first_event_at": now - 9 * DAY})
    _source("orchard", webhook=name, state="up", last_delivery_at=now - 30 * DAY, **known)
    _source("", webhook="From a fork", state="new", last_delivery_at=now - HOUR, first_event_at=now - HOUR)


def _source(project, webhook=WEBHOOK, **values):
    slug = f"github/acme/{project}" if project else ""
    Source.objects.update_or_create(webhook=webhook, project_slug=slug, defaults={"project": project, **values})
