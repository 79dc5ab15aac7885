"""Whatever a client can send, the answer is never a 5xx."""

import json
from random import Random

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings, strategies

from logs.circleci.signature import sign
from logs.models import Delivery, WorkflowEvent

pytestmark = pytest.mark.django_db

SECRET = "a-secret-of-the-tests"
PLACES = [
    "id", "type", "happened_at", "webhook", "project", "organization", "workflow", "job", "pipeline", "name", "slug",
    "number", "status", "url", "created_at", "started_at", "stopped_at", "trigger", "vcs", "trigger_parameters", "git",
    "gitlab", "github_app", "branch", "tag", "ref", "revision", "commit", "subject", "author", "checkout_sha",
]  # fmt: skip

scalars = (
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text()
    | strategies.datetimes().map(lambda moment: moment.isoformat() + "Z")
    | strategies.sampled_from(
        ["\x00", "\ud800", "refs/tags/v1", "javascript:1", "https://a", "9" * 400, 2**63, -(2**63)]
    )
)
values = strategies.recursive(
    scalars,
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.sampled_from(PLACES) | strategies.text(), inner, max_size=8)
    ),
    max_leaves=20,
)
objects = strategies.dictionaries(strategies.sampled_from(PLACES), values, max_size=10)
authentic_bodies = (
    strategies.binary(max_size=200)
    | values.map(lambda value: json.dumps(value).encode())
    | strategies.builds(
        lambda document, event_id, event_type: json.dumps(document | {"id": event_id, "type": event_type}).encode(),
        objects,
        strategies.text(min_size=1, max_size=210),
        strategies.sampled_from(["workflow-completed", "job-completed", "ping"]) | strategies.text(),
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=authentic_bodies)
def test_an_authentic_body_of_any_kind_is_logged_or_refused_with_a_reason(webhook_secrets, body):
    headers = {"circleci-signature": sign(body, SECRET)}
    answer = Client().generic("POST", "/log-circleci-webhook", body, "application/json", headers=headers)
    assert answer.status_code in (200, 201, 400)
    if answer.status_code == 400:
        assert answer.json()["code"] == "malformed"
    else:
        assert answer.json()["outcome"] in ("logged", "updated", "duplicate", "ping")
    assert Delivery.objects.newest_first().first().outcome in ("logged", "updated", "duplicate", "ping", "malformed")


def test_texts_that_no_index_can_compress_are_logged(deliver):
    # An entry of PostgreSQL's indexes holds 2,704 bytes, and a letter of these takes 4.
    letters = Random(1).choices(range(0x20000, 0x2A6DF), k=20_000)
    texts = ("".join(map(chr, letters[start : start + 500])) for start in range(0, 20_000, 500))
    document = {
        "id": next(texts)[:200],
        "type": "workflow-completed",
        "webhook": {"name": next(texts)},
        "project": {"id": next(texts), "name": next(texts), "slug": next(texts)},
        "organization": {"name": next(texts)},
        "workflow": {"id": next(texts), "name": next(texts), "status": next(texts), "url": f"https://{next(texts)}"},
        "job": {"name": next(texts)},
        "pipeline": {
            "id": next(texts),
            "trigger": {"type": next(texts)},
            "vcs": {
                "branch": next(texts),
                "tag": next(texts),
                "revision": next(texts),
                "commit": {"subject": next(texts), "author": {"name": next(texts)}},
            },
        },
    }
    assert deliver(document).status_code == 201
    assert WorkflowEvent.objects.get().branch == document["pipeline"]["vcs"]["branch"][:212]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=strategies.text(max_size=50),
    signature=strategies.text(max_size=100).filter(lambda text: "\n" not in text and "\r" not in text),
    content_type=strategies.sampled_from(["application/json", "", "text/plain", ";", "a" * 300]),
    body=strategies.binary(max_size=100),
)
def test_an_unsigned_request_of_any_kind_is_refused(webhook_secrets, path, signature, content_type, body):
    environ = {"HTTP_CIRCLECI_SIGNATURE": signature.encode("utf-8", "replace").decode("latin-1")}
    answer = Client().generic("POST", f"/log-circleci-webhook/{path}", body, content_type=content_type, **environ)
    assert answer.status_code in (401, 404, 415)
    assert not WorkflowEvent.objects.exists()


HOSTILE = {
    "nul": b'{"id": "a", "type": "b", "project": {"name": "\\u0000"}}',
    "lone surrogate": b'{"id": "a", "type": "b", "project": {"name": "\\ud83d"}}',
    "integer beyond 64 bits": b'{"id": "a", "type": "b", "job": {"number": 18446744073709551616}}',
    "integer of thousands of digits": b'{"id": "a", "type": "b", "job": {"number": ' + b"7" * 10_000 + b"}}",
    "float beyond all bounds": b'{"id": "a", "type": "b", "job": {"number": 1e999999}}',
    "names of 10,000 characters": json.dumps(
        {
            "id": "a",
            "type": "b" * 10_000,
            "project": {"name": "\N{OX}" * 10_000},
            "workflow": {"url": "https://" * 9_999},
        }
    ).encode(),
    "wrong types for every block": json.dumps({place: [[{}]] for place in PLACES} | {"id": "a", "type": "b"}).encode(),
}
MALFORMED = {
    "not a number": b'{"id": "a", "type": "b", "n": NaN}',
    "infinity": b'{"id": "a", "type": "b", "n": -Infinity}',
    "deep array": b'{"id": "a", "type": "b", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep object": b'{"id":' * 100_000 + b"1" + b"}" * 100_000,
    "duplicate keys": b'{"id": "a", "type": "b", "id": "c"}',
    "utf-16": '{"id": "a", "type": "b"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"id": "a", "type": "b"}',
    "invalid utf-8": b'{"id": "a", "type": "\xc3"}',
    "id longer than an index takes": json.dumps({"id": "i" * 10_000, "type": "b"}).encode(),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_logs_a_hostile_object(deliver, body):
    assert deliver(body).status_code == 201
    event = WorkflowEvent.objects.get()
    assert (event.event_id, event.job_number) == ("a", None)


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_refuses_a_hostile_body_with_the_reason(deliver, body):
    answer = deliver(body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed"
    assert bytes(Delivery.objects.get().body) == body
