"""Replay in the admin: what would happen is shown first, and nothing happens without a reason."""

import re
from html import escape, unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from logs.admin.deliveries import outcomes
from logs.models import Attempt, Delivery, WorkflowEvent

pytestmark = pytest.mark.django_db

REPLAY = reverse("admin:logs_delivery_replay")
DELIVERIES = reverse("admin:logs_delivery_changelist")
DISABLED = 'disabled aria-describedby="no-effect"'


def page_of(delivery):
    return reverse("admin:logs_delivery_change", args=[delivery.pk])


def words(answer):
    assert answer.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def confirm(client, *deliveries, reason="The secret was mended.", follow=False, **fields):
    data = {"ids": ",".join(str(delivery.pk) for delivery in deliveries), "confirm": "yes", "reason": reason}
    return client.post(REPLAY, data | fields, follow=follow)


@pytest.fixture
def operator(staff_with):
    """A member of staff who may view and replay deliveries."""
    return staff_with("view_delivery", "replay_delivery", username="operator")


@pytest.fixture
def refused(deliver, workflow_document):
    """Three deliveries that were signed with another secret."""
    for seed in range(3):
        deliver(workflow_document(seed), secret="mended-secret")
    return list(Delivery.objects.order_by("pk"))


@pytest.fixture
def mended(refused, webhook_secrets):
    """The same, after their secret was configured."""
    webhook_secrets["My CircleCI Webhook"] = "mended-secret"
    return refused


def test_shows_what_would_happen_and_writes_nothing(operator, mended, deliver):
    deliver(b"[1]", secret="mended-secret")
    keys = ",".join(str(delivery.pk) for delivery in Delivery.objects.all())
    page = words(operator.get(f"{REPLAY}?ids={keys}"))
    assert "3 × unverified → logged" in page
    assert "1 × malformed → malformed" in page
    assert "✕ malformed unchanged not a JSON object but a JSON array" in page
    assert "Replay 4 deliveries" in page
    assert (WorkflowEvent.objects.count(), Attempt.objects.count(), LogEntry.objects.count()) == (0, 0, 0)
    assert {delivery.outcome for delivery in Delivery.objects.all()} == {"unverified", "malformed"}


def test_the_list_asks_for_the_confirmation_too(operator, mended):
    chosen = [delivery.pk for delivery in mended[:2]]
    answer = operator.post(REPLAY, {"action": "verify_again", "_selected_action": chosen})
    assert "2 × unverified → logged" in words(answer)
    assert f'value="{chosen[0]},{chosen[1]}"' in answer.content.decode()
    assert WorkflowEvent.objects.count() == 0


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_nothing_happens_without_a_reason_of_some_words(operator, mended, reason):
    answer = confirm(operator, *mended, reason=reason)
    assert "3 × unverified → logged" in words(answer)
    assert "errorlist" in answer.content.decode()
    assert (WorkflowEvent.objects.count(), LogEntry.objects.count()) == (0, 0)


def test_nothing_happens_by_a_link(operator, mended):
    answer = operator.get(REPLAY, {"ids": mended[0].pk, "confirm": "yes", "reason": "a link"})
    assert "Replay 1 delivery" in words(answer)
    assert WorkflowEvent.objects.count() == 0


def test_replays_and_notes_who_did_it_and_why(operator, mended):
    answer = confirm(operator, *mended, follow=True)
    assert answer.redirect_chain == [(DELIVERIES, 302)]
    assert "Replayed 3 deliveries: 3 × unverified → logged." in words(answer)
    assert WorkflowEvent.objects.count() == 3
    assert [
        (entry.object_id, entry.user.username, entry.get_change_message()) for entry in LogEntry.objects.order_by("pk")
    ] == [
        (str(delivery.pk), "operator", "Replayed: unverified → logged. Reason: The secret was mended.")
        for delivery in mended
    ]
    history = words(operator.get(reverse("admin:logs_delivery_history", args=[mended[0].pk])))
    assert "Reason: The secret was mended." in history


def test_after_one_delivery_comes_its_page(operator, mended):
    answer = confirm(operator, mended[1], follow=True)
    assert answer.redirect_chain == [(page_of(mended[1]), 302)]
    page = words(answer)
    assert "Replayed 1 delivery: 1 × unverified → logged." in page
    assert "operator" in page


def test_replays_the_oldest_first_in_whatever_order_they_were_chosen(operator, mended, monkeypatch):
    order = []
    original = outcomes.replay
    monkeypatch.setattr(outcomes, "replay", lambda key, **options: order.append(key) or original(key, **options))
    confirm(operator, *reversed(mended))
    assert order == [delivery.pk for delivery in mended]


def test_a_delivery_chosen_twice_is_replayed_once(operator, mended):
    confirm(operator, mended[0], mended[0])
    assert LogEntry.objects.count() == 1


def test_tells_of_what_stays_refused(operator, refused):
    assert "1 × unverified → unverified" in words(operator.get(f"{REPLAY}?ids={refused[0].pk}"))
    answer = confirm(operator, refused[0], follow=True)
    assert '<li class="warning">' in answer.content.decode()
    assert LogEntry.objects.get().get_change_message().startswith("Replayed: unverified → unverified.")


def test_warns_where_several_tell_of_one_event(operator, deliver, workflow_document, webhook_secrets):
    for _ in range(2):
        deliver(workflow_document(), secret="mended-secret")
    webhook_secrets["My CircleCI Webhook"] = "mended-secret"
    first, second = Delivery.objects.order_by("pk")
    assert "Several deliveries report the same event" in words(operator.get(f"{REPLAY}?ids={first.pk},{second.pk}"))
    assert "Several of them" not in words(operator.get(f"{REPLAY}?ids={first.pk}"))
    assert "1 × unverified → logged, 1 × unverified → updated" in words(confirm(operator, first, second, follow=True))


def test_passes_over_a_delivery_that_retention_has_removed(operator, mended):
    mended[1].delete()
    gone = 1_000_000
    keys = f"{mended[0].pk},{gone}"
    page = words(operator.get(f"{REPLAY}?ids={keys}"))
    assert "Retention has removed 1 of the selected deliveries." in page
    assert "Replay 1 delivery" in page
    page = words(operator.post(REPLAY, {"ids": keys, "confirm": "yes", "reason": "why"}, follow=True))
    assert "Replayed 1 delivery" in page
    assert "Retention has removed 1 of the deliveries." in page


def test_passes_over_what_vanishes_between_the_question_and_the_answer(operator, mended):
    answer = operator.post(REPLAY, {"ids": "1000000", "confirm": "yes", "reason": "why"}, follow=True)
    assert answer.redirect_chain == [(DELIVERIES, 302)]
    assert "Retention has removed 1 of the deliveries." in words(answer)
    assert "<textarea" not in operator.get(f"{REPLAY}?ids=1000000").content.decode()


@pytest.mark.parametrize("query", ["", "ids=", "ids=x", "ids=-1,1.5", "ids=%00", "ids=9999999999999999999999"])
def test_says_so_when_nothing_was_chosen(operator, refused, query):
    answer = operator.get(f"{REPLAY}?{query}", follow=True)
    assert answer.redirect_chain == [(DELIVERIES, 302)]
    assert "No delivery selected." in words(answer)


def test_takes_so_many_at_once_and_names_the_command_for_more(operator, monkeypatch):
    ids = ",".join(map(str, range(1, outcomes.MAX_AT_ONCE + 2)))
    for answer in (
        operator.get(f"{REPLAY}?ids={ids}", follow=True),
        operator.post(REPLAY, {"ids": ids, "confirm": "yes", "reason": "all of them"}, follow=True),
    ):
        assert f"Select at most {outcomes.MAX_AT_ONCE} deliveries" in words(answer)
        assert "replay all matches" in words(answer)


def test_asks_the_database_about_no_more_than_a_few_deliveries(operator, deliver, workflow_document):
    for seed in range(26):
        deliver(workflow_document(seed), secret="mended-secret")
    *some, last = Delivery.objects.values_list("pk", flat=True)
    assert "25 × unverified" in words(operator.get(f"{REPLAY}?ids={','.join(map(str, some))}"))
    assert "Up to 25 at once" in words(operator.get(DELIVERIES))
    told = words(operator.get(f"{REPLAY}?ids={','.join(map(str, [*some, last]))}", follow=True))
    assert "Select at most 25 deliveries, or filter the list and replay all matches." in told


@pytest.mark.parametrize("codenames", [[], ["view_delivery"], ["replay_delivery"], ["view_delivery", "prune_log"]])
def test_only_operators_replay(user_with, client_of, mended, codenames):
    user = user_with(*codenames)
    user.is_staff = True
    user.save()
    client = client_of(user)
    assert client.get(f"{REPLAY}?ids={mended[0].pk}").status_code == 403
    assert confirm(client, mended[0]).status_code == 403
    assert WorkflowEvent.objects.count() == 0


def test_strangers_are_sent_to_the_login(client, mended):
    assert confirm(client, mended[0]).headers["Location"].startswith("/admin/login/")


def test_no_other_site_can_make_an_operator_replay(csrf_client, operator, mended):
    csrf_client.cookies = operator.cookies
    assert confirm(csrf_client, mended[0]).status_code == 403
    assert WorkflowEvent.objects.count() == 0


def test_hostile_texts_are_escaped(operator, deliver):
    deliver(b'{"id": "<script>alert(1)</script>", "type": "workflow-completed"}')
    page = operator.get(f"{REPLAY}?ids={Delivery.objects.get().pk}").content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


# A replay that would change nothing.


def test_a_replay_without_effect_is_disabled_with_the_reason_and_what_to_do(operator, refused, webhook_secrets):
    page = operator.get(f"{REPLAY}?ids={refused[0].pk},{refused[1].pk}").content.decode()
    assert DISABLED in page
    assert "<textarea" not in page
    assert page.count("Compare the secret in CIRCLECI_WEBHOOK_SECRETS") == 1
    assert "Replaying these deliveries would change nothing: each outcome stays the same." in page
    webhook_secrets["My CircleCI Webhook"] = "mended-secret"
    assert DISABLED not in operator.get(f"{REPLAY}?ids={refused[0].pk}").content.decode()


@pytest.mark.parametrize(
    ("arrivals", "is_disabled"),
    [
        (["ping"], True),
        (["workflow"], False),  # Its columns are read again.
        (["workflow", "older"], True),  # The log shows the newer version.
    ],
)
def test_an_accepted_delivery_has_an_effect_if_its_event_is_read_again(
    operator, deliver, workflow_document, ping_document, arrivals, is_disabled
):
    older = workflow_document() | {"happened_at": "2020-01-01T00:00:00Z"}
    for name in arrivals:
        deliver({"ping": ping_document, "workflow": workflow_document(), "older": older}[name])
    key = Delivery.objects.newest_first()[0].pk
    assert (DISABLED in operator.get(f"{REPLAY}?ids={key}").content.decode()) == is_disabled


# The way back, and the events.


def test_returns_to_the_filtered_list_that_it_came_from(operator, mended):
    query = "outcome=unverified&received_after=24h"
    listed = operator.get(f"{DELIVERIES}?{query}").content.decode()
    assert f'name="list" value="{escape(query)}"' in listed
    preview = operator.post(REPLAY, {"_selected_action": [mended[0].pk], "list": query}).content.decode()
    assert f'name="list" value="{escape(query)}"' in preview
    assert preview.count(f'href="{DELIVERIES}?{escape(query)}"') == 2  # "Back" and the breadcrumb.
    answer = operator.post(REPLAY, {"ids": mended[0].pk, "confirm": "yes", "reason": "why", "list": query})
    assert answer.headers["Location"] == f"{DELIVERIES}?{query}"
    answer = operator.post(REPLAY, {"ids": "", "list": query})
    assert answer.headers["Location"] == f"{DELIVERIES}?{query}"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("//evil.example/", ""),
        ("next=https://evil.example/&outcome=ping", ""),
        ("outcome=https://evil.example/", ""),
        ("outcome=%00", ""),
        ("&".join(["address=x"] * 1_001), ""),
        ("address=//evil.example/", "?address=%2F%2Fevil.example%2F"),
        ('address="><script>', "?address=%22%3E%3Cscript%3E"),
        ("address=a\r\nLocation:b", "?address=a%0D%0ALocation%3Ab"),
    ],
)
def test_returns_to_the_list_whatever_its_query_holds(operator, mended, query, expected):
    data = {"ids": mended[0].pk, "confirm": "yes", "reason": "why", "list": query}
    assert operator.post(REPLAY, data).headers["Location"] == f"{DELIVERIES}{expected}"
    assert operator.post(REPLAY, {"ids": mended[1].pk, "list": query}).status_code == 200


@pytest.mark.parametrize(("codenames", "has_links"), [(["view_workflowevent"], True), ([], False)])
def test_the_message_links_to_the_events_for_those_who_may_view_them(staff_with, mended, codenames, has_links):
    client = staff_with("view_delivery", "replay_delivery", *codenames, username="other")
    page = confirm(client, *mended, list="outcome=unverified", follow=True).content.decode()
    for event in WorkflowEvent.objects.all():
        url = reverse("admin:logs_workflowevent_change", args=[event.pk])
        link = f'<a href="{url}"><bdi>#{event.pipeline_number} {event}</bdi></a>'
        assert (link in page) == has_links
    assert ("Events:" in page) == has_links


def test_the_message_links_to_some_of_many_events_with_escaped_names(
    staff_with, deliver, workflow_document, webhook_secrets, monkeypatch
):
    monkeypatch.setattr(outcomes, "MAX_LINKS", 2)
    for seed in range(3):
        deliver(workflow_document(seed, project="<script>" + "long" * 30), secret="mended-secret")
    webhook_secrets["My CircleCI Webhook"] = "mended-secret"
    client = staff_with("view_delivery", "replay_delivery", "view_workflowevent", username="other")
    page = confirm(client, *Delivery.objects.all(), list="outcome=ping", follow=True).content.decode()
    assert "The first 2 events:" in page
    assert page.count("&lt;script&gt;longlong") == 2
    assert "long" * 20 not in page
    assert "<script>long" not in page
