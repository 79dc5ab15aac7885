"""What CircleCI, and whoever pretends to be it, is answered; and what the log holds afterwards."""

import gzip
import json

import pytest
from django.db import OperationalError

from logs.api.receiving import ReceiveWebhookView
from logs.circleci import samples
from logs.circleci.signature import sign
from logs.ingest import pipeline
from logs.ingest.insertion import insert_event
from logs.models import Delivery, Outcome, WorkflowEvent

pytestmark = pytest.mark.django_db

PATHS = [
    "/log-circleci-webhook",
    "/log-circleci-webhook/",
    "/log-circleci-webhook/my-circleci-webhook",
    "/log-circleci-webhook/my-circleci-webhook/",
]


@pytest.mark.parametrize("path", PATHS)
def test_logs_a_new_event(deliver, workflow_document, path):
    document = workflow_document()
    answer = deliver(document, path)
    assert answer.status_code == 201
    assert answer.json() == {
        "message": "Webhook Event successfully logged",
        "id": document["id"],
        "outcome": "logged",
    }
    event = WorkflowEvent.objects.get()
    assert (event.event_id, event.status, event.verified) == (document["id"], document["workflow"]["status"], True)


def test_keeps_the_delivery_as_it_arrived(deliver, workflow_document):
    document = workflow_document()
    body = json.dumps(document, indent=3).encode()
    deliver(body, headers={"x-forwarded-authorization": "credentials of a proxy"})
    delivery = Delivery.objects.get()
    assert bytes(delivery.body) == body
    assert delivery.outcome == Outcome.LOGGED
    assert (delivery.webhook, delivery.verified, delivery.reason) == ("My CircleCI Webhook", True, "")
    assert (delivery.webhook_slug, delivery.secret_position) == ("", 0)
    assert delivery.client_address == "127.0.0.1"
    assert delivery.event == WorkflowEvent.objects.get()
    assert delivery.headers == {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "user-agent": "CircleCI-Webhook/1.0",
        "accept-encoding": "gzip, deflate",
        "circleci-event-type": "workflow-completed",
        "circleci-signature": sign(body, "a-secret-of-the-tests"),
    }


def test_logs_an_event_once_however_often_it_is_delivered(deliver, workflow_document):
    answers = [deliver(workflow_document()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert [answer.json()["outcome"] for answer in answers] == ["logged", "duplicate", "duplicate"]
    assert WorkflowEvent.objects.count() == 1
    assert list(Delivery.objects.newest_first().values_list("outcome", "reason")) == [
        ("duplicate", "the same version of a known event"),
        ("duplicate", "the same version of a known event"),
        ("logged", ""),
    ]
    assert set(Delivery.objects.values_list("event", flat=True)) == {WorkflowEvent.objects.get().pk}


def test_acknowledges_a_ping_without_making_an_event_of_it(deliver, ping_document):
    answer = deliver(ping_document)
    assert answer.status_code == 200
    assert answer.json() == {"message": "Ping received", "id": ping_document["id"], "outcome": "ping"}
    assert not WorkflowEvent.objects.exists()
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.reason) == (Outcome.PING, "")
    assert (delivery.webhook, delivery.verified) == ("My CircleCI Webhook", True)


def test_takes_the_type_from_the_signed_body_not_from_the_header(deliver, workflow_document):
    answer = deliver(workflow_document(), headers={"circleci-event-type": "ping"})
    assert answer.json()["outcome"] == "logged"


@pytest.mark.parametrize(
    ("headers", "code", "reason"),
    [
        ({"circleci-signature": None}, "unverified", "the circleci-signature header is missing"),
        (
            {"circleci-signature": "v1=" + "0" * 64},
            "unverified",
            "matches no secret (secrets of all webhooks tried: 1)",
        ),
        ({"circleci-signature": "v1="}, "unverified", "matches no secret"),
        ({"circleci-signature": "nonsense"}, "unverified", "has no v1=... entry"),
        ({"circleci-signature": ""}, "unverified", "has no v1=... entry"),
        ({"circleci-signature": "v1=\u00e9"}, "unverified", "matches no secret"),
    ],
)
def test_refuses_and_keeps_what_is_not_signed_by_circleci(deliver, workflow_document, headers, code, reason):
    answer = deliver(workflow_document(), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'CircleCI-Signature realm="webhooks"'
    assert answer.json()["code"] == code
    assert reason in answer.json()["detail"]
    assert not WorkflowEvent.objects.exists()
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.verified, delivery.webhook) == (Outcome.UNVERIFIED, False, "")
    assert delivery.reason == answer.json()["detail"]


def test_lets_in_nothing_that_no_authentication_has_accepted(deliver, workflow_document, monkeypatch):
    monkeypatch.setattr(ReceiveWebhookView, "authentication_classes", [])
    assert deliver(workflow_document()).status_code == 403
    assert not WorkflowEvent.objects.exists()


def test_refuses_a_body_changed_after_signing(deliver, workflow_document):
    document = workflow_document()
    signature = sign(json.dumps(document).encode(), "a-secret-of-the-tests")
    document["workflow"]["status"] = "success!"
    answer = deliver(document, headers={"circleci-signature": signature})
    assert answer.status_code == 401


def test_never_tells_the_expected_signature(deliver, workflow_document):
    document = workflow_document()
    expected = sign(json.dumps(document).encode(), "a-secret-of-the-tests").removeprefix("v1=")
    answer = deliver(document, secret="a wrong one")
    assert answer.status_code == 401
    assert expected not in str(answer.headers) + answer.content.decode()
    assert expected not in str(list(Delivery.objects.values("reason", "headers")))


def test_refuses_everything_while_no_webhook_is_configured(deliver, workflow_document, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {}
    answer = deliver(workflow_document())
    assert answer.status_code == 401
    assert "CIRCLECI_WEBHOOK_SECRETS" in answer.json()["detail"]


def test_the_bare_address_refuses_everything_while_only_unsigned_webhooks_are_configured(
    deliver, workflow_document, settings
):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"lab": None}
    answer = deliver(workflow_document())
    assert (answer.status_code, "no webhook is configured" in answer.json()["detail"]) == (401, True)


def test_an_event_that_retention_removes_while_it_arrives_again_is_logged_after_all(
    deliver, workflow_document, monkeypatch
):
    # The insert meets a row that is gone when the pipeline looks for it.
    answers = iter([False])
    monkeypatch.setattr(pipeline, "insert_event", lambda row: next(answers, None) is None and insert_event(row))
    monkeypatch.setattr(pipeline, "insert_pairs", lambda _: [None])
    assert deliver(workflow_document()).json()["outcome"] == "logged"
    assert WorkflowEvent.objects.count() == 1


def test_a_known_event_is_inserted_once(deliver, workflow_document, monkeypatch):
    deliver(workflow_document())
    monkeypatch.setattr(pipeline, "insert_event", lambda _: pytest.fail("the event is known already"))
    assert deliver(workflow_document()).json()["outcome"] == "duplicate"


def test_an_empty_secret_lets_nobody_in(deliver, workflow_document, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"empty": ""}
    body = json.dumps(workflow_document()).encode()
    assert deliver(body, secret=None, headers={"circleci-signature": sign(body, "")}).status_code == 401


def test_the_address_chooses_the_webhook_and_the_body_never_does(deliver, workflow_document, webhook_secrets):
    webhook_secrets |= {"payments": "the-secret-of-payments"}
    document = workflow_document(webhook_name="payments")
    assert deliver(document, "/log-circleci-webhook/payments").status_code == 401
    assert deliver(document, "/log-circleci-webhook/payments", secret="the-secret-of-payments").status_code == 201
    assert Delivery.objects.get(outcome=Outcome.LOGGED).webhook == "payments"


def test_the_bare_address_accepts_any_configured_secret(deliver, workflow_document, webhook_secrets):
    webhook_secrets |= {"payments": "the-secret-of-payments"}
    assert deliver(workflow_document(1), secret="the-secret-of-payments").status_code == 201
    assert deliver(workflow_document(2)).status_code == 201
    assert list(Delivery.objects.order_by("pk").values_list("webhook", flat=True)) == [
        "payments",
        "My CircleCI Webhook",
    ]


def test_an_address_of_no_webhook_is_refused_and_kept(deliver, workflow_document):
    answer = deliver(workflow_document(), "/log-circleci-webhook/renamed-since")
    assert answer.status_code == 401
    assert "no webhook is configured for this URL" in Delivery.objects.get().reason


@pytest.mark.parametrize("secret", ["new-secret-after-rotation", "old-secret-before-rotation"])
def test_accepts_old_and_new_secret_during_a_rotation(deliver, workflow_document, settings, secret):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": ["new-secret-after-rotation", "old-secret-before-rotation"]}
    assert deliver(workflow_document(), "/log-circleci-webhook/payments", secret=secret).status_code == 201


def test_a_webhook_without_secret_logs_unverified_events_at_its_own_address_only(
    deliver, workflow_document, webhook_secrets
):
    webhook_secrets |= {"lab": None}
    assert deliver(workflow_document(), secret=None).status_code == 401
    assert deliver(workflow_document(), "/log-circleci-webhook/lab", secret=None).status_code == 201
    delivery = Delivery.objects.get(outcome=Outcome.LOGGED)
    assert (delivery.webhook, delivery.verified) == ("lab", False)
    assert WorkflowEvent.objects.get().verified is False


def test_an_unsigned_version_never_replaces_a_signed_one(deliver, workflow_document, webhook_secrets):
    webhook_secrets |= {"lab": None}
    document = workflow_document(status="failed")
    deliver(document)
    forged = document | {
        "happened_at": "2090-01-01T00:00:00Z",
        "workflow": document["workflow"] | {"status": "success"},
    }
    assert deliver(forged, "/log-circleci-webhook/lab", secret=None).json()["outcome"] == "duplicate"
    assert WorkflowEvent.objects.get().status == "failed"


def test_a_signed_version_replaces_an_unsigned_one(deliver, workflow_document, webhook_secrets):
    webhook_secrets |= {"lab": None}
    document = workflow_document(status="failed")
    forged = document | {
        "happened_at": "2090-01-01T00:00:00Z",
        "workflow": document["workflow"] | {"status": "success"},
    }
    deliver(forged, "/log-circleci-webhook/lab", secret=None)
    assert deliver(document).json()["outcome"] == "updated"
    event = WorkflowEvent.objects.get()
    assert (event.status, event.verified) == ("failed", True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object but a JSON array"),
        (b'"text"', "not a JSON object but a JSON string"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"type": "workflow-completed"}', '"id" must be'),
        (b'{"id": "one"}', '"type" must be'),
        (b'{"id": 7, "type": "workflow-completed"}', '"id" must be'),
        (b'{"id": "", "type": "workflow-completed"}', '"id" must be'),
        (b'{"id": "one", "type": null}', '"type" must be'),
        (b'{"id": "one", "id": "two", "type": "workflow-completed"}', "duplicate key in a JSON object"),
        (b'{"id": "one", "type": "x", "n": NaN}', "NaN is not a JSON number"),
    ],
)
def test_answers_400_with_the_reason_and_keeps_what_is_authentic_but_malformed(deliver, body, reason):
    answer = deliver(body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed"
    assert reason in answer.json()["detail"]
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.verified, delivery.webhook) == (Outcome.MALFORMED, True, "My CircleCI Webhook")
    assert bytes(delivery.body) == body
    assert not WorkflowEvent.objects.exists()


@pytest.mark.parametrize(
    "document",
    [
        {"id": "odd", "type": "workflow-exploded"},
        {"id": "odd", "type": "workflow-completed"},
        {"id": "odd", "type": "job-completed", "job": "no object", "pipeline": [1], "workflow": 3},
        {"id": "odd", "type": "workflow-completed", "workflow": {"status": "a status of tomorrow"}},
        {"id": "odd", "type": "workflow-completed", "project": {"name": "nul \u0000 surrogate \udfff"}},
        {"id": "odd", "type": "job-completed", "job": {"number": 2**63, "name": "n" * 10_000}},
        {"id": "odd", "type": "workflow-completed", "workflow": {"created_at": "0001-01-01T00:00:00+14:00"}},
    ],
)
def test_logs_what_could_be_read_of_an_odd_object(deliver, document):
    assert deliver(document).status_code == 201
    assert WorkflowEvent.objects.get().event_type == document["type"]


def test_logs_an_object_with_an_integer_of_thousands_of_digits(deliver):
    body = b'{"id": "odd", "type": "job-completed", "job": {"number": ' + b"9" * 5_000 + b"}}"
    assert deliver(body).status_code == 201
    assert WorkflowEvent.objects.get().job_number is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", PATHS)
def test_answers_405_to_other_methods(client, method, path):
    answer = client.generic(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/xml", "application/x-ndjson", "json"],
)
def test_answers_415_to_other_content_types(deliver, workflow_document, content_type):
    answer = deliver(workflow_document(), headers={"content-type": content_type})
    assert answer.status_code == 415
    assert answer.json()["code"] == "unsupported_media_type"


@pytest.mark.parametrize("is_signed_as_sent", [True, False])
@pytest.mark.parametrize("encoding", ["gzip", "GZip", "deflate", "br", "identity, gzip", "utf-8"])
def test_answers_415_to_a_compressed_body_and_names_its_encoding(
    deliver, workflow_document, encoding, is_signed_as_sent
):
    plain = json.dumps(workflow_document()).encode()
    sent = gzip.compress(plain)
    signature = sign(sent if is_signed_as_sent else plain, "a-secret-of-the-tests")
    answer = deliver(sent, headers={"content-encoding": encoding, "circleci-signature": signature})
    assert answer.status_code == 415
    assert answer.headers["Accept-Encoding"] == "identity"
    detail = f"the content encoding is '{encoding}': send the body uncompressed"
    assert answer.json() == {"detail": detail, "code": "unsupported_content_encoding"}
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.reason) == (Outcome.REJECTED, detail)
    assert delivery.headers["content-encoding"] == encoding


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_reads_a_body_that_is_declared_as_not_encoded(deliver, workflow_document, encoding):
    assert deliver(workflow_document(), headers={"content-encoding": encoding}).status_code == 201


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_reads_json_under_any_of_its_names_and_without_one(deliver, workflow_document, content_type):
    assert deliver(workflow_document(), headers={"content-type": content_type}).status_code == 201


def test_answers_413_to_a_body_that_is_too_large(deliver, settings):
    settings.MAX_BODY_BYTES = 1_000
    assert deliver(b'{"id": "a", "type": "b", "c": "' + b"x" * 1_000 + b'"}').status_code == 413
    body = b'{"id": "a", "type": "b"}'
    assert deliver(body + b" " * (1_000 - len(body))).status_code == 201


def test_answers_json_whatever_the_client_accepts(deliver, workflow_document):
    answer = deliver(workflow_document(), headers={"accept": "text/html"})
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json"


def test_asks_for_no_csrf_token_and_sets_no_cookie(csrf_client, workflow_document, webhook_secrets):
    document = workflow_document()
    body = samples.encode(document)
    answer = csrf_client.generic(
        "POST", "/log-circleci-webhook", body, headers=samples.headers(body, document, "a-secret-of-the-tests")
    )
    assert answer.status_code == 201
    assert not answer.cookies


def test_never_redirects_even_where_https_is_required(deliver, workflow_document, settings):
    settings.SECURE_SSL_REDIRECT = True
    assert deliver(workflow_document()).status_code == 201


def test_answers_503_and_writes_nothing_while_the_database_is_away(deliver, workflow_document, break_database):
    break_database(OperationalError("connection refused by db.internal"))
    answer = deliver(workflow_document())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"
    assert answer.json()["code"] == "database_unavailable"
    assert "db.internal" not in answer.content.decode()
    assert not WorkflowEvent.objects.exists()
