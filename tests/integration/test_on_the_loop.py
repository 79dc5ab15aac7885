"""Webhooks on the event loop: the same answers and the same rows as from the WSGI application."""

import json
import random
import threading
from dataclasses import replace
from ipaddress import ip_network
from unittest.mock import Mock

import pytest
from django.db import OperationalError
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings

from logs.api import receiving
from logs.circleci import samples
from logs.circleci.signature import sign
from logs.http.bodies import LARGE_BODY_BYTES
from logs.http.request_id import RequestIdFilter
from logs.ingest.pipeline import record
from logs.ingest.threads import refused as refusal_threads
from logs.models import Delivery, Outcome, WorkflowEvent
from tests.conftest import SECRET
from tests.integration.both_ways import PATH, Request, effects, webhook
from tests.integration.on_loop import INSERT, Exchange, answers

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_a_new_event_is_logged(deliver_on_loop, workflow_document):
    answer = deliver_on_loop(workflow_document())
    assert (answer.status_code, answer.json()["outcome"]) == (201, "logged")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert Delivery.objects.get().event == WorkflowEvent.objects.get()


def test_events_that_arrive_at_once_are_each_logged_once(deliver_on_loop, workflow_document):
    documents = [workflow_document(seed % 20) for seed in range(40)]
    outcomes = sorted(answer.json()["outcome"] for answer in deliver_on_loop(*documents))
    assert outcomes == ["duplicate"] * 20 + ["logged"] * 20
    assert WorkflowEvent.objects.count() == 20


def test_a_large_body_is_read_in_a_thread(deliver_on_loop, workflow_document, monkeypatch):
    threads = []
    monkeypatch.setattr(receiving, "record", lambda *args: threads.append(threading.current_thread()) or record(*args))
    answer = deliver_on_loop(workflow_document() | {"padding": "x" * LARGE_BODY_BYTES})
    assert (answer.status_code, answer.json()["outcome"]) == (201, "logged")
    assert [thread.name.partition("_")[0] for thread in threads] == ["webhooks"]


def test_a_form_that_was_cut_off_reaches_no_view(client):
    (answer,) = answers(Exchange("POST", "/admin/login/", chunks=[b"username=a&"], headers=FORM, leaves=True))
    assert (answer.status_code, answer.json()["code"]) == (400, "body_unreadable")


def test_a_wait_counts_as_one_request(client_of, user_with, settings):
    settings.API_REQUESTS_PER_MINUTE = 100
    reader = client_of(user_with("view_delivery", "view_delivery_body"))
    headers = {"cookie": f"sessionid={reader.cookies['sessionid'].value}"}
    left = []
    for seconds in (1, 0, 0):
        (answer,) = answers(Exchange("GET", "/deliveries/stream", query=f"wait={seconds}", headers=headers))
        assert (answer.status_code, "retry-after" in answer.headers) == (200, False)
        left.append(int(answer.headers["ratelimit-remaining"]))
    assert left in ([99, 98, 97], [99, 99, 98], [99, 98, 99])  # The minute may end in between.


# The event loop and the WSGI application do the same.

DOCUMENT = samples.workflow_completed(random=random.Random(1))
NEWER = DOCUMENT | {"happened_at": "2099-01-01T00:00:00Z"}
OLD = DOCUMENT | {"happened_at": "2001-01-01T00:00:00Z"}
JOB = samples.job_completed(random=random.Random(2))
PING = samples.ping(random=random.Random(3))
FOREIGN = DOCUMENT | {"id": "another", "project": DOCUMENT["project"] | {"slug": "github/other/orchard"}}
BOUND_SECRET, BOUND_PATH, OPEN_PATH = "the-secret-of-bound", f"{PATH}/bound", f"{PATH}/open"

# The requests of a case, sent one after the other, and the statuses of their answers.
CASES = {
    "new": ([webhook(DOCUMENT), webhook(JOB)], [201, 201]),
    "duplicate": ([webhook(DOCUMENT)] * 3, [201, 200, 200]),
    "newer version": ([webhook(DOCUMENT), webhook(NEWER), webhook(DOCUMENT)], [201, 200, 200]),
    "ping": ([webhook(PING)] * 2, [200, 200]),
    "expired": ([webhook(OLD)], [200]),
    "malformed": ([webhook(b"{"), webhook(b'{"id": 1}'), webhook(b"")], [400, 400, 400]),
    "wrong signature": ([webhook(DOCUMENT, secret="another")], [401]),
    "malformed signature": ([webhook(DOCUMENT, headers={"circleci-signature": "v2=\xe4"})], [401]),
    "no signature": ([webhook(DOCUMENT, secret=None)], [401]),
    "no webhook of this URL": ([webhook(DOCUMENT, path=f"{PATH}/nowhere")], [401]),
    "own URL": ([webhook(DOCUMENT, path=f"{PATH}/my-circleci-webhook/")], [201]),
    "forbidden project": ([webhook(FOREIGN, secret=BOUND_SECRET, path=BOUND_PATH)], [403]),
    "foreign project id": (
        [webhook(FOREIGN), webhook(DOCUMENT, secret=BOUND_SECRET, path=BOUND_PATH), webhook(DOCUMENT)],
        [201, 403, 201],
    ),
    "unsigned webhook": (
        [
            webhook(DOCUMENT, secret=None, path=OPEN_PATH),
            webhook(DOCUMENT),
            webhook(b"[]", secret=None, path=OPEN_PATH),
        ],
        [201, 200, 400],
    ),
    "content type": (
        [
            webhook(DOCUMENT, headers={"content-type": text})
            for text in ("text/plain", "application/json; charset=x", "")
        ],
        [415, 201, 200],
    ),
    "compressed": (
        [webhook(DOCUMENT, headers={"content-encoding": name}) for name in ("gzip", "identity")],
        [415, 201],
    ),
    "too large": (
        # Of the last one, the loop reads only the first chunk.
        [
            webhook(b"{" * 10_001),
            webhook(b"{" * 10_000),
            webhook(b"{" * 10_001, is_chunked=True),
            webhook(b"{" * 30_000, is_chunked=True),
        ],
        [413, 400, 413, 413],
    ),
    "cut": ([webhook(DOCUMENT, is_cut=True)], [400]),
    "chunked": ([webhook(DOCUMENT, is_chunked=True)], [201]),
    "chunked, wrong signature": ([webhook(DOCUMENT, secret="another", is_chunked=True)], [401]),
    "chunked, not read": ([webhook(DOCUMENT, headers={"content-type": "text/plain"}, is_chunked=True)], [415]),
    "cut chunks": ([webhook(DOCUMENT, is_chunked=True, is_cut=True)], [400]),
    "other methods": ([webhook(DOCUMENT, method=method) for method in ("GET", "PUT", "OPTIONS", "HEAD")], [405] * 4),
    "host": ([webhook(DOCUMENT, headers={"host": "elsewhere.example.org"})], [400]),
    "trailing slash": ([webhook(DOCUMENT, path=f"{PATH}/")], [201]),
    "below the endpoint": ([webhook(DOCUMENT, path=f"{PATH}/a/b"), webhook(DOCUMENT, path="/nowhere")], [404, 404]),
    "odd path": (
        [webhook(DOCUMENT, path=f"{PATH}{rest}") for rest in ("/%00", "%0a", "s", "/%C4%85", "/%C3%BC", "/b%6Fund")],
        [404] * 5 + [401],
    ),
    "flood": ([webhook(DOCUMENT, secret=None)] * 6, [401] * 6),
}


@pytest.fixture
def same_effects(webhook_secrets, settings, build_application):
    """Send requests in both ways, and return what they cause if it is the same."""
    settings.EVENT_RETENTION_DAYS = 3_650
    settings.MAX_BODY_BYTES = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    settings.REFUSED_DELIVERIES_PER_MINUTE = 4
    webhook_secrets["bound"] = {"secrets": [BOUND_SECRET], "projects": [DOCUMENT["project"]["slug"]]}
    webhook_secrets["open"] = None
    build_application()

    def send_twice(requests):
        on_loop, by_wsgi = (effects(requests, on_loop=on_loop) for on_loop in (True, False))
        for here, there in zip(on_loop, by_wsgi, strict=True):
            assert here == there
        return on_loop

    return send_twice


@pytest.mark.parametrize("name", CASES)
def test_does_the_same_as_the_wsgi_application(same_effects, name):
    requests, statuses = CASES[name]
    found, _, _ = same_effects(requests)
    assert [status for status, _, _ in found] == statuses


def test_the_cases_cover_all_outcomes(same_effects):
    outcomes = set()
    for requests, _ in CASES.values():
        outcomes |= {delivery["outcome"] for delivery in same_effects(requests)[2]}
    assert outcomes == set(Outcome)


def signatures(body):
    """Headers of which some are authentic for this body, and most are at one of the webhooks."""
    signed = [{"circleci-signature": sign(body, secret)} for secret in (SECRET, BOUND_SECRET, "another")]
    return strategies.sampled_from([signed[0], *signed, {}, {"circleci-signature": "v1=\xe4,v1"}])


bodies = strategies.sampled_from([json.dumps(each).encode() for each in (DOCUMENT, NEWER, OLD, JOB, PING, FOREIGN)])
bodies |= strategies.binary(max_size=50)
bodies |= strategies.builds(lambda body, at: body[:at], bodies, strategies.integers(0, 2_000))
more_headers = strategies.fixed_dictionaries(
    {},
    optional={
        "content-type": strategies.sampled_from(
            ["application/json", "text/plain", "application/json; charset=\xe4", ""]
        ),
        "content-encoding": strategies.sampled_from(["gzip", "identity", "\xe4"]),
        "user-agent": strategies.sampled_from(["CircleCI-Webhook/1.0", "curl/8", "x" * 2_000]),
        "circleci-event-type": strategies.just("ping"),
        "host": strategies.sampled_from(["testserver", "elsewhere", "a:b:c"]),
        "accept": strategies.sampled_from(["text/html", "application/xml", "*/*;q=\xe4"]),
        "x-forwarded-for": strategies.just("203.0.113.9"),
    },
)
requests = bodies.flatmap(
    lambda body: strategies.builds(
        Request,
        body=strategies.just(body),
        path=strategies.sampled_from([PATH, PATH, f"{PATH}/", BOUND_PATH, OPEN_PATH, f"{PATH}/x"]),
        method=strategies.sampled_from(["POST", "POST", "POST", "GET", "PUT", "HEAD"]),
        headers=strategies.builds(dict.__or__, more_headers, signatures(body)),
        is_chunked=strategies.booleans(),
        is_cut=strategies.sampled_from([False, False, False, True]),
    )
)
# Of a request that was cut, the loop asks no other view.
elsewhere = requests.map(lambda request: replace(request, path=f"{PATH}/x/y", is_cut=False))


@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(sent=strategies.lists(requests | elsewhere, min_size=1, max_size=4))
def test_does_the_same_whatever_is_sent(same_effects, sent):
    same_effects(sent)


def test_answers_503_while_the_database_is_away(same_effects, break_database):
    break_database(OperationalError("words of the driver"))
    found, events, deliveries = same_effects([webhook(DOCUMENT), webhook(b"{"), webhook(DOCUMENT, secret=None)])
    assert [(status, headers["retry-after"]) for status, _, headers in found] == [(503, "10")] * 3
    assert events == deliveries == []


@pytest.mark.parametrize(
    ("defect", "document"),
    [
        ("logs.api.receiving.authenticate", DOCUMENT),
        ("logs.ingest.pipeline.read_event", DOCUMENT),
        (INSERT, DOCUMENT),
        ("logs.ingest.pipeline._record_known", PING),
        ("logs.ingest.pipeline.keep_refused", b"{"),
    ],
)
def test_answers_500_without_details_when_it_has_a_defect(same_effects, monkeypatch, defect, document):
    monkeypatch.setattr(defect, Mock(side_effect=RuntimeError("a defect")))
    found, events, deliveries = same_effects([webhook(document)])
    detail = "Internal error; the server's log has the details."
    assert [(status, content) for status, content, _ in found] == [(500, {"detail": detail, "code": "error"})]
    assert events == deliveries == []


def test_logs_a_defect_with_its_traceback_and_the_requests_id(deliver_on_loop, workflow_document, caplog, monkeypatch):
    caplog.handler.addFilter(marking := RequestIdFilter())
    monkeypatch.setattr("logs.ingest.pipeline.read_event", Mock(side_effect=RuntimeError("a defect")))
    answer = deliver_on_loop(workflow_document())
    caplog.handler.removeFilter(marking)
    assert answer.status_code == 500
    (record,) = (record for record in caplog.records if record.name == "django.request")
    assert record.request_id == answer.headers["x-request-id"]
    assert "RuntimeError: a defect" in caplog.text
    assert "in read_trusted" in caplog.text


# What the loop takes from a proxy.


@pytest.mark.parametrize(("peer", "is_kept"), [("192.0.2.1", True), ("198.51.100.1", False)])
@pytest.mark.parametrize("secret", [SECRET, "another"])
def test_takes_the_id_of_a_trusted_proxy(deliver_on_loop, workflow_document, settings, caplog, peer, is_kept, secret):
    settings.TRUSTED_PROXIES = [ip_network("192.0.2.0/28")]
    caplog.handler.addFilter(marking := RequestIdFilter())
    headers = {"x-request-id": "id-of-the-proxy", "x-forwarded-for": "203.0.113.9"}
    answer = deliver_on_loop(workflow_document(), secret=secret, headers=headers, client=peer)
    caplog.handler.removeFilter(marking)
    assert (answer.headers["x-request-id"] == "id-of-the-proxy") is is_kept
    assert Delivery.objects.get().client_address == ("203.0.113.9" if is_kept else peer)
    # A refusal is logged in a thread.
    ids = {record.request_id for record in caplog.records}
    assert ids == (set() if secret == SECRET else {answer.headers["x-request-id"]})


@pytest.mark.parametrize("prefix", ["", "/ci"])
def test_receives_below_a_path_with_and_without_it(deliver_on_loop, settings, build_application, prefix):
    settings.FORCE_SCRIPT_NAME = "/ci"
    build_application()
    assert deliver_on_loop(DOCUMENT, path=f"{prefix}{PATH}").status_code == 201
    assert deliver_on_loop(JOB, path=f"{prefix}{PATH}/my-circleci-webhook/").status_code == 201
    wrong = deliver_on_loop(DOCUMENT, path=f"{prefix}{PATH}s")
    assert (wrong.status_code, "/ci/log-circleci-webhook on this site" in wrong.json()["detail"]) == (404, True)
    assert deliver_on_loop(DOCUMENT, path=f"/cicd{PATH}").status_code == 404
    (page,) = answers(Exchange("GET", f"{prefix}/admin/login/"))
    assert (page.status_code, b'"/ci/admin/login/"' in page.content) == (200, True)


def test_a_flood_that_arrives_at_once_is_bounded(deliver_on_loop, workflow_document, settings):
    settings.REFUSED_DELIVERIES_PER_MINUTE = 5
    refused = deliver_on_loop(*[workflow_document(seed) for seed in range(40)], secret="another")
    assert {answer.status_code for answer in refused} == {401}
    # Each thread may have counted just before another one wrote.
    assert 5 <= Delivery.objects.count() < 5 + refusal_threads.number
    settings.REFUSED_DELIVERIES_PER_MINUTE, settings.REFUSED_DELIVERIES_MAX = 1_000, 3
    deliver_on_loop(*[workflow_document(seed) for seed in range(40)], secret="another")
    assert 3 <= Delivery.objects.count() < 3 + refusal_threads.number


def test_a_flood_does_not_hold_up_authentic_deliveries(deliver_on_loop, workflow_document, webhook_secrets):
    webhook_secrets["other"] = "another"
    bodies = [workflow_document(seed) for seed in range(20)]
    refused = [(document, "wrong") for document in bodies]
    accepted = [(document, "another") for document in bodies]
    exchanges = [
        Exchange("POST", PATH, chunks=[request.body], headers=request.headers | request.length_headers)
        for request in (webhook(document, secret=secret) for document, secret in refused + accepted)
    ]
    assert [answer.status_code for answer in answers(*exchanges)] == [401] * 20 + [201] * 20
