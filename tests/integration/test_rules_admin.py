"""Rules in the admin: who may do what, what the form accepts, and that a trial writes nothing."""

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

from logs.admin.rules import settings as rule_settings
from logs.models import AlarmKind, Channel, Notification, NotificationKind, Rule
from logs.notifications.trying import Trial, WouldSend
from tests.plans import analyze, plan_of

pytestmark = pytest.mark.django_db

LIST, ADD = reverse("admin:logs_rule_changelist"), reverse("admin:logs_rule_add")
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MARKUP = "<script>hacked</script>\"'&\u202e"
ROLES = {
    "nobody": [],
    "viewer": ["view_rule"],
    "operator": ["view_rule", "view_channel", "test_channel", "view_notification", "resend_notification"],
    "administrator": [
        "view_workflowevent",
        "view_rule",
        "add_rule",
        "change_rule",
        "delete_rule",
        "view_channel",
        "add_channel",
    ],
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
def admin(as_role):
    """A client of an administrator."""
    return as_role("administrator")


@pytest.fixture
def tried(monkeypatch):
    """Record what is tried; each trial finds what a test puts into `messages`."""

    class Tried(list):
        messages = ()

        def __call__(self, rule, channels, *, now):
            self.append((rule, channels, now))
            return Trial(messages=list(self.messages), runs=18_211, since=NOW - 7 * 24 * HOUR)

    tried = Tried()
    monkeypatch.setattr(rule_settings, "try_rule", tried)
    return tried


def make_channel(name="ops", **values):
    return Channel.objects.create(**{"name": name, "kind": "slack"} | values)


def make_rule(name="Default branches", *channels, **values):
    rule = Rule.objects.create(name=name, **values)
    rule.channels.set(channels)
    return rule


def page_of(rule):
    return reverse("admin:logs_rule_change", args=[rule.pk])


def url_of(action, rule):
    return reverse(f"admin:logs_rule_{action}", args=[rule.pk])


def values_of(channel, **values):
    """Return what a browser sends for a rule about changes; None leaves a field out."""
    sent = {"name": "deploys", "subject": "changes", "on_broke": "on", "on_fixed": "on", "after_failures": "1"}
    sent |= {"channels": [channel.pk]} | values
    return {name: value for name, value in sent.items() if value is not None}


def read(client, url, status=200):
    answer = client.get(url)
    assert answer.status_code == status, url
    return answer.content.decode()


def words(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def errors_of(answer):
    assert answer.status_code == 200
    lists = re.findall(r'<ul class="errorlist[^>]*>(.*?)</ul>', answer.content.decode(), re.DOTALL)
    return [words(each) for each in lists]


def audit_log():
    return list(LogEntry.objects.order_by("pk").values_list("user__username", "change_message"))


# Permissions.

# fmt: off
OPENS = [  # list, page, history, add, settings, delete
    ("nobody",        [403, 403, 403, 403, 403, 403]),
    ("viewer",        [200, 200, 200, 403, 403, 403]),
    ("operator",      [200, 200, 200, 403, 403, 403]),
    ("administrator", [200, 200, 200, 200, 200, 200]),
]
ACTS = [  # add, settings, disable, enable, delete
    ("nobody",        [403, 403, 403, 403, 403]),
    ("viewer",        [403, 403, 403, 403, 403]),
    ("operator",      [403, 403, 403, 403, 403]),
    ("administrator", [302, 302, 302, 302, 302]),
]
# fmt: on


@pytest.mark.parametrize(("role", "expected"), OPENS)
def test_each_role_opens_its_pages(as_role, role, expected):
    rule = make_rule()
    urls = [LIST, page_of(rule), url_of("history", rule), ADD, url_of("settings", rule), url_of("delete", rule)]
    client = as_role(role)
    assert [client.get(url).status_code for url in urls] == expected


@pytest.mark.parametrize(("role", "expected"), ACTS)
def test_each_role_has_its_actions(as_role, role, expected):
    channel, client = make_channel(), as_role(role)
    rule = make_rule("a rule", channel)
    answers = [
        client.post(ADD, values_of(channel)),
        client.post(url_of("settings", rule), values_of(channel, name="other name")),
        client.post(url_of("disable", rule)),
        client.post(url_of("enable", rule)),
        client.post(url_of("delete", rule), {"post": "yes"}),
    ]
    assert [answer.status_code for answer in answers] == expected
    assert set(Rule.objects.values_list("name", flat=True)) == ({"deploys"} if 302 in expected else {"a rule"})


@pytest.mark.parametrize("role", ["viewer", "administrator"])
def test_pages_offer_what_their_reader_may_do(as_role, role):
    rule, client = make_rule(), as_role(role)
    pages = read(client, LIST) + read(client, page_of(rule))
    for text in ("Add rule", "Report alarms", "Edit or try rule", "Disable rule", "Delete rule"):
        assert (text in pages) == (role == "administrator"), text


def test_permission_to_change_without_permission_to_view_is_not_enough(staff_with):
    rule, client = make_rule(), staff_with("add_rule", "delete_rule")
    for url in (ADD, url_of("settings", rule), url_of("disable", rule)):
        assert client.post(url).status_code == 403
    assert Rule.objects.get().enabled


def test_a_get_changes_nothing_and_a_post_needs_a_csrf_token(admin):
    rule = make_rule()
    assert admin.get(url_of("disable", rule)).headers["Location"] == page_of(rule)
    client = Client(enforce_csrf_checks=True)
    client.force_login(get_user_model().objects.get())
    for url in (ADD, url_of("settings", rule), url_of("disable", rule), url_of("delete", rule)):
        assert client.post(url).status_code == 403
    assert Rule.objects.get().enabled
    assert audit_log() == []


def test_an_unknown_rule_leads_home(admin):
    for name in ("change", "settings", "enable"):
        assert admin.get(reverse(f"admin:logs_rule_{name}", args=[999]), follow=True).status_code == 200


# The list and the page.


def test_the_list_shows_each_rule(admin):
    ops, old = make_channel(), make_channel("old chat", enabled=False)
    first = make_rule("all", ops, old, projects="github/acme/*\n!github/acme/legacy", branches="<default>")
    make_rule("deploys", enabled=False, subject="runs", statuses=["failed", "error"], workflows="deploy")
    for minutes in (5, 3):
        sent_at = NOW - timedelta(minutes=minutes)
        Notification.objects.create(
            channel=ops, rule=first, key=str(minutes), kind="broke", state="sent", sent_at=sent_at, expires_at=NOW
        )
    page = words(read(admin, LIST))
    assert (
        "all ✓ enabled Workflows that break or are fixed in github/acme/* except github/acme/legacy "
        "on the default branch → old chat (disabled) → ops Last message 2026-05-04 09:57:00 UTC" in page
    )
    assert (
        "deploys ■ disabled Each run with the status failed or error of workflow deploy no channel Last message never"
        in page
    )


@pytest.mark.parametrize(
    ("enabled", "channels", "state"),
    [
        (True, {"old chat": False}, "⚠ reaches no channel"),
        (True, {}, "⚠ reaches no channel"),
        (True, {"old chat": False, "ops": True}, "✓ enabled"),
        (False, {"old chat": False}, "■ disabled"),
    ],
)
def test_an_enabled_rule_needs_an_enabled_channel(admin, enabled, channels, state):
    rule = make_rule("all", *(make_channel(name, enabled=on) for name, on in channels.items()), enabled=enabled)
    assert f"all {state} Workflows" in words(read(admin, LIST))
    assert f"State {state} Last message" in words(read(admin, page_of(rule)))


def test_an_empty_list_offers_the_default_rule(admin, as_role):
    page = read(admin, LIST)
    assert "No rules yet" in page
    for query in ("?default=1", "?log=1", ""):
        assert f'href="{ADD}{query}"' in page
    assert f'href="{ADD}' not in read(as_role("viewer"), LIST)


def test_the_rule_for_the_log_is_offered_until_there_is_one(admin):
    make_rule()
    assert f'href="{ADD}?log=1"' in read(admin, LIST)
    make_rule("log", subject="log", alarms=AlarmKind.values)
    page = read(admin, LIST)
    assert f'href="{ADD}?log=1"' not in page
    assert "All alarms" in page


def test_the_page_shows_the_rule(admin):
    rule = make_rule("all", make_channel(), authors="Ada\n!Bot", tags="v*", after_failures=3, remind_every_hours=24)
    page = words(read(admin, page_of(rule)))
    assert (
        "Workflows that break or are fixed by Ada except Bot after 3 failures with a reminder every 24 h "
        "Authors Ada !Bot After 3 failed runs Reminder every 24 h Channels ops" in page
    )
    assert "v*" not in page  # Changes have no tags.


@pytest.mark.parametrize(("values", "is_warned"), [({}, False), ({"enabled": False}, True)])
def test_the_page_warns_if_nothing_is_sent(admin, values, is_warned):
    page = read(admin, page_of(make_rule("all", make_channel(**values))))
    assert ("Nothing is sent: the rule has no enabled channel." in page) == is_warned


def test_each_page_takes_the_same_queries_for_any_number_of_rows(admin, tried):
    channel = make_channel()
    rule = make_rule("a", channel)
    counts = []
    for number in range(2):
        for index in range(25 * number):
            make_rule(f"{number} {index}", make_channel(f"{number} {index}"), channel)
        rule.channels.set(Channel.objects.all())
        for url in (LIST, page_of(rule), ADD, f"{ADD}?default=1", url_of("settings", rule), url_of("delete", rule)):
            with CaptureQueriesContext(connection) as captured:
                read(admin, url)
            counts.append(len(captured))
    assert counts[:6] == counts[6:]
    # Session, user, two of the permissions, and those of the page.
    assert counts[:6] == [4 + each for each in (2, 2, 1, 3, 3, 1)]


def test_the_time_of_the_last_message_is_read_from_an_index(admin):
    channel = make_channel()
    rules = [make_rule(f"rule {number}", channel) for number in range(20)]
    Notification.objects.bulk_create(
        Notification(channel=channel, rule=rules[number % 20], kind="broke", key=number, sent_at=NOW, expires_at=NOW)
        for number in range(2_000)
    )
    analyze()
    with CaptureQueriesContext(connection) as captured:
        read(admin, LIST)
    [sql] = [query["sql"] for query in captured if "logs_notification" in query["sql"]]
    assert "notification_rule" in plan_of(sql)


# Adding and changing.


def test_a_rule_is_added(admin):
    channel = make_channel()
    sent = values_of(channel, projects="github/acme/*\r\n!github/acme/x", remind_every_hours="24", after_failures="3")
    answer = admin.post(ADD, sent, follow=True)
    rule = Rule.objects.get()
    assert answer.redirect_chain == [(page_of(rule), 302)]
    assert (rule.name, rule.subject, rule.on_broke, rule.on_fixed) == ("deploys", "changes", True, True)
    assert rule.projects.splitlines() == ["github/acme/*", "!github/acme/x"]
    assert (rule.after_failures, rule.remind_every_hours, rule.enabled) == (3, 24, True)
    assert list(rule.channels.all()) == [channel]
    assert rule.created_by.username == rule.changed_by.username == "administrator"
    assert rule.created_at == rule.changed_at == NOW
    assert audit_log() == [("administrator", "Added.")]


def test_a_rule_is_changed(admin, clock):
    channel, other = make_channel(), make_channel("other")
    rule = make_rule("deploys", channel)
    clock.shift(HOUR)
    answer = admin.post(url_of("settings", rule), values_of(channel, branches="main", channels=[other.pk]))
    assert answer.headers["Location"] == page_of(rule)
    rule.refresh_from_db()
    assert (rule.branches, list(rule.channels.all())) == ("main", [other])
    assert (rule.created_at, rule.changed_at, rule.changed_by.username) == (NOW, NOW + HOUR, "administrator")
    assert audit_log() == [("administrator", "Changed: Branches, Channels.")]


def test_saving_without_a_change_records_nothing(admin):
    channel = make_channel()
    rule = make_rule("deploys", channel)
    before = Rule.objects.values().get()
    assert admin.post(url_of("settings", rule), values_of(channel)).status_code == 302
    assert Rule.objects.values().get() == before
    assert audit_log() == []


# fmt: off
IGNORED = [
    ({"subject": "log", "alarms": ["silence"], "on_broke": None, "on_fixed": None, "after_failures": "0",
      "branches": "!", "remind_every_hours": "9999", "statuses": ["none"]},
     {"alarms": ["silence"], "on_broke": True, "after_failures": 1, "branches": "", "remind_every_hours": None}),
    ({"subject": "runs", "statuses": ["failed"], "tags": "v*", "on_broke": None, "on_fixed": None,
      "after_failures": "", "alarms": ["silence"]},
     {"statuses": ["failed"], "tags": "v*", "on_broke": True, "after_failures": 1, "alarms": []}),
    ({"subject": "jobs", "after_failures": "5"},          {"subject": "jobs", "after_failures": 1}),
    ({"tags": "v*", "statuses": ["failed"], "alarms": ["silence"]}, {"tags": "", "statuses": [], "alarms": []}),
]
# fmt: on


@pytest.mark.parametrize(("sent", "stored"), IGNORED)
def test_settings_that_do_not_matter_for_the_subject_are_ignored(admin, sent, stored):
    channel = make_channel()
    answer = admin.post(ADD, values_of(channel, **sent))
    assert answer.status_code == 302, errors_of(answer)
    rule = Rule.objects.get()
    assert {name: getattr(rule, name) for name in stored} == stored


# fmt: off
INVALID = [
    ({"name": ""},                                          "This field is required."),
    ({"name": "taken"},                                     "Rule with this Name already exists."),
    ({"subject": "nothing"},                                "Select a valid choice."),
    ({"on_broke": None, "on_fixed": None},                  "Select at least one: workflows that break, or"),
    ({"subject": "log"},                                    "Select at least one alarm."),
    ({"subject": "log", "alarms": ["boredom"]},             "Select a valid choice."),
    ({"subject": "runs", "statuses": ["bored"]},            "Select a valid choice."),
    ({"channels": []},                                      "Select at least one channel."),
    ({"channels": [999]},                                   "Select a valid choice."),
    ({"projects": "!"},                                     "Invalid pattern “!”"),
    ({"workflows": "build\n! "},                            "Invalid pattern “!”"),
    ({"branches": "main !dev"},                             "Invalid pattern “main !dev”"),
    ({"authors": "!!Bot"},                                  "Invalid pattern “!!Bot”"),
    ({"branches": "x" * 4_001},                             "at most 4000 characters"),
    ({"branches": "a\x00b"},                                "Null characters"),
    ({"after_failures": "0"},                               "greater than or equal to 1"),
    ({"after_failures": "21"},                              "less than or equal to 20"),
    ({"remind_every_hours": "0"},                           "greater than or equal to 1"),
    ({"remind_every_hours": "721"},                         "less than or equal to 720"),
]
# fmt: on


@pytest.mark.parametrize("button", [{}, {"try": "yes"}])
@pytest.mark.parametrize(("values", "expected"), INVALID)
def test_invalid_settings_are_explained(admin, tried, values, expected, button):
    make_rule("taken")
    answer = admin.post(ADD, values_of(make_channel(), **values) | button)
    [error] = errors_of(answer)
    assert expected in error
    assert Rule.objects.count() == 1
    assert tried == []
    assert audit_log() == []


@pytest.mark.parametrize("patterns", ["!dev", "a!b", "!<default>", "release/[!x]*\n\n !hotfix/*", "Deploy!"])
def test_patterns_may_contain_exclamation_marks(admin, patterns):
    assert admin.post(ADD, values_of(make_channel(), branches=patterns)).status_code == 302


def test_an_impossible_channel_is_an_invalid_choice(admin):
    channel = make_channel()
    rule = make_rule("old", channel)
    for url in (ADD, url_of("settings", rule)):
        for key in ("9999999999999999999", "x", "7777"):
            (error,) = errors_of(admin.post(url, values_of(channel, channels=[key])))
            assert key in error
            assert "not" in error


@pytest.mark.parametrize("subject", ["runs", "jobs"])
def test_runs_and_jobs_are_not_sent_to_channels_that_track_incidents(admin, subject):
    channel = make_channel("on-call", kind="pagerduty")
    [error] = errors_of(admin.post(ADD, values_of(channel, subject=subject)))
    assert error == "on-call cannot get runs or jobs: nothing would resolve the incident or ticket that each one opens."
    assert admin.post(ADD, values_of(channel)).status_code == 302


# The rules that pages offer.


def checked(page, name):
    return re.findall(rf'name="{name}" value="([^"]+)"[^>]* checked', page)


def test_the_default_rule_is_prefilled_for_one_channel_or_all_enabled_ones(admin):
    ops, other = make_channel(), make_channel("other")
    make_channel("old", enabled=False)
    page = read(admin, f"{ADD}?default=1&channel={ops.pk}")
    assert 'value="Default branches"' in page
    assert "&lt;default&gt;</textarea>" in page
    assert checked(page, "subject") == ["changes"]
    assert checked(page, "channels") == [str(ops.pk)]
    assert len(re.findall(r'name="on_(?:broke|fixed)"[^>]* checked', page)) == 2
    assert checked(read(admin, f"{ADD}?default=1"), "channels") == [str(ops.pk), str(other.pk)]
    assert checked(read(admin, f"{ADD}?default=1&channel=x"), "channels") == [str(ops.pk), str(other.pk)]
    assert checked(read(admin, ADD), "channels") == []


def test_the_offered_name_is_not_taken(admin):
    for name in ("Default branches", "Default branches 2"):
        make_rule(name)
    assert 'value="Default branches 3"' in read(admin, f"{ADD}?default=1")


def test_the_rule_for_the_log_is_prefilled(admin):
    channel = make_channel()
    page = read(admin, f"{ADD}?log=1")
    assert checked(page, "subject") == ["log"]
    assert checked(page, "alarms") == AlarmKind.values
    assert checked(page, "channels") == [str(channel.pk)]


def test_without_channels_the_form_offers_to_add_one(admin):
    page = read(admin, f"{ADD}?default=1")
    assert "No channels yet." in page
    assert reverse("admin:logs_channel_add") in page


# Actions.


def test_a_rule_is_disabled_and_enabled(admin, clock):
    rule = make_rule()
    clock.shift(HOUR)
    assert "Disabled." in admin.post(url_of("disable", rule), follow=True).content.decode()
    rule.refresh_from_db()
    assert (rule.enabled, rule.changed_by.username, rule.changed_at) == (False, "administrator", NOW + HOUR)
    admin.post(url_of("disable", rule))  # Again: nothing changes.
    admin.post(url_of("enable", rule))
    assert Rule.objects.get().enabled
    assert audit_log() == [("administrator", "Disabled."), ("administrator", "Enabled.")]


def test_a_rule_is_deleted_after_a_confirmation_and_its_messages_stay(admin):
    channel = make_channel()
    rule = make_rule("all", channel)
    Notification.objects.create(channel=channel, rule=rule, key="1", kind="broke", expires_at=NOW)
    page = words(read(admin, url_of("delete", rule)))
    assert "Delete rule all ? This cannot be undone." in page
    assert "also deletes" not in page
    assert admin.post(url_of("delete", rule), {"post": "yes"}).headers["Location"] == LIST
    assert not Rule.objects.exists()
    assert Notification.objects.get().rule_id == rule.pk
    [entry] = LogEntry.objects.all()
    assert (entry.is_deletion(), entry.object_repr) == (True, "all")


# Trying.


def would_send(kind="broke", number=1, **values):
    defaults = {"project": "acme/orchard", "workflow": "build", "branch": "main", "revision": "1a2b3c4d5e6f"}
    defaults |= {"author": "Ada", "happened_at": NOW - number * HOUR, "event_id": number, "channels": ["ops"]}
    return WouldSend(kind=kind, pipeline_number=number, **defaults | values)


def test_a_trial_shows_what_would_have_been_sent_and_writes_nothing(admin, tried):
    channel = make_channel()
    tried.messages = [would_send("fixed", 2, channels=["ops", "chat"]), would_send("broke", 1)]
    sent = values_of(channel, name="typed", branches="ma*", **{"try": "yes"})
    with CaptureQueriesContext(connection) as captured:
        page = admin.post(ADD, sent).content.decode()
    assert {query["sql"].split()[0] for query in captured} <= {"SELECT", "SAVEPOINT", "RELEASE"}
    text = words(page)
    assert "It would have sent 3 messages: 1 broke, 2 fixed (18,211 runs since 2026-04-27 10:00:00 UTC )" in text
    assert "2026-05-04 08:00:00 UTC acme/orchard · build is fixed on main #2 1a2b3c4 Ada → ops, chat" in text
    assert "2026-05-04 09:00:00 UTC acme/orchard · build broke on main #1 1a2b3c4 Ada → ops" in text
    assert 'value="typed"' in page
    assert "ma*</textarea>" in page
    [(rule, channels, now)] = tried
    assert (rule.pk, rule.branches, channels, now) == (None, "ma*", [channel], NOW)
    assert not Rule.objects.exists()
    assert audit_log() == []


def test_a_trial_of_a_rule_on_jobs_counts_jobs(admin, tried):
    tried.messages = []
    page = words(admin.post(ADD, values_of(make_channel(), subject="jobs", **{"try": "yes"})).content.decode())
    assert "(18,211 jobs since " in page


def test_the_rule_that_is_tried_is_not_saved(admin, tried):
    channel = make_channel()
    rule = make_rule("deploys", channel, branches="main")
    page = words(
        admin.post(url_of("settings", rule), values_of(channel, branches="dev", **{"try": "yes"})).content.decode()
    )
    assert "It would have sent no messages (18,211 runs" in page
    assert "Edit deploys" in page
    assert tried[0][0].branches == "dev"
    assert Rule.objects.get().branches == "main"


# fmt: off
HEADLINES = [
    ("reminder", {},                      "acme/orchard · build is still broken on main", "1 reminder"),
    ("run",      {},                      "acme/orchard · run of build on main",          "1 run"),
    ("job",      {"branch": ""},          "acme/orchard · job of build #1",               "1 job"),
    ("broke",    {"pipeline_number": 7},  "acme/orchard · build broke on main #7",        "1 broke"),
]
# fmt: on


@pytest.mark.parametrize(("kind", "values", "headline", "count"), HEADLINES)
def test_a_trial_names_each_kind(admin, tried, kind, values, headline, count):
    message = would_send(kind)
    tried.messages = [WouldSend(**{name: getattr(message, name) for name in WouldSend.__slots__} | values)]
    page = words(admin.post(ADD, values_of(make_channel(), **{"try": "yes"})).content.decode())
    assert headline in page
    assert f"It would have sent 1 message: {count} (" in page


def test_only_fifty_messages_of_a_trial_are_shown(admin, tried):
    tried.messages = [would_send(number=number) for number in range(1, 1_301)]
    page = admin.post(ADD, values_of(make_channel(), **{"try": "yes"})).content.decode()
    assert "#50" in words(page)
    assert "#51" not in words(page)
    assert "and 1,250 more" in page


def test_the_list_of_a_trial_needs_permission_to_view_events(admin, staff_with, tried):
    channel, tried.messages = make_channel(), [would_send(number=number) for number in range(1, 52)]
    link = reverse("admin:logs_workflowevent_change", args=[1])
    sent = values_of(channel, **{"try": "yes"})
    assert link in admin.post(ADD, sent).content.decode()
    others = [each for each in ROLES["administrator"] if each != "view_workflowevent"]
    page = staff_with(*others, username="other").post(ADD, sent).content.decode()
    assert "It would have sent 51 messages: 51 broke" in page
    for hidden in (link, "acme/orchard", "1a2b3c4", "Ada", "and 1 more"):
        assert hidden not in page


def test_problems_of_the_log_are_not_tried(admin, tried):
    sent = values_of(make_channel(), subject="log", alarms=["silence"], **{"try": "yes"})
    assert "A rule on the log itself cannot be tried." in admin.post(ADD, sent).content.decode()
    assert tried == []


def test_hostile_text_is_escaped(admin, admin_client, tried):
    channel = make_channel(MARKUP)
    tried.messages = [would_send(project=MARKUP, workflow=MARKUP, branch=MARKUP, author=MARKUP, revision="<b>")]
    assert admin.post(ADD, values_of(channel, name=MARKUP, branches=MARKUP)).status_code == 302
    rule = Rule.objects.get()
    pages = [read(admin_client, url) for url in (LIST, page_of(rule), url_of("settings", rule), url_of("delete", rule))]
    pages.append(admin.post(ADD, values_of(channel, projects=MARKUP, **{"try": "yes"})).content.decode())
    for page in pages:
        assert "<script>hacked" not in page
        assert "&lt;script&gt;hacked" in page


def test_every_kind_that_is_tried_has_a_word():
    kinds = set(NotificationKind) - {"alarm", "alarm_over", "digest", "test"}
    assert kinds == {"broke", "fixed", *(kind for kind, *_ in HEADLINES)}
