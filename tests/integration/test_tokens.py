"""What a bearer token opens, how it ends, and that it is shown only once."""

import re
import time
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from logs.models import ApiToken

pytestmark = pytest.mark.django_db

URL = "/fetch-webhooks-logs"
TOKENS = reverse("admin:logs_apitoken_changelist")
ADD = reverse("admin:logs_apitoken_add")
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    """The time, which stands still."""
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def user(user_with):
    """A user who may view events."""
    return user_with("view_workflowevent", username="grafana")


@pytest.fixture
def issue(user):
    """Make a token and return it with its key."""

    def make(lifetime=timedelta(days=90), **overrides):
        return ApiToken.issue(**({"user": user, "name": "Grafana", "lifetime": lifetime} | overrides))

    return make


@pytest.fixture
def ask(client):
    """Ask for the list with a token, or with another header."""

    def get(key="", header=None, path=URL):
        return client.get(path, headers={"authorization": f"Bearer {key}" if header is None else header})

    return get


def create_token(*arguments):
    """Run the command and return what it writes to stdout and to stderr."""
    out, err = StringIO(), StringIO()
    call_command("create_token", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def read(client, url, **kwargs):
    answer = client.get(url, **kwargs)
    assert answer.status_code == 200, url
    return answer.content.decode()


def assert_refused(answer, code):
    assert answer.status_code == 401, answer.content
    assert answer.json()["code"] == code
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


def test_a_token_opens_what_its_user_may_read_and_nothing_else(ask, issue):
    _, key = issue()
    assert ask(key).status_code == 200
    assert ask(header=f"bEARER   {key} ").status_code == 200
    refused = ask(key, path="/deliveries")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


def test_only_a_digest_is_kept(issue):
    token, key = issue()
    assert re.fullmatch("whl_[0-9a-f]{64}", key)
    row = ApiToken.objects.values().get()
    assert row["token_key"] == key[:15]
    assert key[15:] not in str(row)
    assert token.digest not in f"{token} {token!r}"


def test_refuses_a_token_that_differs_in_one_character(ask, issue):
    _, key = issue()
    last = "0" if key[-1] != "0" else "1"
    assert_refused(ask(key[:-1] + last), "invalid_token")
    assert_refused(ask(key.upper()), "invalid_token")
    assert_refused(ask(key[:15]), "invalid_token")


def test_the_digest_is_no_token(ask, issue):
    token, _ = issue()
    assert_refused(ask(token.digest), "invalid_token")


def test_a_revoked_token_is_refused_at_once_and_others_go_on(ask, issue):
    token, key = issue()
    _, other = issue()
    token.delete()
    answer = ask(key)
    assert_refused(answer, "invalid_token")
    assert answer.json()["detail"] == "There is no such token, or it was revoked."
    assert ask(other).status_code == 200


def test_an_expired_token_is_refused_and_stays_to_be_seen(ask, issue, clock):
    token, key = issue(timedelta(hours=1))
    _, endless = issue(None)
    clock.shift(timedelta(minutes=59, seconds=59))
    assert ask(key).status_code == 200
    clock.shift(timedelta(seconds=1))
    answer = ask(key)
    assert_refused(answer, "expired_token")
    assert answer.json()["detail"] == "The token expired at 2026-05-04T11:00Z."
    clock.shift(timedelta(days=5_000))
    assert ask(endless).status_code == 200
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_a_token_of_an_inactive_user_is_refused(ask, issue, user):
    _, key = issue()
    user.is_active = False
    user.save()
    answer = ask(key)
    assert_refused(answer, "inactive_user")
    assert answer.json()["detail"] == "The token's user is inactive."


def test_a_token_ends_with_its_user(ask, issue, user):
    _, key = issue()
    user.delete()
    assert_refused(ask(key), "invalid_token")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer", "authentication_failed"),
        ("Bearer    ", "authentication_failed"),
        ("Bearer whl_a b", "authentication_failed"),
        ("Bearer whl_\xff\xfe", "authentication_failed"),
        ("Bearer \x00", "invalid_token"),
        ("Bearer whl_\x00\x00\x00", "invalid_token"),
        ("Bearer ☃".encode().decode("latin-1"), "invalid_token"),
        ("Bearer " + "a" * 100_000, "invalid_token"),
        ("Bearer \t whl_", "invalid_token"),
        ("Bearer ' OR 1=1 --", "authentication_failed"),
        ("Bearer %00", "invalid_token"),
    ],
)
def test_odd_headers_are_refused(ask, issue, header, code):
    issue()
    assert_refused(ask(header=header), code)


@pytest.mark.parametrize("header", ["", " ", "Bear x", "Token x", "Basic !", "\x00"])
def test_whoever_shows_no_token_is_offered_both_ways_with_basic_first_for_browsers(ask, header):
    answer = ask(header=header)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="api", Bearer realm="api"'


def test_refused_tokens_do_not_count_as_wrong_passwords(ask, client, user):
    for _ in range(20):
        assert ask("whl_wrong").status_code == 401
    assert AccessAttempt.objects.count() == 0


def test_a_wrong_token_is_refused_beside_a_session(client, ask, user):
    client.force_login(user)
    assert client.get(URL).status_code == 200
    assert_refused(ask("whl_wrong"), "invalid_token")


def test_a_token_opens_no_page_of_the_admin(ask, admin_user, issue):
    _, key = issue(user=admin_user)
    assert ask(key, path=TOKENS).status_code == 302


def test_a_token_and_its_user_are_found_by_one_query(ask, issue, django_assert_num_queries, clock):
    _, key = issue()
    ask(key)
    with django_assert_num_queries(4):  # the token with its user, the user's and the groups' permissions, the events
        ask(key)


def test_the_last_use_is_noted_once_a_minute(ask, issue, clock):
    token, key = issue()

    def last_use_after(**passed):
        clock.shift(timedelta(**passed))
        assert ask(key).status_code == 200
        token.refresh_from_db()
        return token.last_used_at

    assert token.last_used_at is None
    assert last_use_after() == NOW
    assert last_use_after(seconds=59) == NOW
    assert last_use_after(seconds=1) == NOW + timedelta(minutes=1)


def test_of_uses_at_the_same_moment_one_is_noted(issue, clock):
    token, _ = issue()
    same = ApiToken.objects.get()
    token.note_use()
    clock.shift(timedelta(seconds=30))
    same.note_use()
    assert ApiToken.objects.get().last_used_at == NOW


def test_a_refused_token_notes_no_use(ask, issue, clock):
    _, key = issue(timedelta(hours=1))
    clock.shift(timedelta(hours=2))
    ask(key)
    assert ApiToken.objects.get().last_used_at is None


@pytest.mark.django_db(transaction=True)
def test_a_read_goes_on_while_its_use_cannot_be_noted(ask, issue, caplog):
    token, key = issue()
    caplog.set_level("INFO", logger="logs.api.authentication")
    _wait_for_locks("100ms")
    elsewhere = connection.copy()
    try:
        elsewhere.set_autocommit(False)
        elsewhere.cursor().execute("UPDATE logs_apitoken SET name = 'held'")
        started = time.monotonic()
        assert ask(key).status_code == 200
        assert time.monotonic() - started < 2
        noted = rf"(?s)the use of the token {re.escape(str(token))} was not noted: .*lock.*"
        assert any(re.fullmatch(noted, message) for message in caplog.messages)
        assert key not in caplog.text
    finally:
        elsewhere.rollback()
        elsewhere.close()
        _wait_for_locks("5s")
    assert ApiToken.objects.get().last_used_at is None
    assert ask(key).status_code == 200
    assert ApiToken.objects.get().last_used_at is not None


def _wait_for_locks(patience):
    """Change how long PostgreSQL waits; on SQLite that is for the code to do."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{patience}'")


def test_noting_a_use_leaves_other_writes_their_patience(ask, issue):
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has one lock for all")
    _, key = issue()
    ask(key)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone() == (3_000,)


def test_the_command_writes_the_token_alone_to_stdout(ask, user):
    out, err = create_token("grafana", "--name", "Grafana's board")
    assert re.fullmatch("whl_[0-9a-f]{64}\n", out)
    assert ask(out.strip()).status_code == 200
    assert out.strip() not in err
    assert ApiToken.objects.get().name == "Grafana's board"


def test_the_command_tells_what_the_user_may_read(user):
    _, err = create_token("grafana", "--name", "Grafana")
    assert re.findall(r"^  (may|may not) +(\S+)$", err, re.MULTILINE) == [
        ("may", "logs.view_workflowevent"),
        ("may not", "logs.view_delivery"),
        ("may not", "logs.view_delivery_body"),
        ("may not", "logs.replay_delivery"),
    ]


@pytest.mark.parametrize(
    ("arguments", "lifetime", "told"),
    [
        ([], timedelta(days=90), "until 2026-08-02 10:00 UTC"),
        (["--expires", "30m"], timedelta(minutes=30), "until 2026-05-04 10:30 UTC"),
        (["--expires", "24h"], timedelta(hours=24), "until 2026-05-05 10:00 UTC"),
        (["--expires", "99999d"], timedelta(days=99_999), "until 2300-02-16 10:00 UTC"),
        (["--expires", "never"], None, "forever"),
    ],
)
def test_the_command_sets_an_expiry(user, clock, arguments, lifetime, told):
    _, err = create_token("grafana", "--name", "Grafana", *arguments)
    assert ApiToken.objects.get().expiry == (lifetime and NOW + lifetime)
    assert told in err


@pytest.mark.parametrize("expires", ["", "0d", "-1d", "90", "1w", "Never", "100000d", "1.5h", "²d", "2027-01-01"])
def test_the_command_refuses_other_lifetimes(user, expires):
    with pytest.raises(CommandError, match="is not a lifetime: use 30m, 24h, 90d or never"):
        create_token("grafana", "--name", "Grafana", f"--expires={expires}")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [("nobody", "there is no user 'nobody'"), ("Grafana", "there is no user"), ("gone", "the user 'gone' is inactive")],
)
def test_the_command_refuses_users_whose_token_would_not_work(user, user_with, name, told):
    get_user_model().objects.create_user("gone", is_active=False)
    with pytest.raises(CommandError, match=told):
        create_token(name, "--name", "Grafana")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_the_command_wants_a_name_that_fits(user, name):
    with pytest.raises(CommandError, match="--name: "):
        create_token("grafana", "--name", name)
    assert not ApiToken.objects.exists()


def test_the_admin_shows_a_new_token_once(admin_client, ask, issue, user, clock):
    issue()
    assert 'value="90"' in read(admin_client, ADD)
    admin_client.post(ADD, {"user": user.pk, "name": "<b>A notebook</b>", "days": "7"})
    session = dict(admin_client.session)
    (key,) = re.findall("<code>(whl_[0-9a-f]{64})</code>", read(admin_client, TOKENS))
    assert key not in str(session)
    token = ApiToken.objects.get(name="<b>A notebook</b>")
    assert token.expiry == NOW + timedelta(days=7)
    assert ask(key).status_code == 200
    page = reverse("admin:logs_apitoken_change", args=[token.pk])
    history = reverse("admin:logs_apitoken_history", args=[token.pk])
    deletion = reverse("admin:logs_apitoken_delete", args=[token.pk])
    for url in (TOKENS, page, history, deletion, f"{TOKENS}?q={token.token_key}", reverse("admin:index")):
        shown = read(admin_client, url)
        assert key[15:] not in shown
        assert token.digest not in shown
        assert "<b>A notebook" not in shown
    assert key[15:] not in str(LogEntry.objects.values())
    assert token.token_key in read(admin_client, TOKENS)


def test_the_admin_makes_a_token_that_never_expires_where_no_days_are_given(admin_client, user):
    admin_client.post(ADD, {"user": user.pk, "name": "Grafana", "days": ""})
    assert ApiToken.objects.get().expiry is None


@pytest.mark.parametrize(
    "fault", [{"name": ""}, {"name": "x" * 101}, {"days": "0"}, {"days": "100000"}, {"user": "0"}, {"name": "\x00"}]
)
def test_the_admin_refuses_what_makes_no_token(admin_client, user, fault):
    answer = admin_client.post(ADD, {"user": user.pk, "name": "Grafana", "days": "7"} | fault)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not ApiToken.objects.exists()


def staff(client, *codenames):
    user = get_user_model().objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return user


def test_who_is_no_superuser_makes_tokens_for_none_but_oneself(client, admin_user, user):
    own = staff(client, "add_apitoken", "view_apitoken")
    for other in (admin_user, user):
        client.post(ADD, {"user": other.pk, "name": "Grafana", "days": "7"})
        assert not ApiToken.objects.exists()
    client.post(ADD, {"user": own.pk, "name": "Grafana", "days": "7"})
    assert ApiToken.objects.get().user == own


def test_the_admin_makes_no_token_for_an_inactive_user(admin_client):
    gone = get_user_model().objects.create_user("gone", is_active=False)
    admin_client.post(ADD, {"user": gone.pk, "name": "Grafana", "days": "7"})
    assert not ApiToken.objects.exists()


def test_staff_may_look_without_making_or_revoking(client, issue):
    token, _ = issue()
    staff(client, "view_apitoken")
    assert token.token_key in read(client, TOKENS)
    assert client.get(ADD).status_code == 403
    url = reverse("admin:logs_apitoken_delete", args=[token.pk])
    assert client.post(url, {"post": "yes"}).status_code == 403
    client.post(TOKENS, {"action": "delete_selected", "_selected_action": token.pk, "post": "yes"})
    assert ApiToken.objects.exists()


def test_staff_without_a_permission_see_nothing(client, issue):
    issue()
    staff(client, "view_workflowevent")
    assert client.get(TOKENS).status_code == 403


def test_deleting_in_the_admin_revokes(client, ask, issue):
    token, key = issue()
    staff(client, "view_apitoken", "delete_apitoken")
    client.post(reverse("admin:logs_apitoken_delete", args=[token.pk]), {"post": "yes"})
    client.logout()
    assert_refused(ask(key), "invalid_token")


def test_nobody_changes_a_token(admin_client, issue):
    token, _ = issue()
    url = reverse("admin:logs_apitoken_change", args=[token.pk])
    assert admin_client.post(url, {"name": "another", "days": "7"}).status_code == 403
    assert ApiToken.objects.get().name == "Grafana"


def test_the_list_marks_what_works_no_longer(admin_client, issue, clock):
    token, _ = issue(timedelta(hours=1))
    endless, _ = issue(None, user=get_user_model().objects.create_user("gone", is_active=False))
    page = read(admin_client, TOKENS)
    assert page.count('<span aria-hidden="true">✓</span> valid</span>') == 1
    assert page.count('<span aria-hidden="true">✕</span> user inactive</span>') == 1
    assert page.count(">never<") == 1
    clock.shift(timedelta(hours=2))
    assert read(admin_client, TOKENS).count('<span aria-hidden="true">✕</span> expired</span>') == 1
    assert ">2026-05-04 11:00:00 UTC</time>" in read(
        admin_client, reverse("admin:logs_apitoken_change", args=[token.pk])
    )
    assert ">never<" in read(admin_client, reverse("admin:logs_apitoken_change", args=[endless.pk]))


def test_the_list_gives_no_digest_away_by_filters(admin_client, issue):
    token, _ = issue()
    for lookup in ("digest", "digest__startswith", "user__password__startswith"):
        answer = admin_client.get(TOKENS, {lookup: token.digest[:3]})
        assert answer.status_code in {302, 400}


def test_the_list_costs_the_same_however_many_tokens_there_are(admin_client, issue, django_assert_max_num_queries):
    for _ in range(20):
        issue()
    with django_assert_max_num_queries(5):  # session, user, two counts of the page's, the rows
        read(admin_client, TOKENS)


def test_knox_has_no_table_of_its_own():
    assert [name for name in connection.introspection.table_names() if "token" in name] == ["logs_apitoken"]
