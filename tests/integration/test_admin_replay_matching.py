"""Replay of all that a filter matches: a preview, and then steps that end, whatever arrives or fails meanwhile."""

import re
from datetime import timedelta
from html import escape, unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.core import signing
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from logs.admin.deliveries import outcomes, replay_matching
from logs.models import Attempt, Delivery, WorkflowEvent

pytestmark = pytest.mark.django_db

MATCHING = reverse("admin:logs_delivery_replay_matching")
DELIVERIES = reverse("admin:logs_delivery_changelist")
STATE = re.compile(r'name="progress"\s+value="([^"]+)"')
DISABLED = 'disabled aria-describedby="no-effect"'
FILTER = "outcome=unverified"
RIGHT, WRONG = "the-right-secret", "of-a-stranger"


def words(answer):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def state_of(answer):
    return unescape(STATE.search(answer.content.decode())[1])


def ask(client, query=FILTER):
    answer = client.get(f"{MATCHING}?{query}")
    assert answer.status_code == 200, answer.content
    return answer


def step(client, answer, **fields):
    return client.post(MATCHING, {"progress": state_of(answer)} | fields)


def begin(client, query=FILTER, reason="The secret was mended."):
    return step(client, ask(client, query), reason=reason)


def outcomes_by_key():
    return list(Delivery.objects.order_by("pk").values_list("outcome", flat=True))


@pytest.fixture
def operator(staff_with):
    """A member of staff who may view and replay deliveries, and view events."""
    return staff_with("view_delivery", "replay_delivery", "view_workflowevent", username="operator")


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch):
    """Replay two deliveries in a step."""
    monkeypatch.setattr(replay_matching, "MAX_AT_ONCE", 2)


@pytest.fixture
def refused(deliver, workflow_document):
    """Deliveries that were signed with another secret; the second and the third stay refused."""
    for seed, secret in enumerate([RIGHT, WRONG, WRONG, RIGHT, RIGHT]):
        deliver(workflow_document(seed), secret=secret)
    return list(Delivery.objects.order_by("pk"))


@pytest.fixture
def mended(refused, webhook_secrets):
    """The same, after their secret was configured."""
    webhook_secrets["My CircleCI Webhook"] = RIGHT
    return refused


def test_previews_the_oldest_and_writes_nothing(operator, mended, deliver, workflow_document):
    deliver(workflow_document(9), secret=RIGHT)  # Logged: it does not count.
    page = words(ask(operator, "received_after=24h"))
    assert "5 refused deliveries match." in page
    assert "Filters: received_after: 24h" in page
    assert "Preview of the oldest 2:" in page
    assert "1 × unverified → logged" in page
    assert "1 × unverified → unverified" in page
    assert (WorkflowEvent.objects.count(), Attempt.objects.count(), LogEntry.objects.count()) == (1, 0, 0)


def test_replays_step_by_step_and_ends_with_a_summary(operator, mended, deliver, workflow_document, webhook_secrets):
    query = f"{FILTER}&received_after=24h"
    answer = begin(operator, query)
    assert "Replayed 2 of about 5 deliveries." in words(answer)
    assert outcomes_by_key() == ["logged", "unverified", "unverified", "unverified", "unverified"]
    webhook_secrets["My CircleCI Webhook"] = "another"
    deliver(workflow_document(6), secret=RIGHT)  # It matches too, but arrives after the preview.
    webhook_secrets["My CircleCI Webhook"] = RIGHT
    answer = step(operator, answer)
    assert "Replayed 4 of about 5 deliveries." in words(answer)
    answer = step(operator, answer)
    page = answer.content.decode()
    assert "Replayed 5 deliveries. 3 × unverified → logged 2 × unverified → unverified Events:" in words(answer)
    assert f'href="{DELIVERIES}?{escape(query)}"' in page
    assert not STATE.search(page)
    assert outcomes_by_key() == ["logged", "unverified", "unverified", "logged", "logged", "unverified"]
    for event in WorkflowEvent.objects.all():
        assert reverse("admin:logs_workflowevent_change", args=[event.pk]) in page
    assert [(entry.object_id, entry.user.username, entry.get_change_message()) for entry in entries()] == [
        (
            str(delivery.pk),
            "operator",
            f"Replayed: unverified → {delivery.outcome}. Reason: The secret was mended.",
        )
        for delivery in Delivery.objects.order_by("pk")[:5]
    ]


def entries():
    return LogEntry.objects.order_by("pk")


def test_a_step_whose_answer_was_lost_is_repeated_without_harm(operator, mended):
    first = ask(operator)
    step(operator, first, reason="why")  # The answer does not arrive, and the browser sends the form again.
    answer = step(operator, first, reason="why")
    assert outcomes_by_key() == ["logged", "unverified", "unverified", "unverified", "unverified"]
    while STATE.search(answer.content.decode()):
        answer = step(operator, answer)
    assert outcomes_by_key() == ["logged", "unverified", "unverified", "logged", "logged"]
    assert WorkflowEvent.objects.count() == 3


def test_goes_on_after_a_failure_in_the_middle_of_a_step(operator, mended, monkeypatch):
    answer, original = begin(operator), outcomes.replay

    def fail_once(key, **options):
        if key == mended[3].pk:
            raise ConnectionError
        return original(key, **options)

    monkeypatch.setattr(outcomes, "replay", fail_once)
    with pytest.raises(ConnectionError):
        step(operator, answer)
    monkeypatch.setattr(outcomes, "replay", original)
    answer = step(operator, step(operator, answer))
    assert "Replayed 5 deliveries." in words(answer)
    assert WorkflowEvent.objects.count() == 3


def test_stops_and_reports_what_was_done(operator, mended):
    answer = step(operator, begin(operator), stop="yes")
    assert "Stopped. Replayed 2 of about 5 deliveries." in words(answer)
    assert "1 × unverified → logged 1 × unverified → unverified" in words(answer)
    assert LogEntry.objects.count() == 2
    assert "4 refused deliveries match." in words(ask(operator))


def test_passes_over_what_retention_removes(operator, mended, monkeypatch):
    original = replay_matching.Progress.next_keys
    answer = begin(operator)
    monkeypatch.setattr(replay_matching.Progress, "next_keys", lambda self: [*original(self), 1_000_000])
    answer = step(operator, answer)
    monkeypatch.undo()
    assert "Retention has removed 1 of the deliveries." in words(step(operator, answer))


def test_relative_times_keep_their_moment(operator, mended, time_machine):
    answer = begin(operator, f"{FILTER}&received_after=1h")
    time_machine.move_to(timezone.now() + timedelta(hours=2))
    assert "Replayed 4 of about 5 deliveries." in words(step(operator, answer))


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_nothing_happens_without_a_reason(operator, mended, reason):
    answer = begin(operator, reason=reason)
    assert "errorlist" in answer.content.decode()
    assert (WorkflowEvent.objects.count(), LogEntry.objects.count()) == (0, 0)
    assert "Replayed 2 of about 5" in words(step(operator, answer, reason="The secret was mended."))


def test_is_disabled_only_if_the_preview_is_complete_and_changes_nothing(operator, refused):
    page = ask(operator).content.decode()
    assert DISABLED not in page
    assert "Replaying these deliveries would change nothing" in page
    Delivery.objects.filter(pk__gt=refused[1].pk).delete()
    assert DISABLED in ask(operator).content.decode()


@pytest.mark.parametrize("query", ["outcome=ping", "outcome=unverified&received_before=2020-01-01", "event=unknown"])
def test_says_so_if_nothing_matches(operator, mended, query):
    answer = ask(operator, query)
    assert "No refused delivery matches." in words(answer)
    assert "<textarea" not in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("outcome=bored", "outcome: "),
        ("received_after=whenever", "received_after: Invalid time"),
        ("next=https://evil.example/", "Unknown parameter 'next'"),
        ("webhook=a&webhook=b", "webhook is given 2 times"),
        ("webhook=%00", "webhook: "),
    ],
)
def test_says_what_is_wrong_with_a_query(operator, mended, query, problem):
    answer = operator.get(f"{MATCHING}?{query}")
    assert answer.status_code == 400
    assert problem in words(answer)


def test_escapes_a_hostile_filter(operator, mended):
    page = ask(operator, "address=%3Cscript%3Ealert(1)&outcome=unverified").content.decode()
    assert "<script>alert(1)" not in page


def test_accepts_only_its_own_state(operator, mended):
    state = state_of(ask(operator))
    forged = signing.dumps({"until": 99}, salt="another")
    for wrong in ("", "x", ":::", "\x00", state[1:], state[:-1], forged):
        answer = operator.post(MATCHING, {"progress": wrong, "reason": "why"})
        assert answer.status_code == 400
        assert "Start again from the list." in words(answer)
    assert WorkflowEvent.objects.count() == 0


@pytest.mark.parametrize("codenames", [[], ["view_delivery"], ["replay_delivery"], ["view_delivery", "prune_log"]])
def test_only_operators_replay(staff_with, operator, mended, codenames):
    state = state_of(ask(operator))
    client = staff_with(*codenames)
    assert client.get(f"{MATCHING}?{FILTER}").status_code == 403
    assert client.post(MATCHING, {"progress": state, "reason": "why"}).status_code == 403
    assert WorkflowEvent.objects.count() == 0


def test_no_stranger_or_other_site_can_continue(client, csrf_client, operator, mended):
    data = {"progress": state_of(ask(operator)), "reason": "why"}
    assert client.post(MATCHING, data).headers["Location"].startswith("/admin/login/")
    csrf_client.cookies = operator.cookies
    assert csrf_client.post(MATCHING, data).status_code == 403
    assert WorkflowEvent.objects.count() == 0


def test_links_to_no_event_for_those_who_may_not_view_events(staff_with, mended):
    client = staff_with("view_delivery", "replay_delivery")
    page = step(client, begin(client), stop="yes").content.decode()
    assert "Stopped." in page
    assert str(WorkflowEvent.objects.get()) not in page


def test_the_list_offers_it_to_operators_if_it_is_filtered(operator, staff_with, mended):
    link = f'href="{MATCHING}?{escape("outcome=unverified&webhook=x")}"'
    assert link in operator.get(f"{DELIVERIES}?outcome=unverified&webhook=x").content.decode()
    assert MATCHING not in operator.get(DELIVERIES).content.decode()
    viewer = staff_with("view_delivery")
    assert MATCHING not in viewer.get(f"{DELIVERIES}?{FILTER}").content.decode()


def test_costs_the_same_however_many_match(operator, deliver, workflow_document):
    def queries_of(call):
        Attempt.objects.all().delete()
        with CaptureQueriesContext(connection) as captured:
            answer = call()
        assert answer.status_code == 200
        return len([one for one in captured if "SAVEPOINT" not in one["sql"]]), answer

    counts = []
    for matching in (3, 9):
        while Delivery.objects.count() < matching:
            deliver(workflow_document(9), secret=WRONG)
        begin(operator)  # Fills caches, such as that of content types.
        preview, answer = queries_of(lambda: ask(operator))
        replayed, _ = queries_of(lambda answer=answer: step(operator, answer, reason="why"))
        counts.append((preview, replayed))
    # Session, user, two of permissions, newest delivery, four numbers, four of keys; five of each replay, six with log.
    assert counts == [(13 + 2 * 5, 8 + 2 * 6)] * 2
