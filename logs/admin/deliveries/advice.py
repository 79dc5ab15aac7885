"""Advice for operators on a delivery's outcome."""

from difflib import get_close_matches

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from logs import conf
from logs.circleci.vocabulary import SIGNATURE_HEADER
from logs.http.full_urls import receiving_path
from logs.models import Delivery, Outcome

MAX_PATHS = 10

ADVICE: dict[Outcome, Promise] = {
    Outcome.EXPIRED: gettext_lazy("To store events as old as this one, raise EVENT_RETENTION_DAYS or set it to 0."),
    Outcome.UNVERIFIED: gettext_lazy(
        "Compare the secret in CIRCLECI_WEBHOOK_SECRETS with the webhook's secret token in CircleCI, restart, then "
        "replay. If CircleCI did not send this delivery, ignore it."
    ),
    Outcome.MALFORMED: gettext_lazy(
        "These bytes contain no event. If CircleCI sends such bodies regularly, update webhooklog, then replay."
    ),
    Outcome.FORBIDDEN: gettext_lazy(
        'If this webhook may report that project, add the project to its "projects" in CIRCLECI_WEBHOOK_SECRETS, '
        "restart, then replay."
    ),
    Outcome.REJECTED: gettext_lazy(
        "The body was not read, so the delivery cannot be replayed. Fix the cause, then rerun the workflow in CircleCI."
    ),
}
CUT_ADVICE = gettext_lazy(
    "Only the start of the body is stored, so the delivery cannot be replayed. Fix the cause, then rerun the workflow "
    "in CircleCI."
)
UNSIGNED_ADVICE = gettext_lazy(
    "The delivery has no signature. In CircleCI, set the webhook's secret token to the secret in "
    "CIRCLECI_WEBHOOK_SECRETS. If CircleCI did not send this delivery, ignore it."
)
URL_ADVICE = gettext_lazy(
    "Correct the URL in CircleCI and rerun the workflow, or configure a webhook for this URL in "
    "CIRCLECI_WEBHOOK_SECRETS, restart, then replay."
)


def advice_for(delivery: Delivery, *, is_cut: bool) -> str | Promise | None:
    """Return the advice for a delivery's outcome; None if there is nothing to do.

    Args:
        delivery: the delivery.
        is_cut: whether only the start of the delivery's body is stored.
    """
    outcome = Outcome(delivery.outcome)
    if outcome is not Outcome.UNVERIFIED:
        return ADVICE.get(outcome)
    if receiving_path(delivery.webhook_slug) not in _configured_paths():
        return f"{_unknown_path(delivery.webhook_slug)} {CUT_ADVICE if is_cut else URL_ADVICE}"
    if SIGNATURE_HEADER not in delivery.headers:
        return UNSIGNED_ADVICE
    return CUT_ADVICE if is_cut else ADVICE[outcome]


def _unknown_path(slug: str) -> str:
    """Return the sentences that name a path without a webhook, the configured paths, and the closest of them."""
    paths = _configured_paths()
    shown = ", ".join(paths[:MAX_PATHS]) + (" …" if len(paths) > MAX_PATHS else "")
    sentences = _("No webhook has the URL %(path)s. Configured: %(paths)s.") % {
        "path": receiving_path(slug),
        "paths": shown or _("none"),
    }
    for closest in get_close_matches(slug.lower(), _slugs(), n=1):
        sentences += " " + _("The closest is %(path)s.") % {"path": receiving_path(closest)}
    return sentences


def _configured_paths() -> list[str]:
    """Return the paths at which webhooks are accepted; the shared path accepts signed webhooks only."""
    shared = [""] if any(webhook.is_signed for webhook in conf.webhooks()) else []
    return [receiving_path(slug) for slug in shared + _slugs()]


def _slugs() -> list[str]:
    return [webhook.slug for webhook in conf.webhooks() if webhook.slug]
