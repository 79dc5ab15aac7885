"""This application's exceptions; their messages are for the operator and the client."""


class WebhookLogError(Exception):
    """A delivery is invalid.

    Attributes:
        code: a stable code for programs; the exception's message is for people.
    """

    code = "error"


class SignatureRefused(WebhookLogError):
    """No signature proves that CircleCI sent this delivery."""

    code = "unverified"


class PayloadMalformed(WebhookLogError):
    """The delivery is authentic, but its body does not contain a valid event."""

    code = "malformed"


class ProjectRefused(WebhookLogError):
    """The delivery is authentic, but the webhook may not send this project's events."""

    code = "forbidden_project"


class ContentTypeRefused(WebhookLogError):
    """The content type is not JSON."""

    code = "unsupported_media_type"


class EncodingRefused(WebhookLogError):
    """The body has a content encoding, such as gzip."""

    code = "unsupported_content_encoding"


class BodyTooLarge(WebhookLogError):
    """The body is longer than MAX_BODY_BYTES."""

    code = "body_too_large"


class BodyUnreadable(WebhookLogError):
    """The connection ended, or violated HTTP framing, before the whole body had arrived."""

    code = "body_unreadable"


class InvalidQuery(ValueError):
    """A query parameter is unknown or invalid; the message is for the client.

    Attributes:
        code: as in `WebhookLogError`.
    """

    def __init__(self, message: str, code: str = "invalid_parameter") -> None:
        super().__init__(message)
        self.code = code
