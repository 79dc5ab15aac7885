"""What a bearer token opens, how it ends, and that it is shown only once."""

import html
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

from logs.models import ApiToken, Delivery

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


@pytest.mark.parametrize("scopes", [None, ["events"]])
def test_a_token_and_its_user_are_found_by_one_query(ask, issue, django_assert_num_queries, clock, scopes):
    _, key = issue(scopes=scopes)
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


def make_in_admin(client, **fields):
    """Fill in the form for a new token."""
    return client.post(ADD, {"name": "Grafana", "scopes": ["events"], "days": "90"} | fields)


def test_the_admin_shows_a_new_token_once_with_a_command_that_works(admin_client, ask, issue, clock, settings):
    settings.SITE_URL = "https://ci.example.org/below"
    issue()
    answer = make_in_admin(admin_client, name="<b>A notebook</b>", owner=admin_client.get(ADD).wsgi_request.user.pk)
    assert "no-store" in answer.headers["Cache-Control"]
    made = answer.content.decode()
    (key,) = re.findall('<pre class="body" id="token-key" [^>]*>(whl_[0-9a-f]{64})</pre>', made)
    command = html.unescape(re.search('<pre class="body" id="token-curl" [^>]*>(.*)</pre>', made)[1])
    assert (
        command == f"curl -H 'Authorization: Bearer {key}' 'https://ci.example.org/below/fetch-webhooks-logs?limit=1'"
    )
    assert 'data-copy="token-key"' in made
    assert "<b>A notebook" not in made
    assert key not in str(dict(admin_client.session))
    assert key not in str(admin_client.cookies)
    token = ApiToken.objects.get(name="<b>A notebook</b>")
    assert token.expiry == NOW + timedelta(days=90)
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
    assert LogEntry.objects.get().object_id == str(token.pk)
    assert token.token_key in read(admin_client, TOKENS)


@pytest.mark.parametrize(
    ("days", "lifetime"),
    [("30", timedelta(days=30)), ("90", timedelta(days=90)), ("365", timedelta(days=365)), ("never", None)],
)
def test_the_admin_offers_lifetimes(client, clock, days, lifetime):
    staff(client, "add_apitoken", "view_workflowevent")
    assert '<option value="90" selected>' in read(client, ADD)
    make_in_admin(client, days=days)
    assert ApiToken.objects.get().expiry == (lifetime and NOW + lifetime)


@pytest.mark.parametrize(
    "fault",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "\x00"},
        {"days": ""},
        {"days": "7"},
        {"owner": "0"},
        {"scopes": []},
        {"scopes": ["prune"]},
        {"scopes": ["bodies"]},
        {"scopes": ["events", "replay"]},
    ],
)
def test_the_admin_refuses_what_makes_no_token(admin_client, admin_user, fault):
    answer = make_in_admin(admin_client, **{"owner": admin_user.pk} | fault)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not ApiToken.objects.exists()


def staff(client, *codenames):
    user = get_user_model().objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return user


def test_one_form_makes_a_token_for_a_script_without_an_account_of_its_own(client, ask):
    own = staff(client, "add_apitoken", "view_workflowevent")
    form = read(client, ADD)
    assert 'name="owner"' not in form
    assert re.findall(r'name="scopes" value="(\w+)"[^>]* checked', form) == ["events"]
    (key,) = re.findall("whl_[0-9a-f]{64}", make_in_admin(client).content.decode())[:1]
    assert ApiToken.objects.get().user == own
    client.logout()
    assert ask(key).status_code == 200


def test_who_is_no_superuser_makes_tokens_for_none_but_oneself(client, admin_user):
    own = staff(client, "add_apitoken", "view_workflowevent")
    make_in_admin(client, owner=admin_user.pk)
    assert ApiToken.objects.get().user == own


def test_the_admin_makes_no_token_for_an_inactive_user(admin_client):
    gone = get_user_model().objects.create_user("gone", is_active=False)
    assert f'<option value="{gone.pk}"' not in read(admin_client, ADD)
    make_in_admin(admin_client, owner=gone.pk)
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("is_public", [False, True])
def test_the_form_names_the_permission_that_the_owner_lacks(admin_client, user_with, settings, is_public):
    settings.PUBLIC_READ = is_public
    owner = user_with("view_delivery", username="robot")
    page = make_in_admin(admin_client, owner=owner.pk, scopes=["events", "deliveries", "bodies"]).content.decode()
    missing = re.findall(r"(\w+): robot lacks the permission ([\w.]+), which an administrator can grant.", page)
    assert missing == [("events", "logs.view_workflowevent"), ("bodies", "logs.view_delivery_body")][is_public:]
    assert not ApiToken.objects.exists()


# fmt: off
OPENS = [  # a token's scopes, and what it opens: events, deliveries, a body, a replay, the stream, changes
    (None,                     [200, 200, 200, 200, 200, 200]),
    (["events"],               [200, 403, 403, 403, 403, 200]),
    (["deliveries"],           [403, 200, 403, 403, 403, 403]),
    (["deliveries", "bodies"], [403, 200, 200, 403, 200, 403]),
    (["deliveries", "replay"], [403, 200, 403, 200, 403, 403]),
    (["bodies"],               [403, 403, 403, 403, 403, 403]),
    (["of a later version"],   [403, 403, 403, 403, 403, 403]),
    ([],                       [403, 403, 403, 403, 403, 403]),
]
# fmt: on


@pytest.mark.parametrize(("scopes", "expected"), OPENS)
@pytest.mark.parametrize("is_public", [False, True])
def test_a_scope_opens_a_part_of_what_the_user_may(
    client, admin_user, issue, deliver, workflow_document, settings, scopes, expected, is_public
):
    settings.PUBLIC_READ = is_public
    deliver(workflow_document())
    delivery = f"/deliveries/{Delivery.objects.get().pk}"
    _, key = issue(user=admin_user, scopes=scopes)
    requests = [
        ("get", URL),
        ("get", "/deliveries"),
        ("get", f"{delivery}/body"),
        ("post", f"{delivery}/replay?dry_run=true"),
        ("get", "/deliveries/stream?wait=0"),
        ("get", "/api/changes"),
    ]
    answers = [getattr(client, method)(path, headers={"authorization": f"Bearer {key}"}) for method, path in requests]
    assert [answer.status_code for answer in answers] == expected
    assert {answer.json()["code"] for answer in answers if answer.status_code == 403} <= {"insufficient_scope"}


def test_a_scope_hides_parts_of_an_event(ask, admin_user, issue, deliver, workflow_document):
    document = workflow_document()
    deliver(document)
    shown = {}
    for scopes in ("events", "events deliveries", "events bodies"):
        _, key = issue(user=admin_user, scopes=scopes.split())
        event = ask(key, path=f"{URL}/{document['id']}").json()
        shown[scopes] = [name for name in ("payload", "deliveries") if event[name] is not None]
    assert shown == {"events": [], "events deliveries": ["deliveries"], "events bodies": ["payload"]}


def test_a_scope_gives_nothing_that_the_user_lacks(ask, issue):
    _, key = issue(scopes=["events", "deliveries"])
    assert ask(key).status_code == 200
    refused = ask(key, path="/deliveries")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


def test_the_answer_names_the_scope_that_is_missing(ask, issue, admin_user):
    _, key = issue(user=admin_user, scopes=["events"])
    detail = ask(key, path="/deliveries").json()["detail"]
    assert detail == "This needs the scope deliveries; the token has events. Create a token with that scope."


def test_the_command_limits_a_token_to_scopes(ask, admin_user):
    out, err = create_token("admin", "--scope", "events", "--scope", "bodies", "--scope", "events")
    assert ApiToken.objects.get().scopes == "events bodies"
    assert re.findall(r"^  may +(\S+)$", err, re.MULTILINE) == ["logs.view_workflowevent", "logs.view_delivery_body"]
    assert ask(out.strip()).status_code == 200
    assert ask(out.strip(), path="/deliveries").status_code == 403


def test_the_command_suggests_a_scope(user):
    with pytest.raises(CommandError, match=r"--scope: 'event' is unknown: did you mean events\?"):
        create_token("grafana", "--scope", "event")


def test_the_command_names_a_token_after_the_day(user, clock):
    create_token("grafana")
    token = ApiToken.objects.get()
    assert (token.name, token.scopes) == ("script of 2026-05-04", None)


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


@pytest.mark.parametrize(("may_view", "page"), [(True, TOKENS), (False, reverse("admin:index"))])
def test_deleting_in_the_admin_revokes_and_returns_to_the_list(client, ask, issue, may_view, page):
    token, key = issue()
    staff(client, "delete_apitoken", *(["view_apitoken"] if may_view else []))
    url = reverse("admin:logs_apitoken_delete", args=[token.pk])
    asked = read(client, url)
    assert re.search(rf"Revoke the token <b>Grafana</b> \(<code>{token.token_key}…</code>\) of grafana\?", asked)
    assert "It was never used." in asked
    ask(key)
    assert re.search(r"Last used:\s+<time ", read(client, url))
    assert ApiToken.objects.exists()
    answer = client.post(url, {"post": "yes"}, follow=True)
    assert answer.redirect_chain == [(page, 302)]
    assert f"Revoked Grafana ({token.token_key}…). Requests with it now get status 401." in answer.content.decode()
    client.logout()
    assert_refused(ask(key), "invalid_token")


def test_nobody_changes_a_token(admin_client, issue):
    token, _ = issue()
    url = reverse("admin:logs_apitoken_change", args=[token.pk])
    assert admin_client.post(url, {"name": "another", "days": "30"}).status_code == 403
    assert ApiToken.objects.get().name == "Grafana"


def test_the_list_marks_what_works_no_longer(admin_client, issue, clock):
    token, _ = issue(timedelta(hours=1))
    issue()
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


def test_tokens_that_expire_soon_are_marked_and_named_above_the_list(admin_client, issue, clock):
    gone = get_user_model().objects.create_user("gone", is_active=False)
    issue(timedelta(days=14, seconds=1), name="later")
    issue(None, name="endless")
    issue(timedelta(days=3), name="of an inactive user", user=gone)
    issue(timedelta(days=14), name="<b>in two weeks")
    issue(timedelta(days=1), name="tomorrow")
    issue(timedelta(hours=23), name="today")
    issue(timedelta(hours=-1), name="expired")
    page = read(admin_client, TOKENS)
    named = page[page.index('class="warningnote"') : page.index('id="changelist"')]
    assert re.findall(r"<bdi>(.*)</bdi></a>\s+(\S.*\S) \(<bdi>\w+</bdi>\)", named) == [
        ("today", "within a day"),
        ("tomorrow", "in 1 day"),
        ("&lt;b&gt;in two weeks", "in 14 days"),
    ]
    marks = re.findall("</span> (expires [^<]*)</span>", page)
    assert sorted(marks) == ["expires in 1 day", "expires in 14 days", "expires within a day"]


def test_nothing_is_said_above_the_list_while_no_token_expires_soon(admin_client, issue):
    issue()
    assert "warningnote" not in read(admin_client, TOKENS)


@pytest.mark.parametrize("may_view", [True, False])
def test_the_navigation_leads_to_the_tokens(client, may_view):
    staff(client, *(["view_apitoken"] if may_view else []))
    page = read(client, reverse("admin:index"))
    navigation = page[page.index('id="site-nav"') : page.index('id="user-tools"')]
    assert (TOKENS in navigation) is may_view


def test_the_list_shows_the_scopes(admin_client, issue):
    issue(scopes=["events", "bodies"])
    issue()
    page = read(admin_client, TOKENS)
    assert "events, bodies" in page
    assert "all that the user may" in page


def test_the_list_gives_no_digest_away_by_filters(admin_client, issue):
    token, _ = issue()
    for lookup in ("digest", "digest__startswith", "user__password__startswith"):
        answer = admin_client.get(TOKENS, {lookup: token.digest[:3]})
        assert answer.status_code in {302, 400}


def test_an_empty_list_offers_a_token_but_an_empty_search_does_not_say_that_there_are_none(admin_client, issue):
    page = read(admin_client, TOKENS)
    assert "No API tokens yet" in page
    assert page.count("Add API token") == 1
    issue()
    for url in (TOKENS, f"{TOKENS}?q=nothing"):
        page = read(admin_client, url)
        assert "No API tokens yet" not in page
        assert page.count("Add API token") == 1
        assert 'name="q"' in page
        assert "delete_selected" not in page


def test_the_list_costs_the_same_however_many_tokens_there_are(admin_client, issue, django_assert_max_num_queries):
    for _ in range(20):
        issue()
    with django_assert_max_num_queries(6):  # session, user, two counts of the page's, the rows, those that expire soon
        read(admin_client, TOKENS)


def test_knox_has_no_table_of_its_own():
    assert [name for name in connection.introspection.table_names() if "token" in name] == ["logs_apitoken"]
