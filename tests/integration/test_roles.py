"""The groups that a migration makes: what each may do, and that a site's own changes to them stay."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs import permissions
from logs.admin import log_entries
from logs.models import Delivery
from logs.permissions import (
    MUTE_SOURCES,
    PRUNE,
    REPLAY,
    RESEND,
    TEST_CHANNELS,
    TRY_SECRETS,
    VIEW_ALARMS,
    VIEW_BODIES,
    VIEW_CHANNELS,
    VIEW_DELIVERIES,
    VIEW_EVENTS,
    VIEW_FEEDS,
    VIEW_NOTIFICATIONS,
    VIEW_RULES,
    VIEW_SOURCES,
)

pytestmark = pytest.mark.django_db

LOG = reverse("admin:admin_logentry_changelist")
NAMES = ["administrators", "operators", "viewers"]
VIEWERS_OF_RULES = {VIEW_RULES, VIEW_NOTIFICATIONS, VIEW_ALARMS, VIEW_SOURCES}
VIEWERS = {VIEW_EVENTS, VIEW_DELIVERIES, VIEW_CHANNELS, VIEW_FEEDS, *VIEWERS_OF_RULES}
TOKENS = {f"logs.{action}_apitoken" for action in ("view", "add", "delete")}
FEEDS = {f"logs.{action}_feed" for action in ("view", "add", "delete")}
ACTIONS = {VIEW_BODIES, REPLAY, PRUNE, TEST_CHANNELS, RESEND, MUTE_SOURCES, TRY_SECRETS}
EXTENSIONS = ["0014_channel_groups", "0016_first_rule", "0026_feed_groups"]


def migrate():
    """Run the migrations' functions as migrating does."""
    for name, function in (("0006_groups", "add_groups"), *((name, "extend_groups") for name in EXTENSIONS)):
        apps = MigrationExecutor(connection).loader.project_state(("logs", name)).apps
        getattr(import_module(f"logs.migrations.{name}"), function)(apps, SimpleNamespace(connection=connection))
    ContentType.objects.clear_cache()


@pytest.fixture
def groups():
    """The groups and their permissions, created as on a new site: models that come later have no permissions yet."""
    Group.objects.all().delete()
    Permission.objects.all().delete()
    migrate()


@pytest.fixture
def member_of(groups, client_of):
    """Make a client of a member of staff who is in a group."""

    def make(name):
        user = get_user_model().objects.create_user(name, is_staff=True)
        user.groups.add(Group.objects.get(name=name))
        return client_of(user)

    return make


def permissions_of(name):
    granted = Group.objects.get(name=name).permissions.select_related("content_type")
    return {f"{each.content_type.app_label}.{each.codename}" for each in granted}


def test_viewers_view(groups):
    assert permissions_of("viewers") == VIEWERS


def test_operators_act_and_handle_tokens(groups):
    assert permissions_of("operators") == VIEWERS | ACTIONS | TOKENS


def test_administrators_do_all_that_the_application_asks_for_and_handle_accounts(groups):
    asked = {value for name, value in vars(permissions).items() if name.isupper() and isinstance(value, str)}
    accounts = {f"auth.{action}_{row}" for action in ("view", "add", "change", "delete") for row in ("user", "group")}
    assert permissions_of("administrators") >= asked | TOKENS | FEEDS | accounts | {"admin.view_logentry"}
    assert permissions_of("operators") < permissions_of("administrators")


def test_makes_the_permissions_that_it_needs(groups):
    assert Permission.objects.get(codename="view_workflowevent").name == "Can view event"


def test_what_a_site_has_changed_stays(groups):
    Group.objects.get(name="operators").permissions.clear()
    Group.objects.get(name="viewers").delete()
    migrate()
    assert permissions_of("operators") == {
        VIEW_CHANNELS,
        VIEW_FEEDS,
        TEST_CHANNELS,
        *VIEWERS_OF_RULES,
        RESEND,
        MUTE_SOURCES,
        TRY_SECRETS,
    }
    assert permissions_of("viewers") == VIEWERS
    assert sorted(Group.objects.values_list("name", flat=True)) == NAMES


@pytest.mark.parametrize("name", EXTENSIONS)
def test_a_group_that_a_site_has_deleted_is_not_made_again(groups, name):
    Group.objects.all().delete()
    apps = MigrationExecutor(connection).loader.project_state(("logs", name)).apps
    import_module(f"logs.migrations.{name}").extend_groups(apps, SimpleNamespace(connection=connection))
    assert not Group.objects.exists()


def test_migrating_twice_changes_nothing(groups):
    before = {name: permissions_of(name) for name in NAMES}
    migrate()
    assert {name: permissions_of(name) for name in NAMES} == before


# fmt: off
OPENS = [  # replay, prune, bodies, users, the log
    ("viewers",        [403, 403, 403, 403, 403]),
    ("operators",      [200, 200, 200, 403, 403]),
    ("administrators", [200, 200, 200, 200, 200]),
]
# fmt: on


@pytest.mark.parametrize(("name", "expected"), OPENS)
def test_each_group_opens_its_pages(member_of, deliver, workflow_document, name, expected):
    deliver(workflow_document())
    key = Delivery.objects.get().pk
    client = member_of(name)
    assert client.get(reverse("admin:logs_delivery_change", args=[key])).status_code == 200
    pages = [
        f"{reverse('admin:logs_delivery_replay')}?ids={key}",
        reverse("admin:logs_delivery_prune"),
        reverse("admin:logs_delivery_body", args=[key]),
        reverse("admin:auth_user_changelist"),
        LOG,
    ]
    assert [client.get(url).status_code for url in pages] == expected


# The audit log.


@pytest.fixture
def entries(admin_user, deliver, workflow_document):
    """Make so many entries of the audit log."""
    deliver(workflow_document())
    kind, key = ContentType.objects.get_for_model(Delivery), Delivery.objects.get().pk

    def make(count):
        LogEntry.objects.bulk_create(
            LogEntry(
                user=admin_user,
                content_type=kind,
                object_id=key,
                object_repr=f"<b>row {number}",
                action_flag=CHANGE,
                change_message=f"Replayed. Reason: <script>{number}",
            )
            for number in range(count)
        )

    return make


def test_the_log_tells_who_did_what_and_why_the_newest_first(admin_client, entries):
    entries(3)
    page = admin_client.get(LOG).content.decode()
    places = [page.index(f"Reason: &lt;script&gt;{number}") for number in (2, 1, 0)]
    assert places == sorted(places)
    assert f'href="{reverse("admin:logs_delivery_change", args=[Delivery.objects.get().pk])}"' in page
    assert "<b>row" not in page
    assert "<script>2" not in page


def test_the_log_counts_no_further_than_it_shows(admin_client, entries, monkeypatch):
    monkeypatch.setattr(log_entries, "MAX_LISTED", 150)
    entries(200)
    with CaptureQueriesContext(connection) as captured:
        page = admin_client.get(f"{LOG}?p=2").content.decode()
    assert "150 audit log entries" in page
    counts = [query["sql"] for query in captured.captured_queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 150" in sql for sql in counts)


def test_the_log_costs_the_same_however_long_it_is(admin_client, entries):
    entries(1)
    with CaptureQueriesContext(connection) as one:
        admin_client.get(LOG)
    entries(80)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(LOG)
    assert len(one) == len(many)


@pytest.mark.parametrize("query", ["o=1", "user__password__startswith=a", "action_time__year=2026"])
def test_the_log_is_neither_sorted_nor_filtered_by_what_has_no_index(admin_client, entries, query):
    entries(1)
    assert admin_client.get(f"{LOG}?{query}").status_code in (200, 400)
    assert "sortable" not in admin_client.get(LOG).content.decode()


def test_nobody_changes_the_log(admin_client, entries):
    entries(1)
    key = LogEntry.objects.get().pk
    for action, args in (("add", []), ("change", [key]), ("delete", [key])):
        url = reverse(f"admin:admin_logentry_{action}", args=args)
        assert admin_client.post(url, {"change_message": "nothing", "post": "yes"}).status_code == 403
    assert LogEntry.objects.get().change_message.startswith("Replayed")


def test_whoever_lacks_a_permission_is_told_so_on_a_page_with_a_way_out(client):
    client.force_login(get_user_model().objects.create_user("nobody", is_staff=True))
    answer = client.get(reverse("admin:logs_delivery_replay"))
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "The account <b>nobody</b> does not have permission" in page
    assert f'href="{reverse("admin:index")}"' in page
