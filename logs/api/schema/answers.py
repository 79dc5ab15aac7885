"""The headers and errors that endpoints share, as components referenced by operations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from logs.api.authentication import TooManySignIns
from logs.api.errors import DatabaseUnavailable, HTTPVersionTooOld, ServerEndsBrokenStreams
from logs.api.pagination import MAX_LIMIT
from logs.api.schema.examples import PING, SECRET, SIGNED_BODY
from logs.api.schema.payload import WEBHOOK
from logs.circleci.signature import sign
from logs.circleci.vocabulary import EVENT_TYPE_HEADER, SIGNATURE_HEADER
from logs.permissions import VIEW_BODIES
from logs.reading.cursors import INVALID_CURSOR


def reference(kind: str, name: str) -> dict[str, str]:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def _header(description: str, example: Any, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {
        "description": description,
        "schema": {"type": "string"} | schema,
        "example": example,
        **({"required": True} if required else {}),
    }


PAGE = "https://ci-log.example.org/fetch-webhooks-logs"

# fmt: off
HEADERS = {
    "X-Request-ID":        _header("The request's id; the server's log lines have it, too.",
                                   "0f5bd3c1d4d84d6d9d7a3e8c3f3b9d58", required=True),
    "X-Data-Age":          _header("How many seconds old the data may be, if it was read from a replica.", 3,
                                   type="integer", minimum=0),
    "Cache-Control":       _header("Shared caches must not store the response.", "private, no-cache"),
    "ETag":                _header("Identifies the response; send it as `If-None-Match` to get a 304 if unchanged.",
                                   '"d41d8cd98f00b204e9800998ecf8427e"'),
    "Link":                _header("The `first`, `next` and `prev` page, if it exists (RFC 8288).",
                                   f'<{PAGE}>; rel="first", <{PAGE}?cursor=bmV4dA>; rel="next"'),
    "Content-Disposition": _header("The file's name.",
                                   'attachment; filename="webhooklog-events-2026-08-20.csv"'),
    "RateLimit-Limit":     _header("Requests allowed per minute.", 600, type="integer", minimum=1),
    "RateLimit-Remaining": _header("Requests left in this minute.", 599, type="integer", minimum=0),
    "RateLimit-Reset":     _header("Seconds until the next minute begins.", 42, type="integer", minimum=1, maximum=60),
    "Retry-After":         _header("Seconds to wait.", 10, required=True, type="integer", minimum=1),
    "WWW-Authenticate":    _header("The accepted schemes.", 'Basic realm="api", Bearer realm="api"', required=True),
    SIGNATURE_HEADER:      _header("The signature that arrived with the body.", sign(SIGNED_BODY, SECRET)),
    EVENT_TYPE_HEADER:     _header("The event type that arrived with the body.", PING["type"]),
}
# fmt: on
USAGE = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """An error response."""

    status: int
    name: str
    meaning: str
    examples: dict[str, str]  # Details by code.
    headers: Sequence[str] = ()

    @property
    def component(self) -> dict[str, Any]:
        """The response as a component."""
        examples = {code: {"value": {"detail": detail, "code": code}} for code, detail in self.examples.items()}
        return {
            "description": self.meaning,
            "headers": {name: reference("headers", name) for name in ("X-Request-ID", *self.headers)},
            "content": {"application/json": {"schema": reference("schemas", "Error"), "examples": examples}},
        }


NOT_FOUND = ErrorAnswer(
    status=404,
    name="NotFound",
    meaning="It does not exist, or retention has removed it.",
    examples={"not_found": "Not found."},
)
UNAVAILABLE = ErrorAnswer(
    status=503,
    name="Unavailable",
    meaning="The database is unreachable, locked or full; nothing was written.",
    examples={"database_unavailable": str(DatabaseUnavailable.default_detail)},
    headers=["Retry-After"],
)
READING = [
    ErrorAnswer(
        status=400,
        name="BadRequest",
        meaning="A parameter is unknown, repeated or invalid; `detail` names it.",
        examples={
            "unknown_parameter": "Unknown parameter 'colour'; there are: cursor, format, limit, ordering.",
            "invalid_parameter": "revision: Ensure this value has at least 4 characters (it has 2).",
            "invalid_limit": f"limit must be a whole number from 1 to {MAX_LIMIT}.",
            "invalid_cursor": INVALID_CURSOR,
            "invalid_ordering": "ordering must be one of: received_at, -received_at.",
            "invalid_format": "format must be one of: json, csv, ndjson, api.",
            "unstorable_text": "The request contains a text that the database cannot store.",
            "disallowed_host": "This site does not answer to the host 'example.com': add it to ALLOWED_HOSTS.",
        },
    ),
    ErrorAnswer(
        status=401,
        name="Unauthorized",
        meaning="The credentials are missing or wrong.",
        examples={
            "not_authenticated": "Authentication credentials were not provided.",
            "authentication_failed": "Invalid username/password.",
            "invalid_token": "There is no such token, or it was revoked.",
            "expired_token": "The token expired at 2026-08-20T09:30Z.",
            "inactive_user": "The token's user is inactive.",
        },
        headers=["WWW-Authenticate"],
    ),
    ErrorAnswer(
        status=403,
        name="Forbidden",
        meaning="The user lacks a permission or the token a scope, which `detail` names, or a page of another origin "
        "sent a POST.",
        examples={
            "permission_denied": f"This needs the permission {VIEW_BODIES}; an administrator can grant it to eve.",
            "insufficient_scope": "This needs the scope deliveries; the token has events. Create a token with that "
            "scope.",
            "foreign_origin": "A page of another origin sent this request (Origin: https://evil.example). This site's "
            "origin is https://hooks.example.com. If that is wrong behind a proxy with TLS, set HTTPS_ONLY and pass "
            "the client's Host on, with its port.",
        },
    ),
    ErrorAnswer(
        status=406,
        name="NotAcceptable",
        meaning="`Accept` allows none of the formats.",
        examples={"not_acceptable": "Could not satisfy the request Accept header."},
    ),
    ErrorAnswer(
        status=429,
        name="TooManyRequests",
        meaning="More than `API_REQUESTS_PER_MINUTE` requests in a minute, or too many passwords at the same time.",
        examples={
            "throttled": "More than 600 requests in a minute; see the setting API_REQUESTS_PER_MINUTE. Expected "
            "available in 42 seconds.",
            "too_many_sign_ins": str(TooManySignIns.default_detail),
        },
        headers=[*USAGE, "Retry-After"],
    ),
    UNAVAILABLE,
]
EXPORTING = [
    ErrorAnswer(
        status=426,
        name="UpgradeRequired",
        meaning="A CSV or JSON lines export without `limit` over HTTP/1.0, where a truncated export looks complete.",
        examples={"http_version_too_old": HTTPVersionTooOld.default_detail},
    ),
    ErrorAnswer(
        status=501,
        name="NotImplemented",
        meaning="A CSV or JSON lines export without `limit` on a server that makes a truncated one look complete.",
        examples={"server_ends_broken_streams": ServerEndsBrokenStreams.default_detail},
    ),
]
RECEIVING = [
    ErrorAnswer(
        status=400,
        name="Malformed",
        meaning="The body is incomplete, or is authentic but not an object with a valid `id` and `type`; it is stored.",
        examples={
            "malformed": '"id" must be a non-empty string',
            "body_unreadable": "the body is incomplete: 512 of 2048 bytes arrived",
        },
    ),
    ErrorAnswer(
        status=401,
        name="Unverified",
        meaning="No signature proves that CircleCI sent it; it is stored, within limits, and can be replayed.",
        examples={"unverified": "the circleci-signature matches no secret (secrets of all webhooks tried: 1)"},
        headers=["WWW-Authenticate"],
    ),
    ErrorAnswer(
        status=403,
        name="ForeignProject",
        meaning="The webhook is bound to other projects; the delivery is stored.",
        examples={"forbidden_project": "webhook payments may not send events of the project 'github/acme/orchard'"},
    ),
    ErrorAnswer(
        status=413,
        name="TooLarge",
        meaning="The body is longer than `MAX_BODY_BYTES`.",
        examples={"body_too_large": "the body is longer than 1048576 bytes; see MAX_BODY_BYTES"},
    ),
    ErrorAnswer(
        status=415,
        name="UnsupportedContentType",
        meaning="The body is not JSON, or is compressed; if it is compressed, the response has `Accept-Encoding`.",
        examples={
            "unsupported_media_type": "the content type is not application/json",
            "unsupported_content_encoding": "the content encoding is 'gzip': send the body uncompressed",
        },
    ),
    UNAVAILABLE,
]


ERROR = {
    "type": "object",
    "description": "An error.",
    "properties": {
        "detail": {"type": "string", "description": "A message for people."},
        "code": {"type": "string", "description": "A stable word for programs."},
    },
    "required": ["detail", "code"],
}
NOT_MODIFIED = {
    "description": "The response would match the ETag in `If-None-Match`; there is no body.",
    "headers": {name: reference("headers", name) for name in ("X-Request-ID", "X-Data-Age", "ETag", *USAGE)},
}
ADDRESS_TOO_LONG = {
    "description": "The URL exceeds the server's limit, about 8,000 bytes; the message is the server's own.",
    "content": {"text/html": {"schema": {"type": "string"}, "example": "<h1>URI Too Long</h1>"}},
}
COMPONENTS = {
    "headers": HEADERS,
    "requestBodies": {"Webhook": WEBHOOK},
    "responses": {"NotModified": NOT_MODIFIED, "AddressTooLong": ADDRESS_TOO_LONG}
    | {each.name: each.component for each in (*READING, *EXPORTING, *RECEIVING, NOT_FOUND)},
}
