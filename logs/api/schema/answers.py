"""What endpoints have in common in their answers: headers and errors, as components that operations refer to."""

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
from logs.exceptions import (
    BodyTooLarge,
    BodyUnreadable,
    ContentTypeRefused,
    EncodingRefused,
    PayloadMalformed,
    ProjectRefused,
    SignatureRefused,
)
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
    "X-Request-ID":        _header("The request's id, which the server's log lines share.",
                                   "0f5bd3c1d4d84d6d9d7a3e8c3f3b9d58", required=True),
    "Cache-Control":       _header("Caches that several people share keep nothing.", "private, no-cache"),
    "ETag":                _header("Names the answer: send it as `If-None-Match`, and an unchanged answer is a 304.",
                                   '"d41d8cd98f00b204e9800998ecf8427e"'),
    "Link":                _header("The `first`, `next` and `prev` page where there is one (RFC 8288).",
                                   f'<{PAGE}>; rel="first", <{PAGE}?cursor=bmV4dA>; rel="next"'),
    "Content-Disposition": _header("The name of the file.",
                                   'attachment; filename="webhooklog-events-2026-08-20.csv"'),
    "RateLimit-Limit":     _header("How many requests may be made in a minute.", 600, type="integer", minimum=1),
    "RateLimit-Remaining": _header("How many of them are left.", 599, type="integer", minimum=0),
    "RateLimit-Reset":     _header("Seconds until they may be made again.", 42, type="integer", minimum=1, maximum=60),
    "Retry-After":         _header("Seconds to wait.", 10, required=True, type="integer", minimum=1),
    "WWW-Authenticate":    _header("How to sign in.", 'Basic realm="api", Bearer realm="api"', required=True),
    SIGNATURE_HEADER:      _header("The signature that came with the body.", sign(SIGNED_BODY, SECRET)),
    EVENT_TYPE_HEADER:     _header("The type of event that came with the body.", PING["type"]),
}
# fmt: on
USAGE = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that is an error."""

    status: int
    name: str
    meaning: str
    examples: dict[str, str]  # The detail, by the code.
    headers: Sequence[str] = ()

    @property
    def component(self) -> dict[str, Any]:
        """The answer, to be referred to by its name."""
        examples = {code: {"value": {"detail": detail, "code": code}} for code, detail in self.examples.items()}
        return {
            "description": self.meaning,
            "headers": {name: reference("headers", name) for name in ("X-Request-ID", *self.headers)},
            "content": {"application/json": {"schema": reference("schemas", "Error"), "examples": examples}},
        }


NOT_FOUND = Refusal(
    status=404,
    name="NotFound",
    meaning="There is no such thing, or retention has removed it.",
    examples={"not_found": "Not found."},
)
UNAVAILABLE = Refusal(
    status=503,
    name="Unavailable",
    meaning="The database is unreachable, locked or full; nothing was written.",
    examples={"database_unavailable": str(DatabaseUnavailable.default_detail)},
    headers=["Retry-After"],
)
READING = [
    Refusal(
        status=400,
        name="BadRequest",
        meaning="A parameter is unknown, stands twice, or is not as it must be; `detail` names it.",
        examples={
            "unknown_parameter": "Unknown parameter 'colour'; there are: cursor, format, limit, ordering.",
            "invalid_parameter": "revision: Ensure this value has at least 4 characters (it has 2).",
            "invalid_limit": f"limit must be a whole number from 1 to {MAX_LIMIT}.",
            "invalid_cursor": INVALID_CURSOR,
            "invalid_ordering": "ordering must be one of: received_at, -received_at.",
            "invalid_format": "format must be one of: json, csv, ndjson, api.",
            "unstorable_text": "The request holds a text that the database cannot.",
            "disallowed_host": "This site does not answer to the host 'example.com': add it to ALLOWED_HOSTS.",
        },
    ),
    Refusal(
        status=401,
        name="Unauthorized",
        meaning="Nobody has signed in, or the credentials are wrong.",
        examples={
            "not_authenticated": "Authentication credentials were not provided.",
            "authentication_failed": "Invalid username/password.",
            "invalid_token": "There is no such token, or it was revoked.",
            "expired_token": "The token expired at 2026-08-20T09:30Z.",
            "inactive_user": "The token's user is inactive.",
        },
        headers=["WWW-Authenticate"],
    ),
    Refusal(
        status=403,
        name="Forbidden",
        meaning="The user lacks a permission, which `detail` names, or a page of another origin sent a POST.",
        examples={
            "permission_denied": f"This needs the permission {VIEW_BODIES}; an administrator can give it to eve.",
            "foreign_origin": "A page of another origin sent this request (Origin: https://evil.example). This site's "
            "origin is https://hooks.example.com. If that is wrong behind a proxy with TLS, set HTTPS_ONLY and pass "
            "the client's Host on, with its port.",
        },
    ),
    Refusal(
        status=406,
        name="NotAcceptable",
        meaning="There is no format that `Accept` allows.",
        examples={"not_acceptable": "Could not satisfy the request Accept header."},
    ),
    Refusal(
        status=429,
        name="TooManyRequests",
        meaning="More than `API_REQUESTS_PER_MINUTE` requests in a minute, or too many passwords at the same time.",
        examples={
            "throttled": "More than 600 requests in a minute; the setting API_REQUESTS_PER_MINUTE says how many may "
            "be. Expected available in 42 seconds.",
            "too_many_sign_ins": str(TooManySignIns.default_detail),
        },
        headers=[*USAGE, "Retry-After"],
    ),
    UNAVAILABLE,
]
EXPORTING = [
    Refusal(
        status=426,
        name="UpgradeRequired",
        meaning="A CSV or JSON lines export without `limit` over HTTP/1.0, where a truncated export looks complete.",
        examples={HTTPVersionTooOld.default_code: HTTPVersionTooOld.default_detail},
    ),
    Refusal(
        status=501,
        name="NotImplemented",
        meaning="A CSV or JSON lines export without `limit` on a server that ends a truncated one like a complete one.",
        examples={ServerEndsBrokenStreams.default_code: ServerEndsBrokenStreams.default_detail},
    ),
]
RECEIVING = [
    Refusal(
        status=400,
        name="Malformed",
        meaning="The body broke off, or is authentic but holds no object with a usable `id` and `type`; it is kept.",
        examples={
            PayloadMalformed.code: '"id" must be a text that is not empty',
            BodyUnreadable.code: "the body is incomplete: 512 of 2048 bytes arrived",
        },
    ),
    Refusal(
        status=401,
        name="Unverified",
        meaning="Nothing proves that CircleCI sent it; it is kept within bounds, to be replayed once that is mended.",
        examples={SignatureRefused.code: "the circleci-signature matches no secret (secrets of all webhooks tried: 1)"},
        headers=["WWW-Authenticate"],
    ),
    Refusal(
        status=403,
        name="ForeignProject",
        meaning="The webhook is bound to other projects; the delivery is kept.",
        examples={ProjectRefused.code: "webhook payments may not send events of the project 'github/acme/orchard'"},
    ),
    Refusal(
        status=413,
        name="TooLarge",
        meaning="The body is longer than `MAX_BODY_BYTES`.",
        examples={BodyTooLarge.code: "the body is longer than 1048576 bytes; see MAX_BODY_BYTES"},
    ),
    Refusal(
        status=415,
        name="UnsupportedContentType",
        meaning="The body's content type is not JSON, or it is compressed; the latter answer has `Accept-Encoding`.",
        examples={
            ContentTypeRefused.code: "the content type is not application/json",
            EncodingRefused.code: "the content encoding is 'gzip': send the body uncompressed",
        },
    ),
    UNAVAILABLE,
]


ERROR = {
    "type": "object",
    "description": "Every error.",
    "properties": {
        "detail": {"type": "string", "description": "What is wrong, in words for people."},
        "code": {"type": "string", "description": "What is wrong, in a word for programs."},
    },
    "required": ["detail", "code"],
}
NOT_MODIFIED = {
    "description": "`If-None-Match` names the answer that there still is; there is no body.",
    "headers": {name: reference("headers", name) for name in ("X-Request-ID", "ETag", *USAGE)},
}
ADDRESS_TOO_LONG = {
    "description": "The address is longer than the server reads, some 8,000 bytes; the words are the server's own.",
    "content": {"text/html": {"schema": {"type": "string"}, "example": "<h1>URI Too Long</h1>"}},
}
COMPONENTS = {
    "headers": HEADERS,
    "requestBodies": {"Webhook": WEBHOOK},
    "responses": {"NotModified": NOT_MODIFIED, "AddressTooLong": ADDRESS_TOO_LONG}
    | {each.name: each.component for each in (*READING, *EXPORTING, *RECEIVING, NOT_FOUND)},
}
