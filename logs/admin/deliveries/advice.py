"""Advice for operators on a delivery's outcome."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from logs.circleci.vocabulary import SIGNATURE_HEADER
from logs.models import Delivery, Outcome

ADVICE: dict[Outcome, Promise] = {
    Outcome.EXPIRED: _("To store events as old as this one, raise EVENT_RETENTION_DAYS or set it to 0."),
    Outcome.UNVERIFIED: _(
        "Compare the secret in CIRCLECI_WEBHOOK_SECRETS with the webhook's secret token in CircleCI, restart, then "
        "replay. If CircleCI did not send this delivery, ignore it."
    ),
    Outcome.MALFORMED: _(
        "These bytes contain no event. If CircleCI sends such bodies regularly, update webhooklog, then replay."
    ),
    Outcome.FORBIDDEN: _(
        'If this webhook may report that project, add the project to its "projects" in CIRCLECI_WEBHOOK_SECRETS, '
        "restart, then replay."
    ),
    Outcome.REJECTED: _(
        "The body was not read, so the delivery cannot be replayed. Fix the cause, then rerun the workflow in CircleCI."
    ),
}
CUT_ADVICE = _(
    "Only the start of the body is stored, so the delivery cannot be replayed. Fix the cause, then rerun the workflow "
    "in CircleCI."
)
UNSIGNED_ADVICE = _(
    "The delivery has no signature. In CircleCI, set the webhook's secret token to the secret in "
    "CIRCLECI_WEBHOOK_SECRETS. If CircleCI did not send this delivery, ignore it."
)


def advice_for(delivery: Delivery, *, is_cut: bool) -> Promise | None:
    """Return the advice for a delivery's outcome; None if there is nothing to do.

    Args:
        delivery: the delivery.
        is_cut: whether only the start of the delivery's body is stored.
    """
    outcome = Outcome(delivery.outcome)
    if outcome is Outcome.UNVERIFIED and SIGNATURE_HEADER not in delivery.headers:
        return UNSIGNED_ADVICE
    return CUT_ADVICE if is_cut and outcome is Outcome.UNVERIFIED else ADVICE.get(outcome)
