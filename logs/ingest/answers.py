"""The responses to deliveries. The endpoint sends them, and each delivery stores its own."""

from logs import exceptions
from logs.models import Outcome

# fmt: off
# The status and the message for each outcome of an accepted delivery.
ANSWERS = {
    Outcome.LOGGED:    (201, "Webhook Event successfully logged"),
    Outcome.UPDATED:   (200, "Webhook Event updated to its newer version"),
    Outcome.DUPLICATE: (200, "Webhook Event was already logged"),
    Outcome.PING:      (200, "Ping received"),
    Outcome.EXPIRED:   (200, "Webhook Event is older than the log keeps events"),
}
# The outcome and the status for each reason to refuse a delivery; the exception's text is the message.
REFUSALS: dict[type[exceptions.WebhookLogError], tuple[Outcome, int]] = {
    exceptions.SignatureRefused:   (Outcome.UNVERIFIED, 401),
    exceptions.PayloadMalformed:   (Outcome.MALFORMED,  400),
    exceptions.ProjectRefused:     (Outcome.FORBIDDEN,  403),
    exceptions.ContentTypeRefused: (Outcome.REJECTED,   415),
    exceptions.EncodingRefused:    (Outcome.REJECTED,   415),
    exceptions.BodyTooLarge:       (Outcome.REJECTED,   413),
    exceptions.BodyUnreadable:     (Outcome.REJECTED,   400),
}
# fmt: on
