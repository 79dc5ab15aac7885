"""Deliveries by REST: what arrived, its exact bytes, and passing it through the pipeline again."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from logs.circleci import signature
from logs.circleci.samples import encode
from logs.models import Attempt, Delivery, Outcome, WorkflowEvent

pytestmark = pytest.mark.django_db

URL = "/deliveries"
PASSWORD = "a good password"
BASIC = {"authorization": "Basic " + base64.b64encode(f"operator:{PASSWORD}".encode()).decode()}
NEWEST = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
# fmt: off
NAMES = [
    "id", "received_at", "outcome", "reason", "webhook", "verified", "secret_position", "address", "client_address",
    "judged_at", "event", "response_status", "response_message", "response_seconds", "request_id", "claim",
]
# fmt: on


@pytest.fixture
def operator(user_with, client_of):
    """A client whose user may view deliveries and bodies, and replay."""
    user = user_with("view_delivery", "view_delivery_body", "replay_delivery", username="operator")
    user.set_password(PASSWORD)
    user.save()
    return client_of(user)


@pytest.fixture
def refused(deliver, workflow_document, webhook_secrets):
    """A delivery that CircleCI signed with ABCD1234, refused because the settings hold ABCD123; they are mended now."""
    webhook_secrets["My CircleCI Webhook"] = "ABCD123"
    with time_machine.travel(NEWEST, tick=False):
        assert deliver(workflow_document(), secret="ABCD1234").status_code == 401
    webhook_secrets["My CircleCI Webhook"] = "ABCD1234"
    return Delivery.objects.get()


def ids_of(answer):
    assert answer.status_code == 200, answer.content
    return [delivery["id"] for delivery in answer.json()]


def keep(count, **columns):
    """Keep so many deliveries, a second apart, and return their ids, the newest first."""
    kept = Delivery.objects.bulk_create(
        Delivery(
            received_at=NEWEST - timedelta(seconds=number),
            judged_at=NEWEST,
            headers={},
            **{"outcome": Outcome.LOGGED, "verified": True, "plausible": True, "body": b"{}"} | columns,
        )
        for number in range(count)
    )
    return [delivery.pk for delivery in kept]


def replay(client, delivery, query="", **extra):
    return client.post(f"{URL}/{delivery.pk}/replay{query}", **extra)


# The list.


@pytest.mark.parametrize("path", [URL, f"{URL}/"])
def test_lists_flat_objects_without_headers_and_bodies(operator, deliver, workflow_document, path):
    document = workflow_document()
    with time_machine.travel(NEWEST, tick=False):
        deliver(document, "/log-circleci-webhook/my-circleci-webhook")
    (delivery,) = operator.get(path).json()
    assert list(delivery) == NAMES
    assert 0 <= delivery.pop("response_seconds") < 10
    assert len(delivery.pop("request_id")) == 32
    assert delivery == {
        "id": Delivery.objects.get().pk,
        "received_at": "2026-05-04T10:00:00Z",
        "outcome": "logged",
        "reason": None,
        "webhook": "My CircleCI Webhook",
        "verified": True,
        "secret_position": 0,
        "address": "my-circleci-webhook",
        "client_address": "127.0.0.1",
        "judged_at": "2026-05-04T10:00:00Z",
        "event": document["id"],
        "response_status": 201,
        "response_message": "Webhook Event successfully logged",
        "claim": None,
    }


def test_a_refused_delivery_tells_why_and_of_no_event(operator, deliver):
    deliver(b"[]", secret="a wrong one")
    (delivery,) = operator.get(URL).json()
    assert delivery["reason"].startswith("the circleci-signature matches no secret")
    assert (delivery["webhook"], delivery["secret_position"], delivery["event"]) == (None, None, None)


@pytest.fixture
def story(deliver, workflow_document, ping_document, webhook_secrets):
    """One delivery of each of some outcomes, by name."""
    webhook_secrets["lab"] = None
    document = workflow_document()
    sendings = {
        "logged": (document, {}),
        "duplicate": (document, {}),
        "ping": (ping_document, {}),
        "malformed": (b"[]", {}),
        "unverified": (b"{}", {"secret": "a wrong one"}),
        "unsigned": (workflow_document(2), {"path": "/log-circleci-webhook/lab", "secret": None}),
    }
    for hour, (payload, options) in enumerate(sendings.values()):
        with time_machine.travel(NEWEST + timedelta(hours=hour), tick=False):
            deliver(payload, **options)
    return dict(zip(sendings, Delivery.objects.order_by("pk").values_list("pk", flat=True), strict=True))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["unsigned", "unverified", "malformed", "ping", "duplicate", "logged"]),
        ("outcome=logged", ["unsigned", "logged"]),
        ("outcome=malformed,unverified", ["unverified", "malformed"]),
        ("outcome=expired", []),
        ("webhook=lab", ["unsigned"]),
        ("webhook=My CircleCI Webhook", ["malformed", "ping", "duplicate", "logged"]),
        ("webhook=my circleci *", ["malformed", "ping", "duplicate", "logged"]),
        ("address=lab", ["unsigned"]),
        ("verified=false", ["unsigned", "unverified"]),
        ("verified=true&outcome=logged", ["logged"]),
        ("received_after=2026-05-04T14:00:00Z", ["unsigned", "unverified"]),
        ("received_before=2026-05-04T11:00:00Z", ["logged"]),
        ("received_after=2026-05-04T11:00Z&received_before=2026-05-04T16:00%2B03:00", ["ping", "duplicate"]),
        ("outcome=logged,duplicate&received_after=2026-05-04T11:00Z", ["unsigned", "duplicate"]),
        ("ordering=received_at&verified=false", ["unverified", "unsigned"]),
    ],
)
def test_filters(operator, story, query, expected):
    names = {pk: name for name, pk in story.items()}
    assert [names[pk] for pk in ids_of(operator.get(f"{URL}?{query}"))] == expected


def test_filters_by_the_event_it_told_of(operator, story, workflow_document):
    expected = [story["duplicate"], story["logged"]]
    assert ids_of(operator.get(URL, {"event": workflow_document()["id"]})) == expected
    assert ids_of(operator.get(URL, {"event": "unknown"})) == []


@pytest.mark.parametrize(
    ("query", "code", "detail"),
    [
        (
            "outcome=lost",
            "invalid_parameter",
            (
                "outcome: lost is not an outcome; use logged, updated, duplicate, ping, expired, unverified, "
                "malformed, forbidden, rejected."
            ),
        ),
        ("outcome=logged,lost", "invalid_parameter", "outcome: lost is not an outcome; use "),
        ("outcome=LOGGED", "invalid_parameter", "outcome: LOGGED is not an outcome"),
        ("verified=yes", "invalid_parameter", "verified: It must be true or false."),
        ("received_after=yesterday", "invalid_parameter", "received_after: Invalid time 'yesterday'"),
        ("webhook=" + "x" * 501, "invalid_parameter", "webhook: "),
        ("webhook=%00", "invalid_parameter", "webhook: "),
        ("ordering=outcome", "invalid_ordering", "ordering must be one of: received_at, -received_at."),
        ("limit=0", "invalid_limit", "limit must be"),
        ("cursor=x", "invalid_cursor", "Invalid cursor: use one from a link"),
        (
            "job=build",
            "unknown_parameter",
            (
                "Unknown parameter 'job'; there are: address, bom, branch, cursor, event, format, limit, ordering, "
                "outcome, pipeline, project, received_after, received_before, revision, status, verified, webhook, "
                "workflow."
            ),
        ),
    ],
)
def test_refuses_what_it_cannot_understand(operator, query, code, detail):
    answer = operator.get(f"{URL}?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize("query", ["", "&outcome=logged,ping", "&verified=true"])
def test_following_next_gives_every_delivery_once(operator, query):
    pks = keep(7)
    keep(1, outcome=Outcome.REJECTED, verified=False)
    url, seen = f"{URL}?limit=3{query}", []
    while url:
        answer = operator.get(url)
        assert len(answer.json()) <= 3
        seen += ids_of(answer)
        links = {relation: address for address, relation in re.findall(r'<([^>]*)>; rel="(\w+)"', answer["Link"])}
        url = links.get("next")
    assert sorted(set(seen) - set(pks)) == ([] if query else [max(pks) + 1])
    assert [pk for pk in seen if pk in pks] == pks


@pytest.mark.parametrize("count", [1, 30])
def test_the_list_costs_the_same_number_of_queries_and_reads_no_body(
    operator, deliver, workflow_document, django_assert_num_queries, count
):
    for seed in range(count):
        deliver(workflow_document(seed))
    with django_assert_num_queries(5) as captured:  # session, user, two for permissions, deliveries with their events
        assert len(ids_of(operator.get(URL))) == count
    assert not [query for query in captured.captured_queries if '"body"' in query["sql"]]


# One delivery.


def test_shows_one_with_its_headers_and_without_its_body(operator, deliver, workflow_document):
    deliver(workflow_document(), headers={"user-agent": "CircleCI-Webhook/1.0 é"})
    (listed,) = operator.get(URL).json()
    delivery = operator.get(f"{URL}/{listed['id']}").json()
    assert delivery == listed | {"headers": Delivery.objects.get().headers, "attempts": []}
    assert delivery["headers"]["circleci-event-type"] == "workflow-completed"
    assert delivery["headers"]["circleci-signature"].startswith("v1=")


def test_shows_every_verdict_after_replays(operator, refused, webhook_secrets):
    webhook_secrets["My CircleCI Webhook"] = "still wrong"
    with time_machine.travel("2026-05-05 10:00Z", tick=False):
        replay(operator, refused)
    webhook_secrets["My CircleCI Webhook"] = "ABCD1234"
    with time_machine.travel("2026-05-06 10:00Z", tick=False):
        replay(operator, refused)
    shown = operator.get(f"{URL}/{refused.pk}").json()
    assert shown["outcome"] == "logged"
    assert (shown["received_at"], shown["judged_at"]) == ("2026-05-04T10:00:00Z", "2026-05-06T10:00:00Z")
    reason = "the circleci-signature matches no secret (secrets of all webhooks tried: 1)"
    assert shown["attempts"] == [
        {"attempted_at": "2026-05-04T10:00:00Z", "outcome": "unverified", "reason": reason, "actor": None},
        {"attempted_at": "2026-05-05T10:00:00Z", "outcome": "unverified", "reason": reason, "actor": "operator"},
        {"attempted_at": "2026-05-06T10:00:00Z", "outcome": "logged", "reason": None, "actor": "operator"},
    ]


def test_one_costs_the_same_number_of_queries_however_often_it_was_replayed(
    operator, refused, django_assert_num_queries
):
    for _ in range(3):
        replay(operator, refused)
    with django_assert_num_queries(6) as captured:  # session, user, two for permissions, delivery, attempts
        operator.get(f"{URL}/{refused.pk}")
    assert not [query for query in captured.captured_queries if '"body"' in query["sql"]]


@pytest.mark.parametrize(
    "pk",
    [
        "999999999999999999",
        "9223372036854775807",
        "9223372036854775808",
        "9" * 5_000,
        "0",
        "-1",
        "1.0",
        "1e3",
        "abc",
        "%D9%A1",
        "%C2%B2",
        "%00",
        "1%0A",
        "%201",
        "..%2f1",
    ],
)
@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("GET", "/body"), ("POST", "/replay")])
def test_an_id_that_there_is_not_is_a_404(operator, pk, method, tail):
    keep(1)
    answer = operator.generic(method, f"{URL}/{pk}{tail}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


# Its body.


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "a", "type": "b",\r\n\t"x": "\xc3\xa9 \\u00e9"}\n',
        b"\xff\xfe\x00\x01 no text",
        b"\xef\xbb\xbf{}",
        b"<script>alert(1)</script>",
        b"",
        b"\x1f\x8b\x08\x00 looks like gzip",
        bytes(range(256)) * 40,
    ],
)
@pytest.mark.parametrize("headers", [{}, {"accept": "*/*", "accept-encoding": "identity"}])
def test_hands_out_the_exact_bytes_with_the_signature_that_holds_over_them(operator, deliver, body, headers):
    deliver(body)
    answer = operator.get(f"{URL}/{Delivery.objects.get().pk}/body", headers=headers)
    assert answer.status_code == 200
    assert answer.content == body
    assert signature.verify(answer.content, answer.headers["circleci-signature"], ["a-secret-of-the-tests"]) == 0
    assert answer.headers["circleci-event-type"] == "workflow-completed"


def test_hands_out_what_a_wrong_secret_signed_too(operator, refused, workflow_document):
    answer = operator.get(f"{URL}/{refused.pk}/body")
    assert answer.content == Delivery.objects.get().body
    assert signature.verify(answer.content, answer.headers["circleci-signature"], ["ABCD123", "ABCD1234"]) == 1


def test_a_body_is_a_file_and_never_a_page_of_this_site(operator):
    (pk,) = keep(1, body=b"<script>alert(1)</script>")
    answer = operator.get(f"{URL}/{pk}/body", headers={"accept": "text/html,*/*;q=0.8"})
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="delivery-{pk}.json"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_body_without_signature_has_no_header_for_it(operator):
    (pk,) = keep(1)
    assert not {"circleci-signature", "circleci-event-type"} & set(operator.get(f"{URL}/{pk}/body").headers)


@pytest.mark.parametrize("claimed", ["é", "v1=" + "é" * 900, "\x00", "v1=; rel=next, <x>"])
def test_an_odd_signature_header_breaks_no_answer(operator, deliver, claimed):
    deliver(b"{}", headers={"circleci-signature": claimed.encode().decode("latin-1")})
    answer = operator.get(f"{URL}/{Delivery.objects.get().pk}/body")
    assert (answer.status_code, answer.content) == (200, b"{}")


def test_a_body_that_has_not_changed_is_a_304(operator):
    (pk,) = keep(1)
    etag = operator.get(f"{URL}/{pk}/body").headers["ETag"]
    answer = operator.get(f"{URL}/{pk}/body", headers={"if-none-match": etag})
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("query", ["download=1", "format=json"])
def test_a_body_takes_no_parameters(operator, query):
    (pk,) = keep(1)
    assert operator.get(f"{URL}/{pk}/body?{query}").json()["code"] == "unknown_parameter"


def test_a_body_is_handed_out_whatever_is_accepted(operator):
    (pk,) = keep(1)
    assert operator.get(f"{URL}/{pk}/body", headers={"accept": "application/octet-stream"}).status_code == 200


# Replaying.


def test_the_wrong_secret_is_refused_mended_replayed_and_logged(operator, refused, workflow_document):
    answer = replay(operator, refused)
    assert answer.status_code == 200
    assert answer.json() == {
        "id": refused.pk,
        "before": "unverified",
        "outcome": "logged",
        "reason": None,
        "fixed": True,
        "event": workflow_document()["id"],
    }
    event = WorkflowEvent.objects.get()
    assert event.event_id == workflow_document()["id"]
    assert event.received_at == NEWEST
    assert list(Attempt.objects.order_by("pk").values_list("actor", flat=True)) == ["", "operator"]
    shown = operator.get(f"{URL}/{refused.pk}").json()
    assert (shown["outcome"], shown["verified"], shown["event"]) == ("logged", True, event.event_id)


def test_a_dry_run_tells_what_would_come_of_it_and_changes_nothing(operator, refused, workflow_document):
    before = operator.get(f"{URL}/{refused.pk}").json()
    answer = replay(operator, refused, "?dry_run=true").json()
    assert (answer["outcome"], answer["fixed"], answer["event"]) == ("logged", True, workflow_document()["id"])
    assert operator.get(f"{URL}/{refused.pk}").json() == before
    assert not WorkflowEvent.objects.exists()
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("spelling", ["True", "TRUE", "1"])
def test_a_dry_run_may_be_spelled_as_clients_spell_a_truth(operator, refused, spelling):
    assert replay(operator, refused, f"?dry_run={spelling}").json()["fixed"]
    assert not Attempt.objects.exists()


@pytest.mark.parametrize(
    "values", [["malformed,unverified"], ["malformed", "unverified"], ["ping,malformed", "unverified"]]
)
def test_a_list_may_repeat_its_parameter(operator, deliver, workflow_document, values):
    deliver(workflow_document())
    deliver(b"[]", secret="of somebody else")
    deliver(b"[]")
    assert [each["outcome"] for each in operator.get(URL, {"outcome": values}).json()] == ["malformed", "unverified"]
    streamed = operator.get(f"{URL}/stream", {"outcome": values, "after": "start", "wait": 0}).json()["deliveries"]
    assert [each["outcome"] for each in streamed] == ["unverified", "malformed"]


def test_the_stream_takes_a_repeated_status(operator, deliver, workflow_document):
    for seed, status in enumerate(("failed", "success", "error"), start=1):
        deliver(workflow_document(seed, status=status))
    query = "after=start&wait=0&status=failed&status=error"
    streamed = operator.get(f"{URL}/stream?{query}").json()["deliveries"]
    assert [json.loads(base64.b64decode(each["body_base64"]))["workflow"]["status"] for each in streamed] == [
        "failed",
        "error",
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"project": "gh/acme/orchard"},
        {"project": "github/acme/orchard"},
        {"project": "https://app.circleci.com/pipelines/github/acme/orchard"},
        {"event": "5D0AB6F2-3D4C-4A4E-9B21-0C9D1A2B3C4D"},
    ],
)
def test_the_stream_finds_a_project_and_an_event_by_either_spelling(operator, deliver, workflow_document, query):
    deliver(workflow_document(1, project="orchard") | {"id": "5d0ab6f2-3d4c-4a4e-9b21-0c9d1a2b3c4d"})
    deliver(workflow_document(2, project="boats"))
    streamed = operator.get(f"{URL}/stream", query | {"after": "start", "wait": 0}).json()["deliveries"]
    assert [each["event"] for each in streamed] == [None]  # Its user may not see events.
    if "event" in query:
        assert len(operator.get(URL, query).json()) == 1


@pytest.mark.parametrize("path", [URL, f"{URL}/stream"])
def test_a_truth_may_be_spelled_as_clients_spell_it(operator, deliver, workflow_document, path):
    deliver(workflow_document())
    deliver(b"[]", secret="of somebody else")

    def found(spelling):
        parameters = {"verified": spelling} | ({"after": "start", "wait": 0} if path.endswith("stream") else {})
        answer = operator.get(path, parameters)
        assert answer.status_code == 200, answer.content
        deliveries = answer.json()["deliveries"] if path.endswith("stream") else answer.json()
        return [each["outcome"] for each in deliveries]

    for true, false in (("true", "false"), ("True", "False"), ("TRUE", "FALSE"), ("1", "0")):
        assert (found(true), found(false)) == (["logged"], ["unverified"])


def test_a_replay_that_mends_nothing_says_so(operator, deliver):
    deliver(b"[]")
    answer = replay(operator, Delivery.objects.get(), "?dry_run=false").json()
    assert (answer["before"], answer["outcome"], answer["fixed"]) == ("malformed", "malformed", False)
    assert answer["reason"] == "not a JSON object but a JSON array"
    assert answer["event"] is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("dry_run=maybe", "invalid_parameter"),
        ("dry_run=2", "invalid_parameter"),
        ("dry_run=", "invalid_parameter"),
        ("dry_run=true&dry_run=false", "invalid_parameter"),
        ("dryrun=true", "unknown_parameter"),
        ("format=csv", "invalid_format"),
    ],
)
def test_a_parameter_that_is_wrong_replays_nothing(operator, refused, query, code):
    answer = replay(operator, refused, f"?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_nothing_but_a_post_replays(operator, refused, method):
    answer = getattr(operator, method)(f"{URL}/{refused.pk}/replay")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8"])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "nonsense", ""])
def test_replays_whatever_body_comes_along_and_whatever_is_accepted(
    csrf_client, operator, refused, accept, content_type
):
    path = f"{URL}/{refused.pk}/replay"
    answer = csrf_client.generic("POST", path, b"\xff{", content_type=content_type, headers=BASIC | {"accept": accept})
    assert answer.status_code == 200
    assert answer.json()["outcome"] == "logged"


def test_a_session_needs_the_csrf_token_and_http_basic_does_not(csrf_client, operator, refused):
    csrf_client.cookies["sessionid"] = operator.cookies["sessionid"].value
    path = f"{URL}/{refused.pk}/replay"
    answer = csrf_client.post(path)
    assert answer.status_code == 403
    assert answer.json() == {"detail": "CSRF Failed: CSRF cookie not set.", "code": "permission_denied"}
    assert not Attempt.objects.exists()
    csrf_client.cookies["csrftoken"] = token = "a" * 32
    assert csrf_client.generic("POST", path, headers={"x-csrftoken": "b" * 32}).status_code == 403
    assert csrf_client.generic("POST", path, headers={"x-csrftoken": token}).status_code == 200
    csrf_client.cookies.clear()
    assert csrf_client.post(path, headers=BASIC).status_code == 200


def test_replaying_twice_logs_the_event_once(operator, refused):
    assert [replay(operator, refused).json()["fixed"] for _ in range(2)] == [True, False]
    assert WorkflowEvent.objects.count() == 1


def test_a_delivery_that_retention_has_removed_cannot_be_replayed(operator, refused):
    refused.delete()
    answer = operator.post(f"{URL}/1/replay")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "Not found.", "code": "not_found"}


def test_the_exact_bytes_are_those_that_travelled(operator, deliver, workflow_document):
    body = encode(workflow_document(author="Zoë", project="сад"))
    deliver(body)
    assert operator.get(f"{URL}/{Delivery.objects.get().pk}/body").content == body
