"""What no description can tell schemathesis: how to sign a delivery, and which cursors there are.

Nothing is left out by this. Without it, only refusals would be tried of either.
"""

import json
import os

import schemathesis
from hypothesis import strategies
from requests.auth import AuthBase

from logs.circleci.signature import sign
from logs.circleci.vocabulary import SIGNATURE_HEADER
from tests.load.senders import SECRET

CURSORS = json.loads(os.environ["API_CHECK_CURSORS"])  # Of each ordering, by the direction that they lead to.
KNOWN = {cursor: direction for cursors in CURSORS.values() for direction, cursor in cursors.items()}

# The lists with another default ordering than the list of events.
DEFAULT_ORDERINGS = {"/api/changes": "-happened_at", "/api/standings": "-last_run_at"}
WAITS = {str(seconds) for seconds in range(26)}  # How long the stream can be asked to wait.

schemathesis.openapi.format("cursor", strategies.sampled_from(sorted(KNOWN)))
schemathesis.openapi.format("stream-cursor", strategies.sampled_from(["now", "start", "24h"]))


# Parameters of the insights, and those beside which they are refused: no description can exclude them.
EXCLUDED = {"window": {"received_after", "received_before"}, "default_branch": {"branch"}}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Wait for nothing, and replace what is rightly refused: another ordering's cursor, and excluded parameters."""
    if case.operation.path.startswith("/api/insights/"):
        given = case.query or {}
        case.query = {name: value for name, value in given.items() if not EXCLUDED.get(name, set()) & given.keys()}
    if case.operation.path == "/deliveries/stream" and str((case.query or {}).get("wait", 25)) in WAITS:
        case.query = {**(case.query or {}), "wait": 0}
    query = case.query or {}
    default = DEFAULT_ORDERINGS.get(case.operation.path, "-received_at")
    ordering, cursor = query.get("ordering", default), query.get("cursor")
    if str(ordering) in CURSORS and str(cursor) in KNOWN:
        # One of prev leads to a page, which CSV and JSON lines make only of a limit.
        direction = KNOWN[query["cursor"]] if "limit" in query else "next"
        query["cursor"] = CURSORS[ordering][direction]


@schemathesis.deserializer("text/csv", "application/x-ndjson")
def lines(context, response):
    """Read lines as the text that they are."""
    return response.text


class Signature(AuthBase):
    """Signs bodies as CircleCI does."""

    def __call__(self, request):
        body = request.body or b""
        request.headers[SIGNATURE_HEADER] = sign(body if isinstance(body, bytes) else body.encode(), SECRET)
        return request


schemathesis.auth.set_from_requests(Signature()).apply_to(path_regex="^/log-circleci-webhook")
