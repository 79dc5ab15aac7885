"""What browsers are told, and what guessing passwords leads to."""

import base64
import re
from datetime import timedelta
from ipaddress import ip_network

import pytest
import time_machine
from axes.models import AccessAttempt, AccessLog
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

pytestmark = pytest.mark.django_db

PASSWORD = "a good password"
LOGIN = "/admin/login/"
LIST = "/fetch-webhooks-logs"


@pytest.fixture
def user():
    return get_user_model().objects.create_superuser("operator", password=PASSWORD)


def sign_in(client, password=PASSWORD, **extra):
    """Return whether the admin's login lets the operator in."""
    answer = client.post(LOGIN, {"username": "operator", "password": password, "next": "/admin/"}, **extra)
    client.logout()
    return answer.status_code == 302


@pytest.mark.parametrize("path", [LOGIN, "/admin/", LIST, "/nowhere", "/log-circleci-webhook/a/b"])
def test_every_answer_forbids_what_is_not_its_own(client, path):
    headers = client.get(path).headers
    policy = dict(directive.strip().split(" ", 1) for directive in headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"


def test_the_answer_to_a_webhook_is_never_taken_for_a_page(client):
    headers = client.get("/log-circleci-webhook").headers
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_no_page_holds_scripts_or_styles_of_its_own(admin_client, deliver, workflow_document):
    deliver(workflow_document())
    for path in (
        "/admin/",
        "/admin/logs/workflowevent/",
        "/admin/logs/workflowevent/1/change/",
        "/admin/logs/delivery/",
    ):
        page = admin_client.get(path, follow=True).content.decode()
        assert " style=" not in page
        assert "<style" not in page
        assert " onclick=" not in page
        scripts = re.findall(r"<script[^>]*>", page)
        assert scripts
        assert all(" src=" in script for script in scripts)


def test_ten_wrong_passwords_lock_that_address_for_a_quarter_of_an_hour(client, user):
    with time_machine.travel("2026-05-04 10:00", tick=False) as clock:
        assert sign_in(client)
        for _ in range(10):
            assert not sign_in(client, "wrong")
        assert not sign_in(client)
        assert sign_in(client, REMOTE_ADDR="192.0.2.9")
        clock.shift(timedelta(minutes=16))
        assert sign_in(client)


def test_http_basic_counts_too(client, user):
    def answer_to(password):
        credentials = base64.b64encode(f"operator:{password}".encode()).decode()
        return client.get(LIST, headers={"authorization": f"Basic {credentials}"}).status_code

    assert answer_to(PASSWORD) == 200
    for _ in range(10):
        assert answer_to("wrong") == 401
    assert answer_to(PASSWORD) == 401
    assert not sign_in(client)


@pytest.mark.django_db(transaction=True)
def test_counting_a_failure_takes_the_turn_to_write_once(client, user):
    with CaptureQueriesContext(connection) as captured:
        client.post(LOGIN, {"username": "operator", "password": "a bad password"})
    statements = [query["sql"].split()[0] for query in captured]
    assert statements.count("BEGIN") == 1, statements
    # All that is written, a failure that is out of date included.
    begin, commit = statements.index("BEGIN"), statements.index("COMMIT")
    writes = [place for place, word in enumerate(statements) if word in {"INSERT", "UPDATE", "DELETE"}]
    assert writes
    assert all(begin < place < commit for place in writes), statements


def test_sign_ins_leave_no_row_behind(client, user):
    assert sign_in(client)
    assert not AccessLog.objects.exists()


def test_no_script_may_read_a_cookie(client, user):
    client.get(LOGIN)
    client.post(LOGIN, {"username": "operator", "password": PASSWORD})
    assert set(client.cookies) == {"csrftoken", "sessionid"}
    assert all(cookie["httponly"] for cookie in client.cookies.values())


def test_refuses_a_password_that_is_guessed_first(admin_client):
    guessed = {"old_password": "password", "new_password1": "password1", "new_password2": "password1"}
    answer = admin_client.post("/admin/password_change/", guessed)
    assert answer.status_code == 200
    assert "This password is too common." in answer.content.decode()


def test_behind_a_proxy_the_clients_address_is_locked_and_not_the_proxys(client, user, settings):
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    for _ in range(10):
        assert not sign_in(client, "wrong", headers={"x-forwarded-for": "192.0.2.66"})
    assert not sign_in(client, headers={"x-forwarded-for": "192.0.2.66"})
    assert sign_in(client, headers={"x-forwarded-for": "192.0.2.7"})
    # An address that the client has invented itself unlocks nothing.
    assert not sign_in(client, headers={"x-forwarded-for": "192.0.2.7, 192.0.2.66"})


def test_guessing_at_ever_other_names_does_not_fill_the_table_of_failures(client, user):
    for number in range(30):
        credentials = base64.b64encode(f"user-{number}:wrong".encode()).decode()
        assert client.get(LIST, headers={"authorization": f"Basic {credentials}"}).status_code == 401
    assert AccessAttempt.objects.count() == 10


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_body_beside_a_wrong_password_makes_no_guess_free(client, user, method, content_type):
    def answer_to(password):
        credentials = base64.b64encode(f"operator:{password}".encode()).decode()
        headers = {"authorization": f"Basic {credentials}"}
        return client.generic(method, LIST, b"{}", content_type, headers=headers).status_code

    assert [answer_to("wrong") for _ in range(10)] == [401] * 10
    assert answer_to(PASSWORD) == 401


def test_a_whole_ipv6_network_is_locked_and_no_other(client, user):
    for number in range(10):
        assert not sign_in(client, "wrong", REMOTE_ADDR=f"2001:db8::{number}:1")
    assert not sign_in(client, REMOTE_ADDR="2001:db8::ffff:ffff:ffff:ffff")
    assert sign_in(client, REMOTE_ADDR="2001:db8:0:1::1")


def test_a_client_is_unlocked_by_any_of_its_addresses(client, user):
    for _ in range(10):
        assert not sign_in(client, "wrong", REMOTE_ADDR="2001:db8::1")
    call_command("axes_reset_ip", "2001:db8:0:0:7::7")
    assert sign_in(client, REMOTE_ADDR="2001:db8::1")


def test_unlocking_a_client_or_an_account_leaves_the_failures_of_others(client, user):
    for client_address in ("192.0.2.1", "192.0.2.2"):
        sign_in(client, "wrong", REMOTE_ADDR=client_address)
    client.post(LOGIN, {"username": "another", "password": "wrong"}, REMOTE_ADDR="192.0.2.2")
    call_command("axes_reset_ip", "192.0.2.1")
    assert list(AccessAttempt.objects.values_list("ip_address", flat=True)) == ["192.0.2.2"] * 2
    call_command("axes_reset_username", "another")
    assert [failure.username for failure in AccessAttempt.objects.all()] == ["operator"]


def test_a_sign_in_between_guesses_forgets_only_failures_of_its_own_account(client, user):
    get_user_model().objects.create_superuser("guesser", password="the guesser's own password")

    def sign_in_as_guesser():
        fields = {"username": "guesser", "password": "the guesser's own password", "next": "/admin/"}
        answer = client.post(LOGIN, fields)
        client.logout()
        return answer.status_code == 302

    for _ in range(9):
        assert not sign_in(client, "wrong")
        assert sign_in_as_guesser()
    assert not sign_in(client, "wrong")
    assert not sign_in_as_guesser()
    assert not sign_in(client)


def test_a_sign_in_forgets_the_failures_before_it(client, user):
    for _ in range(2):
        for _ in range(9):
            assert not sign_in(client, "wrong")
        assert sign_in(client)
    assert not AccessAttempt.objects.exists()


def test_a_sign_in_forgets_no_failures_of_other_clients(client, user):
    assert not sign_in(client, "wrong", REMOTE_ADDR="192.0.2.9")
    assert sign_in(client)
    assert AccessAttempt.objects.get().ip_address == "192.0.2.9"


def test_a_guess_during_a_lockout_writes_nothing(client, user):
    for _ in range(10):
        sign_in(client, "wrong")
    credentials = base64.b64encode(b"operator:wrong").decode()
    with CaptureQueriesContext(connection) as captured:
        assert client.post(LOGIN, {"username": "operator", "password": "wrong"}).status_code == 429
        assert client.get(LIST, headers={"authorization": f"Basic {credentials}"}).status_code == 401
    assert {query["sql"].split()[0] for query in captured} == {"SELECT"}


def test_a_locked_client_gets_a_page_with_the_time_to_wait(client, user):
    for _ in range(10):
        answer = client.post("/admin/login/", {"username": "operator", "password": "wrong"})
    assert answer.status_code == 429
    page = answer.content.decode()
    assert "Your IP address is locked after 10 failed sign-ins. Try again in 15 min" in page
    assert 'href="/admin/logs/workflowevent/"' in page


def test_deleting_failed_sign_ins_in_the_admin_unlocks_their_address(client, user, admin_client):
    for _ in range(10):
        sign_in(client, "wrong", REMOTE_ADDR="203.0.113.9")
    assert not sign_in(client, REMOTE_ADDR="203.0.113.9")
    url = "/admin/axes/accessattempt/"
    assert "203.0.113.9" in admin_client.get(url, {"q": "203.0.113.9"}).content.decode()
    chosen = {"action": "delete_selected", "_selected_action": [str(AccessAttempt.objects.get().pk)], "post": "yes"}
    admin_client.post(url, chosen)
    assert sign_in(client, REMOTE_ADDR="203.0.113.9")
