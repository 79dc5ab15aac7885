"""System checks: what in the settings is wrong or unwise, before CircleCI finds out."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from logs.conf import Webhook, webhooks

SHORT_SECRET_LENGTH = 16
MAX_NAME_LENGTH = 255


def check_webhooks(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check CIRCLECI_WEBHOOK_SECRETS."""
    configured = webhooks()
    if not configured:
        return [
            CheckWarning(
                "No webhook is configured, so every delivery will be refused.",
                hint='Set CIRCLECI_WEBHOOK_SECRETS, for example to {"My CircleCI Webhook": "its secret token"}.',
                id="logs.W001",
            )
        ]
    return [
        *(message for webhook in configured for message in _check_webhook(webhook)),
        *_check_shared_addresses(configured),
        *_check_shared_secrets(configured),
    ]


def _check_webhook(webhook: Webhook) -> Iterator[CheckMessage]:
    if not webhook.slug or len(webhook.name) > MAX_NAME_LENGTH:
        yield Error(
            f"The webhook name {webhook.name!r} in CIRCLECI_WEBHOOK_SECRETS cannot stand in an address.",
            hint=f"Give it a name of at most {MAX_NAME_LENGTH} characters that holds letters or digits of ASCII.",
            id="logs.E002",
        )
    if not webhook.is_signed:
        yield CheckWarning(
            f"The webhook {webhook.name!r} has no secret: anybody who knows its address may log events.",
            hint="Set a secret token in CircleCI, and the same in CIRCLECI_WEBHOOK_SECRETS.",
            id="logs.W003",
        )
    if any(not secret.strip("\0") for secret in webhook.secrets):
        yield Error(
            f"A secret of the webhook {webhook.name!r} is empty; it never matches.",
            hint="Write null in CIRCLECI_WEBHOOK_SECRETS for a webhook that has no secret token.",
            id="logs.E001",
        )
    if any(0 < len(secret) < SHORT_SECRET_LENGTH for secret in webhook.secrets):
        yield CheckWarning(
            f"A secret of the webhook {webhook.name!r} is shorter than {SHORT_SECRET_LENGTH} characters.",
            hint="Make one with `openssl rand -hex 32`; CIRCLECI_WEBHOOK_SECRETS may list both while you change it.",
            id="logs.W002",
        )


def _check_shared_addresses(configured: Sequence[Webhook]) -> Iterator[CheckMessage]:
    names = defaultdict(list)
    for webhook in configured:
        names[webhook.slug].append(webhook.name)
    for slug, sharing in names.items():
        if slug and len(sharing) > 1:
            yield Error(
                f"The webhooks {', '.join(map(repr, sharing))} have the same address /log-circleci-webhook/{slug}.",
                hint="Rename all but one of them in CIRCLECI_WEBHOOK_SECRETS.",
                id="logs.E003",
            )


def _check_shared_secrets(configured: Sequence[Webhook]) -> Iterator[CheckMessage]:
    names = defaultdict(set)
    for webhook in configured:
        for secret in webhook.secrets:
            names[secret].add(webhook.name)
    for sharing in names.values():
        if len(sharing) > 1:
            told = ", ".join(map(repr, sorted(sharing)))
            yield CheckWarning(
                f"The webhooks {told} share a secret, so one cannot be told from the other.",
                hint="Give each webhook a secret of its own in CIRCLECI_WEBHOOK_SECRETS.",
                id="logs.W004",
            )


def check_debug(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that a site which declares HTTPS does not show its insides on error pages."""
    if settings.DEBUG and settings.SECURE_SSL_REDIRECT:
        return [
            Error(
                "DEBUG is on at a site that is reached over HTTPS: error pages would show settings and payloads.",
                hint="Unset DEBUG, or HTTPS_ONLY on a laptop.",
                id="logs.E004",
            )
        ]
    return []
