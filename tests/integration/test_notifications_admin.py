"""Notifications in the admin: the list and its filters, the pages, and what operators do with a message."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.admin.notifications import list as notification_list
from logs.models import Alarm, Channel, Notification, NotificationAttempt, Rule, StateChange, WorkflowEvent
from logs.reading import pages
from tests.integration.standings_log import log_run
from tests.plans import analyze, plan_of

pytestmark = pytest.mark.django_db

LIST = reverse("admin:logs_notification_changelist")
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
MARKUP = "<script>hacked</script>\"'&\u202e"
ROLES = {
    "nobody": [],
    "viewer": ["view_notification"],
    "operator": ["view_notification", "resend_notification", "view_channel"],
    "administrator": ["view_notification", "resend_notification", "view_channel", "view_rule", "view_workflowevent"],
}


@pytest.fixture(autouse=True)
def clock():
    """The time, which stands still."""
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def as_role(staff_with):
    """Make a client of a member of staff with a role."""
    return lambda name: staff_with(*ROLES[name], username=name)


@pytest.fixture
def operator(as_role):
    """A client of an operator."""
    return as_role("operator")


@pytest.fixture
def admin(as_role):
    """A client of an administrator."""
    return as_role("administrator")


def make_channel(name="ops", **values):
    return Channel.objects.create(**{"name": name, "kind": "slack"} | values)


def add(channel, kind="broke", **values):
    number = Notification.objects.count()
    defaults = {"key": f"{kind}:{number}", "thread": f"wl-{number}", "expires_at": NOW + HOUR}
    return Notification.objects.create(channel=channel, kind=kind, **defaults | values)


def content(headline="build broke on main", **values):
    defaults = {"project": "", "facts": [["Author", "Ada"]], "links": [["Open in CircleCI", "https://circleci.test/7"]]}
    return {"headline": headline} | defaults | values


def add_change(number=1, **values):
    event = WorkflowEvent.objects.get(event_id=log_run(number, "failed"))
    columns = {"project_slug": "github/acme/orchard", "project": "orchard", "workflow": "build", "branch": "main"}
    times = {"happened_at": NOW, "noted_at": NOW, "failures": 1}
    return StateChange.objects.create(event=event, kind="broke", **columns | times | values)


def page_of(notification):
    return reverse("admin:logs_notification_change", args=[notification.pk])


def url_of(action, notification):
    return reverse(f"admin:logs_notification_{action}", args=[notification.pk])


def read(client, url, status=200):
    answer = client.get(url)
    assert answer.status_code == status, url
    return answer.content.decode()


def words(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def listed(client, query=""):
    """Return the primary keys in the list."""
    return [int(key) for key in re.findall(r'row-link"\s+href="[^"]+/(\d+)/change/"', read(client, LIST + query))]


def audit_log():
    return list(LogEntry.objects.order_by("pk").values_list("user__username", "object_id", "change_message"))


# Permissions.

# fmt: off
OPENS = [  # list, page, history, add, delete
    ("nobody",        [403, 403, 403, 403, 403]),
    ("viewer",        [200, 200, 200, 403, 403]),
    ("operator",      [200, 200, 200, 403, 403]),
    ("administrator", [200, 200, 200, 403, 403]),
]
ACTS = [  # again, drop
    ("nobody",        [403, 403]),
    ("viewer",        [403, 403]),
    ("operator",      [302, 302]),
    ("administrator", [302, 302]),
]
# fmt: on


@pytest.mark.parametrize(("role", "expected"), OPENS)
def test_each_role_opens_its_pages(as_role, role, expected):
    row = add(make_channel())
    urls = [LIST, page_of(row), url_of("history", row), reverse("admin:logs_notification_add"), url_of("delete", row)]
    client = as_role(role)
    assert [client.get(url).status_code for url in urls] == expected


@pytest.mark.parametrize(("role", "expected"), ACTS)
def test_each_role_has_its_actions(as_role, role, expected):
    channel, client = make_channel(), as_role(role)
    sent, waiting = add(channel, state="sent"), add(channel)
    answers = [client.post(url_of("again", sent)), client.post(url_of("drop", waiting))]
    assert [answer.status_code for answer in answers] == expected
    waiting.refresh_from_db()
    assert waiting.state == ("dropped" if 302 in expected else "waiting")
    assert Notification.objects.count() == (3 if 302 in expected else 2)
    assert len(audit_log()) == expected.count(302)


def test_permission_to_resend_without_permission_to_view_is_not_enough(staff_with):
    row = add(make_channel())
    assert staff_with("resend_notification").post(url_of("drop", row)).status_code == 403


def test_a_get_changes_nothing_and_a_post_needs_a_csrf_token(operator):
    row = add(make_channel())
    assert operator.get(url_of("drop", row)).headers["Location"] == page_of(row)
    client = Client(enforce_csrf_checks=True)
    client.force_login(get_user_model().objects.get())
    assert client.post(url_of("drop", row)).status_code == 403
    assert Notification.objects.get().state == "waiting"
    assert audit_log() == []


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("waiting", ["Drop message"]),
        ("sent", ["Send message again"]),
        ("failed", ["Send message again"]),
        ("expired", ["Send message again"]),
        ("dropped", ["Send message again"]),
        ("merged", []),
    ],
)
def test_a_page_offers_what_is_possible(operator, as_role, state, buttons):
    row = add(make_channel(), state=state)
    assert re.findall(r'formaction="[^"]+"\s+class="[^"]+">([^<]+)<', read(operator, page_of(row))) == buttons
    assert "formaction" not in read(as_role("viewer"), page_of(row))


def test_an_unknown_notification_leads_home(admin):
    for name in ("change", "again", "drop"):
        url = reverse(f"admin:logs_notification_{name}", args=[999])
        assert admin.get(url, follow=True).status_code == 200


# Actions.


def test_a_message_is_sent_again(operator):
    original = add(make_channel(), state="failed", content=content())
    answer = operator.post(url_of("again", original), follow=True)
    copy = Notification.objects.latest("pk")
    assert answer.redirect_chain == [(page_of(copy), 302)]
    page = words(answer.content.decode())
    assert f"Queued to be sent again, as notification {copy.pk}." in page
    assert f"Repeats notification {original.pk}" in page
    assert audit_log() == [("operator", str(original.pk), f"Queued to be sent again, as notification {copy.pk}.")]


def test_a_message_is_dropped(operator):
    row = add(make_channel())
    page = words(operator.post(url_of("drop", row), follow=True).content.decode())
    assert "Dropped." in page
    assert "■ dropped" in page
    assert audit_log() == [("operator", str(row.pk), "Dropped.")]


@pytest.mark.parametrize(
    ("action", "state", "enabled", "expected"),
    [
        ("again", "failed", False, "Enable the channel before you send the message again."),
        ("again", "merged", True, "A message that is merged cannot be sent again."),
        ("drop", "sent", True, "Only a waiting message can be dropped."),
    ],
)
def test_an_impossible_action_is_explained_and_not_recorded(operator, action, state, enabled, expected):
    row = add(make_channel(enabled=enabled), state=state)
    page = operator.post(url_of(action, row), follow=True).content.decode()
    assert expected in page
    assert Notification.objects.count() == 1
    assert audit_log() == []


# The list.


def test_the_list_shows_each_message(admin):
    channel, change = make_channel(), add_change()
    add(channel, change=change, event=change.event, state="failed", attempts_made=1, last_error="400 blocks")
    add(channel, "digest", state="sent", attempts_made=2, last_status=200, content=content("7 changes"))
    page = words(read(admin, LIST))
    digest = "✓ sent 2026-05-04 10:00:00 UTC 7 changes digest → ops 2 attempts 200"
    broke = "✕ not sent 2026-05-04 10:00:00 UTC orchard · build on main broke → ops 1 attempts 400 blocks"
    assert f"{digest} {broke}" in page


@pytest.mark.parametrize(
    ("values", "last_error", "expected"),
    [
        ({}, "", "→ ops 0 attempts –"),
        ({"not_before": NOW - SECOND}, "", "→ ops 0 attempts –"),
        ({"enabled": False}, "", "→ ops (disabled) 0 attempts channel is disabled"),
        ({"muted_until": NOW + HOUR, "not_before": NOW + HOUR}, "", "→ ops 0 attempts channel is muted"),
        ({"not_before": NOW + 20 * HOUR}, "503 busy", "→ ops 0 attempts 503 busy next attempt in 20 h"),
    ],
)
def test_the_list_says_what_a_message_waits_for(admin, values, last_error, expected):
    channel = make_channel(**values)
    add(channel, last_error=last_error)
    add(channel, state="sent", last_status=200)
    assert words(read(admin, LIST)).count(f"broke {expected}") == 1


SILENT = "acme/garden has been silent since Mon 2026-05-04 08:00 UTC"
# fmt: off
SUBJECTS = [
    ("run",   {"content": content("build failed", project="orchard")}, "orchard · build failed"),
    ("alarm", {"has_alarm": True},                                     SILENT),
    ("run",   {"has_event": True},                                     "harbour-web · build"),
    ("broke", {"change_id": 999, "event_id": 999},                     "broke"),
]
# fmt: on


@pytest.mark.parametrize(("kind", "values", "subject"), SUBJECTS)
def test_each_message_has_a_subject(admin, kind, values, subject):
    if values.pop("has_alarm", False):
        detail = {"project": "acme/garden", "last_delivery_at": "2026-05-04T08:00:00Z"}
        values = {"alarm": Alarm.objects.create(kind="silence", key="ci", opened_at=NOW, detail=detail)}
    if values.pop("has_event", False):
        run = log_run(1, "failed", project="harbour-web", workflow="build")
        values = {"event": WorkflowEvent.objects.get(event_id=run)}
    add(make_channel(), kind, **values)
    assert re.search(r'row-link"[^>]+><bdi>([^<]+)<', read(admin, LIST))[1] == subject


@pytest.mark.parametrize(
    ("attempt", "state", "expected"),
    [
        ({"started_at": NOW - HOUR}, "sent", ["may have been sent twice"]),
        ({"started_at": NOW - HOUR}, "waiting", ["may have been sent"]),
        ({"started_at": NOW - 59 * SECOND}, "waiting", []),  # In flight.
        ({"started_at": NOW - HOUR, "ended_at": NOW}, "sent", []),
    ],
)
def test_an_attempt_without_an_end_is_shown(admin, attempt, state, expected):
    row = add(make_channel(), state=state)
    NotificationAttempt.objects.create(notification=row, **attempt)
    for url in (LIST, page_of(row)):
        assert re.findall(r'<span class="unsigned">([^<]+)<', read(admin, url)) == expected


def test_the_list_is_filtered(admin):
    ops, other = make_channel(), make_channel("other")
    run = WorkflowEvent.objects.get(event_id=log_run(1, "failed", project="harbour-web"))
    first = add(ops, state="sent")
    second = add(other, state="failed")
    third = add(ops, "run", state="failed", event=run)
    assert listed(admin) == [third.pk, second.pk, first.pk]
    assert listed(admin, "?channel=&state=&kind=&project=") == [third.pk, second.pk, first.pk]
    assert listed(admin, f"?channel={ops.pk}") == [third.pk, first.pk]
    assert listed(admin, "?state=failed") == [third.pk, second.pk]
    assert listed(admin, "?kind=run") == [third.pk]
    for project in (run.project, run.project_slug, run.project_id):
        assert listed(admin, f"?project={project}") == [third.pk]
    assert listed(admin, f"?channel={ops.pk}&state=sent") == [first.pk]
    assert "No matches." in read(admin, f"{LIST}?channel={other.pk}&state=sent")
    page = read(admin, f"{LIST}?channel={ops.pk}&state=failed&kind=run")
    assert re.findall(r'<option value="([^"]+)"\s+selected', page) == [str(ops.pk), "failed", "run"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("channel=999", "channel: invalid value '999'."),
        ("state=bored", "state: invalid value 'bored'."),
        ("kind=<script>", "kind: invalid value '<script>'."),
        ("project=a%00b", "project: invalid value"),
        ("before=yesterday", "before: invalid value 'yesterday'."),
        (f"after={2**63}", "after: invalid value"),
        ("sort=state", "Unknown parameter 'sort'; use one of: channel, state, kind, project, before, after."),
    ],
)
def test_an_invalid_filter_is_explained(admin, query, expected):
    page = read(admin, f"{LIST}?{query}", status=400)
    assert expected in unescape(page)
    assert "<script>'" not in page


def test_an_empty_list_says_so(admin):
    assert "No notifications yet." in read(admin, LIST)


def links_of(page):
    return {rel: unescape(url) for rel, url in re.findall(r'rel="(prev|next)"\s+href="([^"]+)"', page)}


@pytest.mark.parametrize("query", ["", "state=sent&"])
def test_the_list_is_paged_both_ways(admin, monkeypatch, query):
    monkeypatch.setattr(notification_list, "PAGE_SIZE", 3)
    channel = make_channel()
    keys = [add(channel, state="sent").pk for _ in range(7)][::-1]
    url, seen = f"?{query}", []
    for _ in range(3):
        seen.append(listed(admin, url))
        links = links_of(read(admin, LIST + url))
        url = links.get("next")
    assert seen == [keys[:3], keys[3:6], keys[6:]]
    assert url is None
    back = links["prev"]
    assert listed(admin, back) == keys[3:6]
    links = links_of(read(admin, LIST + back))
    assert listed(admin, links["prev"]) == keys[:3]
    assert listed(admin, links["next"]) == keys[6:]
    assert "prev" not in links_of(read(admin, LIST + links["prev"]))


def test_a_filter_that_matches_nothing_scans_few_rows_for_each_page(admin, monkeypatch):
    monkeypatch.setattr(pages, "MAX_SCANNED", 4)
    channel = make_channel()
    rare = add(channel, state="failed")
    for _ in range(9):
        add(channel, state="sent")
    url, steps = "?state=failed", 0
    while not (found := listed(admin, url)):
        assert "No matches among" in read(admin, LIST + url)
        url, steps = links_of(read(admin, LIST + url))["next"], steps + 1
    assert (found, steps) == ([rare.pk], 2)


@pytest.fixture
def many():
    """A table that is long for a test."""
    channels = [make_channel(f"channel {number}") for number in range(2)]
    Notification.objects.bulk_create(
        Notification(
            channel=channels[0],
            kind="broke",
            key=str(number),
            state="sent",
            sent_at=NOW,
            expires_at=NOW,
            event_id=number,
        )
        for number in range(8_000)
    )
    analyze()
    return channels


@pytest.mark.parametrize(
    "query", ["", "before={middle}", "after={middle}", "channel={channel}&state=failed", "project=orchard", "kind=run"]
)
def test_the_cost_of_the_list_does_not_grow_with_the_table(admin, monkeypatch, many, query):
    monkeypatch.setattr(pages, "MAX_SCANNED", 200)
    middle = Notification.objects.order_by("pk")[4_000].pk
    with CaptureQueriesContext(connection) as captured:
        read(admin, f"{LIST}?{query.format(middle=middle, channel=many[0].pk)}")
    statements = [each["sql"] for each in captured if 'FROM "logs_notification"' in each["sql"]]
    assert statements
    for sql in statements:
        plan = [line for line in plan_of(sql).splitlines() if "logs_notification" in line or "TEMP" in line]
        if connection.vendor == "sqlite":
            # In the order of the primary key: from a position on, or from the end until a page is full.
            assert not any("TEMP B-TREE" in line for line in plan), plan
            reads = [line for line in plan if re.match(r"(SCAN|SEARCH) logs_notification\b", line)]
            assert all("USING INTEGER PRIMARY KEY" in line or line == "SCAN logs_notification" for line in reads), plan
            assert all("LIMIT" in sql or "USING INTEGER PRIMARY KEY" in line for line in reads), plan
        else:
            assert not any("Seq Scan on logs_notification " in line for line in plan), plan
            assert any("logs_notification_pkey" in line for line in plan), plan


def test_each_page_takes_the_same_queries_for_any_number_of_rows(admin):
    channel = make_channel()
    rule = Rule.objects.create(name="all")
    digest = add(channel, "digest", state="sent", content=content("7 changes"), rule=rule)
    counts = []
    for number in range(2):
        for index in range(1 + 25 * number):
            change = add_change(100 * number + index)
            row = add(make_channel(f"{number} {index}"), change=change, event=change.event, state="sent", rule=rule)
            add(channel, merged_into=digest, state="merged", change=change)
            add(make_channel(f"waits {number} {index}"), change=change)
            for each in (digest, row):
                NotificationAttempt.objects.create(notification=each, started_at=NOW, ended_at=NOW)
        for url in (LIST, f"{LIST}?state=sent", page_of(digest), page_of(row)):
            with CaptureQueriesContext(connection) as captured:
                read(admin, url)
            counts.append(len(captured))
    assert counts[:4] == counts[4:]
    # Session, user, two of the permissions, and those of the page.
    assert counts[:4] == [4 + each for each in (2, 3, 4, 4)]


# The page.


def test_the_page_shows_the_message_as_it_was_sent(admin):
    channel, change = make_channel(), add_change()
    rule = Rule.objects.create(name="all")
    row = add(
        channel,
        change=change,
        event=change.event,
        rule=rule,
        state="sent",
        sent_at=NOW,
        last_status=200,
        content=content(),
    )
    NotificationAttempt.objects.create(notification=row, started_at=NOW - HOUR, ended_at=NOW, status=503, error="busy")
    page = read(admin, page_of(row))
    text = words(page)
    assert "broke: orchard · build on main ✓ sent" in text
    assert "build broke on main Author Ada Open in CircleCI https://circleci.test/7" in text
    assert 'href="https://circleci.test' not in page
    assert "2026-05-04 09:00:00 UTC 2026-05-04 10:00:00 UTC 503 busy" in text
    assert "Last response 200" in text
    for name, key in (("channel", channel.pk), ("rule", rule.pk), ("workflowevent", change.event_id)):
        assert f'href="{reverse(f"admin:logs_{name}_change", args=[key])}"' in page


@pytest.mark.parametrize(
    ("role", "values", "offered"),
    [
        ("operator", {"state": "failed"}, True),
        ("viewer", {"state": "failed"}, False),
        ("operator", {"state": "waiting"}, False),
        ("operator", {"state": "failed", "kind": "test"}, False),
    ],
)
def test_the_channel_is_to_be_enabled_before_a_message_is_sent_again(as_role, role, values, offered):
    client, channel = as_role(role), make_channel(enabled=False)
    url = page_of(add(channel, **values))
    page = read(client, url)
    assert ("Enable the channel ops to send the message again." in words(page)) == offered
    assert "Send message again" not in page
    assert (f'href="{reverse("admin:logs_channel_change", args=[channel.pk])}"' in page) == (role == "operator")
    channel.enable()
    page = read(client, url)
    assert "Enable the channel" not in page
    assert ("Send message again" in page) == offered


@pytest.mark.parametrize(("state", "text"), [("waiting", "No attempts yet."), ("failed", "No attempts are stored.")])
def test_the_page_says_if_there_are_no_attempts(admin, state, text):
    page = words(read(admin, page_of(add(make_channel(), state=state))))
    assert f"Attempts {text}" in page


def test_links_need_permission(as_role):
    channel, change = make_channel(), add_change()
    rule = Rule.objects.create(name="all")
    page = read(as_role("viewer"), page_of(add(channel, change=change, event=change.event, rule=rule)))
    assert "orchard · build on main" in page
    for name, key in (("channel", channel.pk), ("rule", rule.pk), ("workflowevent", change.event_id)):
        assert reverse(f"admin:logs_{name}_change", args=[key]) not in page


def test_a_digest_and_its_parts_link_to_each_other(admin):
    channel = make_channel()
    digest = add(channel, "digest", state="sent", content=content("2 changes"))
    parts = [add(channel, state="merged", merged_into=digest, content=content(f"part {number}")) for number in (1, 2)]
    page = read(admin, page_of(digest))
    for number, part in enumerate(parts, 1):
        assert f'href="{page_of(part)}"' in page
        assert f"part {number}" in page
        assert f'href="{page_of(digest)}"' in read(admin, page_of(part))


def test_a_rule_that_was_deleted_and_content_that_is_missing_are_no_error(admin):
    row = add(make_channel(), rule_id=999, change_id=999, event_id=999, alarm_id=999)
    page = read(admin, page_of(row))
    assert "The message is composed before the first attempt." in page
    assert "No attempts yet." in page


def test_hostile_text_is_escaped(admin, admin_client):
    channel, change = make_channel(MARKUP), add_change(project=MARKUP, workflow=MARKUP, branch=MARKUP)
    hostile = content(MARKUP, facts=[[MARKUP, MARKUP]], links=[[MARKUP, f"https://{MARKUP}"]])
    row = add(channel, change=change, event=change.event, content=hostile, state="failed", last_error=MARKUP)
    NotificationAttempt.objects.create(notification=row, started_at=NOW, ended_at=NOW, error=MARKUP)
    admin.post(url_of("again", row))
    for url in (LIST, page_of(row), url_of("history", row)):
        page = read(admin_client, url)
        assert "<script>hacked" not in page, url
    assert "&lt;script&gt;hacked" in read(admin_client, LIST)
