"""The page of a delivery: the verdict, what to do about it, what arrived, and the same bytes to take away."""

import os
import re
import subprocess
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.admin.deliveries.page import SHOWN_ATTEMPTS
from logs.ingest.replay import replay
from logs.models import Delivery, WorkflowEvent

pytestmark = pytest.mark.django_db

CURL_COMMAND = re.compile(r'<pre[^>]*id="curl-command"[^>]*>(.*?)</pre>', re.DOTALL)


def page_of(delivery):
    return reverse("admin:logs_delivery_change", args=[delivery.pk])


def body_of(delivery):
    return reverse("admin:logs_delivery_body", args=[delivery.pk])


def read(client, delivery):
    answer = client.get(page_of(delivery))
    assert answer.status_code == 200
    return answer.content.decode()


def words(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def count_queries(call):
    with CaptureQueriesContext(connection) as captured:
        call()
    return len(captured)


@pytest.fixture
def refused(deliver, workflow_document):
    """A delivery that was signed with another secret."""
    deliver(workflow_document(), secret="another")
    return Delivery.objects.get()


def test_says_why_it_was_refused_and_what_to_do(admin_client, refused):
    page = words(read(admin_client, refused))
    assert f"✕ unverified Delivery {refused.pk} Answered 401" in page  # Not "not signed": it was, by somebody.
    assert refused.reason in page
    assert "Compare the secret in CIRCLECI_WEBHOOK_SECRETS" in page
    assert "then replay" in page


@pytest.mark.parametrize(
    ("body", "outcome", "advice"),
    [
        (b"[1]", "malformed", "These bytes contain no event."),
        (b"x" * 1_048_577, "rejected", "The body was not read, so"),
    ],
)
def test_advises_by_the_outcome(admin_client, deliver, body, outcome, advice):
    deliver(body)
    delivery = Delivery.objects.get()
    assert delivery.outcome == outcome
    assert advice in words(read(admin_client, delivery))


def test_advises_a_secret_token_where_there_is_no_signature(admin_client, deliver, workflow_document):
    deliver(workflow_document(), secret=None)
    page = words(read(admin_client, Delivery.objects.get()))
    assert "The delivery has no signature. In CircleCI, set the webhook's secret token" in page
    assert "Check the secret" not in page


@pytest.mark.parametrize(
    ("webhooks", "slug", "expected"),
    [
        (
            {"deploys": "a"},
            "deplois",
            [
                "No webhook has the URL /log-circleci-webhook/deplois.",
                "Configured: /log-circleci-webhook, /log-circleci-webhook/deploys.",
                "The closest is /log-circleci-webhook/deploys.",
                "Correct the URL in CircleCI and rerun the workflow, or configure a webhook for this URL",
            ],
        ),
        ({"deploys": "a"}, "DEPLOYS", ["The closest is /log-circleci-webhook/deploys."]),
        ({"open": None}, "x", ["Configured: /log-circleci-webhook/open. Correct"]),
        ({"open": None, "展": None}, "", ["No webhook has the URL /log-circleci-webhook. Configured: /log-"]),
        ({"展": None}, "x", ["Configured: none. Correct"]),
        ({f"w{number}": "a" for number in range(20)}, "x", ["/log-circleci-webhook/w8 …. Correct"]),
    ],
)
@pytest.mark.parametrize("secret", ["another", None])
def test_names_a_url_without_a_webhook_and_the_configured_ones(
    admin_client, deliver, workflow_document, settings, webhooks, slug, expected, secret
):
    settings.CIRCLECI_WEBHOOK_SECRETS = webhooks
    deliver(workflow_document(), path=f"/log-circleci-webhook/{slug}", secret=secret)
    page = words(read(admin_client, Delivery.objects.get()))
    for text in expected:
        assert text in page
    assert "Compare the secret" not in page


def test_of_a_cut_body_sent_to_a_wrong_url_it_says_both(admin_client, deliver, workflow_document, settings):
    settings.REFUSED_BODY_MAX_BYTES = 100
    deliver(workflow_document(), path="/log-circleci-webhook/x")
    page = words(read(admin_client, Delivery.objects.get()))
    assert "No webhook has the URL /log-circleci-webhook/x." in page
    assert "the delivery cannot be replayed. Fix the cause" in page
    assert "restart, then replay" not in page


@pytest.mark.parametrize(("secret", "state"), [("another", "not checked"), (None, "not verified")])
def test_a_signature_that_was_not_checked_is_not_called_missing(admin_client, deliver, secret, state):
    deliver(b"{}", secret=secret, headers={"content-type": "text/xml"})
    delivery = Delivery.objects.get()
    page = words(read(admin_client, delivery))
    assert f"Signature {state} Webhook" in page
    assert ("signature not checked" in page) == (secret is not None)
    assert ("not signed" in page) == (secret is None)
    listed = words(admin_client.get(reverse("admin:logs_delivery_changelist")).content.decode())
    assert f"the content type is not application/json – {state} 127.0.0.1" in listed


def test_offers_nothing_that_cannot_work_where_the_body_was_not_read(admin_client, deliver):
    deliver(b"x" * 1_048_577)
    html = read(admin_client, Delivery.objects.get())
    page = words(html)
    assert page.count("cannot be replayed") == 1
    assert "The body was not read or stored." in page
    for missing in ("body is incomplete", "Only the first", "The body is empty", "Replay delivery", "curl", "Download"):
        assert missing not in page, missing
    assert body_of(Delivery.objects.get()) not in html


def test_offers_only_the_beginning_where_the_rest_was_cut_off(admin_client, refused):
    Delivery.objects.update(body=bytes(refused.body)[:20])
    html = read(admin_client, refused)
    page = words(html)
    assert "so the delivery cannot be replayed" in page
    assert re.search(r"Only the first 20 of \d{4} bytes are stored\.", page)
    assert "Replay delivery" not in page
    assert "curl" not in page
    assert body_of(refused) in html


def test_advises_how_to_let_a_webhook_speak_for_a_project(admin_client, deliver, workflow_document, webhook_secrets):
    webhook_secrets["narrow"] = {"secrets": ["narrow-secret"], "projects": ["github/other/*"]}
    deliver(workflow_document(), secret="narrow-secret")
    assert 'add the project to its "projects"' in words(read(admin_client, Delivery.objects.get()))


def test_of_a_body_that_was_cut_it_says_so(admin_client, deliver, workflow_document, settings):
    settings.REFUSED_BODY_MAX_BYTES = 100
    deliver(workflow_document(), secret="another")
    page = words(read(admin_client, Delivery.objects.get()))
    assert re.search(r"Only the first 100 of \d{4} bytes are stored\.", page)
    assert "the delivery cannot be replayed. Fix the cause" in page
    assert "restart, then replay" not in page


def test_of_a_chunked_body_that_was_cut_it_says_so_too(admin_client, deliver_in_chunks, settings):
    settings.REFUSED_BODY_MAX_BYTES = 10
    deliver_in_chunks(b'{"id": "a", "type": "b"}', secret="another")
    page = words(read(admin_client, Delivery.objects.get()))
    assert "Only the first 10 of 24 bytes are stored." in page
    assert "so the delivery cannot be replayed" in page


def test_marks_what_an_unsigned_webhook_brought(admin_client, deliver, workflow_document, webhook_secrets):
    webhook_secrets["open"] = None
    deliver(workflow_document(), path="/log-circleci-webhook/open", secret=None)
    delivery = Delivery.objects.get()
    assert f"✓ logged Delivery {delivery.pk} not signed" in words(read(admin_client, delivery))


def test_nothing_has_to_be_done_about_what_was_logged(admin_client, deliver, workflow_document):
    deliver(workflow_document())
    page = words(read(admin_client, Delivery.objects.get()))
    assert "Advice" not in page
    assert str(WorkflowEvent.objects.get()) in page


def test_shows_who_sent_it_with_which_headers(admin_client, deliver, workflow_document, webhook_secrets):
    webhook_secrets["rotated"] = ["new", "old"]
    deliver(workflow_document(), path="/log-circleci-webhook/rotated", secret="old", REMOTE_ADDR="203.0.113.9")
    page = words(read(admin_client, Delivery.objects.get()))
    for text in (
        "Webhook rotated",
        "position 1 in the webhook's list",
        "Path /log-circleci-webhook/rotated",
        "From 203.0.113.9",
        "circleci-signature v1=",
        "circleci-event-type workflow-completed",
        "Not replayed.",
    ):
        assert text in page


def test_shows_every_attempt_the_newest_first(admin_client, refused, settings):
    replay(refused.pk, actor="early")
    settings.CIRCLECI_WEBHOOK_SECRETS = {"mended": "another"}
    replay(refused.pk, actor="late")
    page = read(admin_client, refused)
    attempts = words(re.search('aria-labelledby="attempts-title">(.*?)</section>', page, re.DOTALL)[1])
    places = [attempts.index(actor) for actor in ("late", "early", "arrival")]
    assert places == sorted(places)


def test_shows_a_payload_as_a_tree_and_anything_else_as_text_or_bytes(admin_client, deliver, workflow_document):
    for payload, wanted in [
        (workflow_document(), '<ul class="tree object">'),
        (b"[1, 2]", ">[1, 2]</pre>"),
        (b"\xff\x00<b>", "00000000  ff 00 3c 62 3e "),
        (b"", "The body is empty."),
    ]:
        deliver(payload)
        page = read(admin_client, Delivery.objects.order_by("-pk").first())
        assert wanted in page
        assert "<b>" not in page


def test_hands_out_the_bytes_as_a_file_that_no_browser_opens(admin_client, deliver):
    body = b"<script>alert(1)</script>\r\n\xff"
    deliver(body)
    delivery = Delivery.objects.get()
    answer = admin_client.get(body_of(delivery))
    assert answer.content == body
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="delivery-{delivery.pk}.json"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "codenames", [[], ["view_delivery"], ["view_delivery_body"], ["view_delivery", "replay_delivery"]]
)
def test_hands_no_bytes_to_those_who_may_not_see_them(staff_with, refused, codenames):
    assert staff_with(*codenames).get(body_of(refused)).status_code == 403


def test_hands_no_bytes_to_strangers(client, refused):
    assert client.get(body_of(refused)).headers["Location"].startswith("/admin/login/")


def test_says_first_what_was_answered(admin_client, refused):
    Delivery.objects.update(response_seconds=0.0042, request_id="4f1c")
    answer = f"Answered 401 “ {refused.reason} ” after 4 ms · request ID 4f1c"
    page = words(read(admin_client, refused))
    assert page.index(answer) < page.index("Replay delivery…")
    Delivery.objects.update(response_status=None, response_message=None, response_seconds=None, request_id=None)
    assert "Answered" not in words(read(admin_client, refused))


def test_of_a_delivery_that_is_gone_there_is_no_body(admin_client):
    for key in ("1", "999999999999999999999999"):
        answer = admin_client.get(f"/admin/logs/delivery/{key}/body/", follow=True)
        assert "Perhaps it was deleted?" in answer.content.decode()


def test_names_the_permissions_that_are_missing(staff_with, refused):
    page = read(staff_with("view_delivery"), refused)
    assert page.count("You need permission to view delivery bodies.") == 1
    assert "You need permission to replay deliveries" in page
    for closed in ("curl", body_of(refused), reverse("admin:logs_delivery_replay"), '"tree'):
        assert closed not in page


def test_costs_the_same_however_often_it_was_judged(admin_client, refused):
    few = count_queries(lambda: read(admin_client, refused))
    for _ in range(SHOWN_ATTEMPTS + 1):
        replay(refused.pk, actor="ops")
    # Session, user, the row, its body, its attempts, two neighbours.
    assert count_queries(lambda: read(admin_client, refused)) == few == 7
    assert "Only the newest are shown." in read(admin_client, refused)


# The command, run as an operator would: by bash and curl, against a server that listens.


@pytest.fixture
def run_command(live_server, admin_client):
    """Run the command that a delivery's page shows, and return what curl has written."""

    def run(delivery, folder):
        host = live_server.url.removeprefix("http://")
        page = admin_client.get(page_of(delivery), headers={"host": host}).content.decode()
        command = unescape(CURL_COMMAND.search(page)[1])
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "no_proxy": "*"}
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, check=True, timeout=30, cwd=folder, env=environment
        )
        return done.stdout.decode()

    return run


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["", "/my-circleci-webhook"])
def test_the_command_sends_the_very_bytes_with_their_proof(deliver, workflow_document, run_command, tmp_path, path):
    document = workflow_document(author="Zoë Größe 🌳", project='it\'s $HOME `id` \\n %s !! "сад"')
    deliver(document, path=f"/log-circleci-webhook{path}")
    first = Delivery.objects.get()
    WorkflowEvent.objects.all().delete()
    first.refresh_from_db()
    answer = run_command(first, tmp_path)
    assert " 201 Created" in answer
    second = Delivery.objects.order_by("-pk").first()
    assert bytes(second.body) == bytes(first.body)
    assert (second.outcome, second.verified, second.webhook_slug) == ("logged", True, first.webhook_slug)
    assert second.headers["circleci-signature"] == first.headers["circleci-signature"]
    assert WorkflowEvent.objects.get().author == "Zoë Größe 🌳"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "1", "type": "ping",\n "text": "it\'s \\u00fc"}\n',
        b'{"id": "1", "type": "ping", "tab":\t"\r\n"}'.replace(b"\r\n", b"\\r\\n"),
        '{"id": "1", "type": "ping", "raw": "Ünïcödé \u202e"}'.encode(),
        bytes(range(256)),
    ],
)
def test_the_command_sends_any_bytes(deliver, run_command, tmp_path, body):
    deliver(body)
    first = Delivery.objects.get()
    answer = run_command(first, tmp_path)
    second = Delivery.objects.order_by("-pk").first()
    assert (second.pk, bytes(second.body)) != (first.pk, b"")
    assert bytes(second.body) == body
    assert (second.outcome, second.verified) == (first.outcome, True)
    assert (" 200 OK" in answer) == (first.outcome == "ping")


def test_the_command_names_this_site(admin_client, refused, settings):
    settings.ALLOWED_HOSTS = ["hooks.example.com"]
    page = admin_client.get(page_of(refused), headers={"host": "hooks.example.com"}, secure=True).content.decode()
    command = unescape(CURL_COMMAND.search(page)[1])
    assert command.endswith("https://hooks.example.com/log-circleci-webhook")
