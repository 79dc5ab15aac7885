"""What can be done about a delivery's outcome."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from logs.circleci.vocabulary import SIGNATURE_HEADER
from logs.models import Delivery, Outcome

ADVICE: dict[Outcome, Promise] = {
    Outcome.EXPIRED: _("To keep events as old as this one, raise EVENT_RETENTION_DAYS or set it to 0."),
    Outcome.UNVERIFIED: _(
        "Check the secret in CIRCLECI_WEBHOOK_SECRETS against the webhook's secret token in CircleCI, restart, "
        "then verify again. If CircleCI did not send this, there is nothing to do."
    ),
    Outcome.MALFORMED: _(
        "No event can be read from these bytes. If CircleCI sends such bodies regularly, update webhooklog, "
        "then verify again."
    ),
    Outcome.FORBIDDEN: _(
        'If this webhook may speak for that project, add the project to its "projects" in CIRCLECI_WEBHOOK_SECRETS, '
        "restart, then verify again."
    ),
    Outcome.REJECTED: _(
        "Its body was not read, so it cannot be verified again. Correct what the reason names, then run the workflow "
        "again in CircleCI."
    ),
}
CUT_ADVICE = _(
    "Only the beginning of its body is kept, so it cannot be verified again. Correct the cause, then run the workflow "
    "again in CircleCI."
)
UNSIGNED_ADVICE = _(
    "It has no signature: give the webhook a secret token in CircleCI, the one in CIRCLECI_WEBHOOK_SECRETS. "
    "If CircleCI did not send this, there is nothing to do."
)


def advice_for(delivery: Delivery, *, cut: bool) -> Promise | None:
    """Return what can be done about a delivery's outcome; None where nothing has to be.

    Args:
        delivery: any.
        cut: whether only a part of its body is kept.
    """
    outcome = Outcome(delivery.outcome)
    if outcome is Outcome.UNVERIFIED and SIGNATURE_HEADER not in delivery.headers:
        return UNSIGNED_ADVICE
    return CUT_ADVICE if cut and outcome is Outcome.UNVERIFIED else ADVICE.get(outcome)
