"""A refused delivery is mended: the cause is put right, and its original bytes pass through the pipeline again."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from logs.ingest.replay import replay
from logs.models import Attempt, Delivery, Outcome, WorkflowEvent

pytestmark = pytest.mark.django_db


def run(*args, **options):
    """Run the command and return what it says."""
    output = io.StringIO()
    call_command("replay_deliveries", *args, stdout=output, **options)
    return output.getvalue()


@pytest.fixture
def refused(deliver, workflow_document, settings):
    """The tutorial's story: CircleCI signs with ABCD1234, the settings hold ABCD123."""
    settings.CIRCLECI_WEBHOOK_SECRETS = {"My CircleCI Webhook": "ABCD123"}
    with time_machine.travel("2026-05-04 10:00", tick=False):
        assert deliver(workflow_document(), secret="ABCD1234").status_code == 401
    return Delivery.objects.get()


@pytest.fixture
def mended(refused, settings):
    """The same delivery, after the setting was put right."""
    settings.CIRCLECI_WEBHOOK_SECRETS = {"My CircleCI Webhook": "ABCD1234"}
    return refused


def test_the_wrong_secret_is_refused_shown_mended_replayed_and_logged(mended, workflow_document):
    assert mended.reason == "the circleci-signature matches no secret (secrets of all webhooks tried: 1)"
    result = replay(mended.pk, actor="ops")
    assert (result.before, result.verdict.outcome, result.fixed) == (Outcome.UNVERIFIED, Outcome.LOGGED, True)
    mended.refresh_from_db()
    event = WorkflowEvent.objects.get()
    assert event.event_id == workflow_document()["id"]
    assert event.received_at == mended.received_at
    assert (mended.outcome, mended.reason, mended.event) == (Outcome.LOGGED, "", event)
    assert (mended.webhook, mended.secret_position, mended.verified) == ("My CircleCI Webhook", 0, True)


def test_the_delivery_keeps_the_history_of_its_attempts(refused, settings):
    replay(refused.pk, actor="early")
    settings.CIRCLECI_WEBHOOK_SECRETS = {"My CircleCI Webhook": "ABCD1234"}
    replay(refused.pk, actor="late")
    attempts = list(refused.attempts.order_by("pk"))
    assert [(attempt.actor, attempt.outcome) for attempt in attempts] == [
        ("", Outcome.UNVERIFIED),
        ("early", Outcome.UNVERIFIED),
        ("late", Outcome.LOGGED),
    ]
    assert attempts[0].attempted_at == refused.received_at
    assert "matches no secret" in attempts[1].reason


def test_a_replay_does_not_write_what_arrived_again(mended):
    with CaptureQueriesContext(connection) as queries:
        replay(mended.pk, actor="ops")
    (update,) = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "logs_delivery"')]
    assert '"outcome"' in update
    assert not any(f'"{column}"' in update for column in ("body", "headers", "received_at", "client_address"))


def test_a_second_replay_changes_nothing_more(mended):
    replay(mended.pk, actor="ops")
    event = WorkflowEvent.objects.get()
    result = replay(mended.pk, actor="ops")
    assert not result.fixed
    assert WorkflowEvent.objects.get() == event
    assert Delivery.objects.get().outcome == Outcome.LOGGED


def test_a_dry_run_judges_but_writes_nothing(mended):
    result = replay(mended.pk, actor="ops", dry_run=True)
    assert result.verdict.outcome == Outcome.LOGGED
    assert not WorkflowEvent.objects.exists()
    assert not Attempt.objects.exists()
    assert Delivery.objects.get().outcome == Outcome.UNVERIFIED


def test_an_event_that_arrived_since_by_another_way_is_not_doubled(mended, deliver, workflow_document):
    deliver(workflow_document(), secret="ABCD1234")
    assert replay(mended.pk, actor="ops").verdict.outcome == Outcome.UPDATED
    assert WorkflowEvent.objects.count() == 1


def test_a_replayed_newer_version_is_the_one_that_is_shown(refused, deliver, workflow_document, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"My CircleCI Webhook": "ABCD1234"}
    older = workflow_document(status="failed") | {"happened_at": "2020-01-01T00:00:00Z"}
    deliver(older, secret="ABCD1234")
    assert replay(refused.pk, actor="ops").verdict.outcome == Outcome.UPDATED
    event = WorkflowEvent.objects.get()
    assert event.status == "success"
    shown = json.loads(bytes(event.deliveries.of_shown_version().body))
    assert shown["workflow"]["status"] == "success"


def test_a_replayed_older_version_does_not_overwrite_a_newer_one(mended, deliver, workflow_document):
    newer = workflow_document(status="failed") | {"happened_at": "2090-01-01T00:00:00Z"}
    deliver(newer, secret="ABCD1234")
    assert replay(mended.pk, actor="ops").verdict.outcome == Outcome.DUPLICATE
    assert WorkflowEvent.objects.get().status == "failed"


def test_reads_the_columns_of_an_accepted_delivery_anew(deliver, workflow_document):
    deliver(workflow_document())
    # As if an older version of webhooklog had not understood the branch.
    WorkflowEvent.objects.update(branch="")
    result = replay(Delivery.objects.get().pk, actor="ops")
    assert result.verdict.reason == "the same version, read again"
    assert WorkflowEvent.objects.get().branch == workflow_document()["pipeline"]["vcs"]["branch"]
    assert Delivery.objects.get().outcome == Outcome.LOGGED


def test_a_malformed_delivery_stays_malformed(deliver):
    deliver(b"[]")
    assert replay(Delivery.objects.get().pk, actor="ops").verdict.outcome == Outcome.MALFORMED
    delivery = Delivery.objects.get()
    assert (delivery.webhook, delivery.secret_position, delivery.verified) == ("My CircleCI Webhook", 0, True)


def test_a_forgery_stays_refused_by_replay(deliver, workflow_document):
    deliver(workflow_document(), secret="a stranger's guess")
    assert "1 x unverified -> unverified" in run()
    assert not WorkflowEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_waits_for_whoever_holds_the_delivery(deliver, workflow_document):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite locks no single rows")
    deliver(workflow_document())
    delivery = Delivery.objects.get()

    def replay_impatiently():
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            with pytest.raises(OperationalError, match="lock timeout"):
                replay(delivery.pk, actor="ops")
        finally:
            connection.close()

    # The weaker lock, which what a replay writes would not wait for.
    with transaction.atomic(), ThreadPoolExecutor(1) as elsewhere:
        Delivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
        elsewhere.submit(replay_impatiently).result()
    assert not Attempt.objects.exists()


def test_says_that_a_cut_body_cannot_be_judged_again(deliver, settings):
    settings.REFUSED_BODY_MAX_BYTES = 10
    deliver(b'{"id": "a", "type": "b"}', secret="wrong")
    result = replay(Delivery.objects.get().pk, actor="ops")
    assert result.verdict.outcome == Outcome.UNVERIFIED
    assert result.verdict.reason == "cannot be judged again: only 10 of 24 bytes of its body are stored"


def test_says_that_a_chunked_body_cannot_be_judged_again_once_it_was_cut_or_not_read(deliver_in_chunks, settings):
    settings.REFUSED_BODY_MAX_BYTES = 10
    deliver_in_chunks(b'{"id": "a", "type": "b"}', secret="wrong")
    settings.MAX_BODY_BYTES = 10
    deliver_in_chunks(b'{"id": "a", "type": "b"}', secret="wrong")
    unread, cut = (replay(delivery.pk, actor="ops").verdict for delivery in Delivery.objects.newest_first())
    assert cut.outcome == Outcome.UNVERIFIED
    assert cut.reason == "cannot be judged again: only 10 of 24 bytes of its body are stored"
    assert (unread.outcome, unread.reason) == (Outcome.REJECTED, "cannot be judged again: its body was not read")


def test_the_command_replays_all_refused_deliveries_and_sums_up(mended, deliver, workflow_document):
    deliver(workflow_document(2), secret="ABCD1234")
    deliver(b"[]", secret="ABCD1234")
    assert run() == "1 x malformed -> malformed\n1 x unverified -> logged\n"
    assert WorkflowEvent.objects.count() == 2


def test_the_command_tells_what_a_dry_run_would_do(mended):
    output = run(dry_run=True)
    assert f"delivery {mended.pk}: unverified -> logged" in output
    assert "Nothing was written: this was a dry run." in output
    assert not WorkflowEvent.objects.exists()


def test_the_command_chooses(mended, deliver, workflow_document):
    deliver(workflow_document(2), "/log-circleci-webhook/unknown", secret="ABCD1234")
    other = Delivery.objects.newest_first()[0]
    before, after = mended.received_at - timedelta(hours=1), mended.received_at + timedelta(hours=1)
    assert f"delivery {mended.pk}:" in run(str(mended.pk), dry_run=True)
    assert f"delivery {mended.pk}:" in run(until=after, dry_run=True)
    assert f"delivery {other.pk}:" in run(since=after, dry_run=True)
    assert f"delivery {other.pk}:" in run(address="unknown", dry_run=True)
    assert run(until=before) == "No delivery matches.\n"
    assert run(outcome=["malformed"]) == "No delivery matches.\n"


@pytest.mark.parametrize("when", ["2026-05-04T10:00Z", "2026-05-04", "1764345600000", "30m", "24h", "7d"])
def test_the_command_understands_moments(mended, when):
    assert "unverified" in run("--since", "2020-01-01", "--until", "2090-01-01", "--dry-run")
    run("--since", when)


@pytest.mark.parametrize("when", ["yesterday", "7", "7y", ""])
def test_the_command_explains_moments(when):
    with pytest.raises(Exception, match="Invalid time"):
        run("--since", when)


def test_replays_at_the_address_it_was_sent_to(deliver, workflow_document, webhook_secrets):
    deliver(workflow_document(1), "/log-circleci-webhook/lab", secret=None)
    deliver(workflow_document(2), secret=None)
    webhook_secrets |= {"lab": None}
    assert run() == "1 x unverified -> logged\n1 x unverified -> unverified\n"
    assert WorkflowEvent.objects.get().event_id == workflow_document(1)["id"]


@pytest.mark.parametrize("elsewhere", [[], ["--dry-run"], ["--to", "http://127.0.0.1:1/"], ["--save", "deliveries"]])
def test_the_command_fails_at_a_delivery_that_does_not_exist_and_replays_nothing(mended, elsewhere):
    key = mended.pk
    with pytest.raises(CommandError) as raised:
        run(str(key), str(key + 1), *elsewhere)
    assert str(raised.value) == f"there is no delivery {key + 1}; retention may have removed it"
    assert raised.value.returncode == 1
    with pytest.raises(CommandError, match=f"^there is no delivery {key + 2} or {key + 1}; "):
        run(str(key + 2), str(key + 1), *elsewhere)
    assert Delivery.objects.get().outcome == Outcome.UNVERIFIED


def test_the_command_fails_if_a_delivery_is_removed_meanwhile(mended, monkeypatch):
    def removed(*_args, **_options):
        raise Delivery.DoesNotExist

    monkeypatch.setattr("logs.management.commands.replay_deliveries.replay", removed)
    with pytest.raises(CommandError, match="1 of 1 deliveries were removed before they were replayed"):
        run()


def test_the_command_suggests_an_outcome(mended):
    with pytest.raises(CommandError, match=r"--outcome: 'unverifed' is unknown: did you mean unverified\?"):
        run("--outcome", "unverifed")
