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
# The status for each reason to refuse a delivery; the exception's text is the message.
REFUSAL_STATUSES: dict[type[exceptions.WebhookLogError], int] = {
    exceptions.SignatureRefused:   401,
    exceptions.PayloadMalformed:   400,
    exceptions.ProjectRefused:     403,
    exceptions.ContentTypeRefused: 415,
    exceptions.EncodingRefused:    415,
    exceptions.BodyTooLarge:       413,
    exceptions.BodyUnreadable:     400,
}
# fmt: on
