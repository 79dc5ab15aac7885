"""API tokens that expire soon, and old webhook secrets that are still in use."""

from collections import defaultdict
from collections.abc import Container
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from logs import conf
from logs.models import ApiToken, Source, WebhookSecret
from logs.notifications.alarms.problems import Problems, name_of_project, some_names

NOTICE = timedelta(days=7)
IN_USE = timedelta(days=30)
ROTATION = timedelta(days=7)


def find_expiring_tokens(opened: Container[str], now: datetime) -> Problems:
    """Return the tokens in use that expire within NOTICE, unless a newer one of the same user and name is valid."""
    newer = ApiToken.objects.filter(
        Q(expiry=None) | Q(expiry__gt=OuterRef("expiry")), user=OuterRef("user"), name=OuterRef("name")
    ).exclude(pk=OuterRef("pk"))
    expiring = ApiToken.objects.filter(
        ~Exists(newer), expiry__gt=now, expiry__lte=now + NOTICE, last_used_at__gte=now - IN_USE, user__is_active=True
    )
    return {
        str(token.pk): {
            "name": token.name,
            "begins_with": token.token_key,
            "owner": token.user.get_username(),
            "expires_at": token.expiry.isoformat(),
        }
        for token in expiring.select_related("user")
    }


def find_old_secrets(opened: Container[str], now: datetime) -> Problems:
    """Return the webhooks whose old secret signs deliveries although the newest has been in use for ROTATION."""
    rotating = {webhook.name: webhook.fingerprints for webhook in conf.webhooks() if len(webhook.secrets) > 1}
    if not rotating:
        return {}
    seen = WebhookSecret.objects.filter(webhook__in=rotating, first_seen_at__lte=now - ROTATION)
    since = {
        secret.webhook: secret.first_seen_at for secret in seen if secret.fingerprint == rotating[secret.webhook][0]
    }
    projects: dict[str, list[str]] = defaultdict(list)
    for source in Source.objects.filter(webhook__in=since).exclude(last_delivery_at=None):
        # What was delivered before the new secret was in use does not show that the old one still is.
        is_old = source.secret_fingerprint in rotating[source.webhook][1:]
        if is_old and source.last_delivery_at and source.last_delivery_at > since[source.webhook]:
            projects[source.webhook].append(name_of_project(source.project_slug, source.project))
    return {
        webhook: {
            "webhook": webhook,
            "projects": some_names([name for name in names if name]),
            "count": len([name for name in names if name]),
            "newest_first_seen_at": since[webhook].isoformat(),
        }
        for webhook, names in projects.items()
    }
