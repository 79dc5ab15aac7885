"""The exceptions of this application; each message is fit for an operator and for the sender alike."""


class WebhookLogError(Exception):
    """Something about a delivery is not as it must be.

    Attributes:
        code: a stable word for programs, beside the message for people.
    """

    code = "error"


class SignatureRefused(WebhookLogError):
    """Nothing proves that CircleCI sent this delivery."""

    code = "unverified"


class PayloadMalformed(WebhookLogError):
    """The delivery is authentic, but no event can be read from its body."""

    code = "malformed"


class ProjectRefused(WebhookLogError):
    """The delivery is authentic, but its webhook may not speak for that project."""

    code = "forbidden_project"


class ContentTypeRefused(WebhookLogError):
    """The body is declared to be something else than JSON."""

    code = "unsupported_media_type"


class EncodingRefused(WebhookLogError):
    """The body has a content encoding, such as gzip."""

    code = "unsupported_content_encoding"


class BodyTooLarge(WebhookLogError):
    """The body is longer than a webhook may be."""

    code = "body_too_large"


class BodyUnreadable(WebhookLogError):
    """The connection ended, or broke HTTP's framing, before the whole body had arrived."""

    code = "body_unreadable"


class InvalidQuery(ValueError):
    """A parameter of a list is unknown or invalid; the message is fit for the client."""

    def __init__(self, message: str, code: str = "invalid_parameter") -> None:
        super().__init__(message)
        self.code = code
