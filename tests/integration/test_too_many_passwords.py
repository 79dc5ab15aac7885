"""A password beyond the bound on hashing is not looked at, counts for nothing, and the client hears when to retry."""

import base64
from collections import deque

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import authenticate, get_user_model
from django.test import RequestFactory

from logs import hashing
from logs.hashing import BoundedPasswordHasher, TooManyPasswords
from webhooklog import settings as project

pytestmark = pytest.mark.django_db

LIST, LOGIN = "/fetch-webhooks-logs", "/admin/login/"
PASSWORD = "a good password"


@pytest.fixture(autouse=True)
def the_sites_own_hasher(settings, monkeypatch):
    settings.PASSWORD_HASHERS = project.PASSWORD_HASHERS
    monkeypatch.setattr(BoundedPasswordHasher, "iterations", 1)


@pytest.fixture
def user(the_sites_own_hasher):
    return get_user_model().objects.create_superuser("operator", password=PASSWORD)


@pytest.fixture
def no_place(user, monkeypatch):
    """Take all places; a test may give one back."""
    places = deque()
    monkeypatch.setattr(hashing, "free_places", places)
    return places


def basic(name="operator", password=PASSWORD):
    return {"authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def assert_is_page_to_retry(answer):
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "2"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Go back and try again in a few seconds." in answer.content.decode()


CREDENTIALS = [("operator", PASSWORD), ("operator", "wrong"), ("nobody", "wrong")]


@pytest.mark.parametrize(("name", "password"), CREDENTIALS)
def test_http_basic_is_answered_429(client, no_place, name, password):
    answer = client.get(LIST, headers=basic(name, password))
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "2"
    assert answer.json() == {
        "detail": "Too many passwords are being checked at the same time. Try again later, or use a token.",
        "code": "too_many_sign_ins",
    }


@pytest.mark.parametrize(("name", "password"), CREDENTIALS)
def test_the_login_form_is_answered_with_a_page(client, no_place, name, password):
    assert_is_page_to_retry(client.post(LOGIN, {"username": name, "password": password, "next": "/admin/"}))
    assert "sessionid" not in client.cookies


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/admin/password_change/", {"old_password": PASSWORD}),
        ("/admin/auth/user/{pk}/password/", {"usable_password": "true", "password1": "p", "password2": "p"}),
        ("/admin/auth/user/add/", {"username": "new", "usable_password": "true"}),
    ],
)
def test_forms_that_set_a_password_are_answered_with_a_page(client, user, no_place, path, fields):
    client.force_login(user)
    new = dict.fromkeys(("new_password1", "new_password2", "password1", "password2"), "a much better password")
    assert_is_page_to_retry(client.post(path.format(pk=user.pk), fields | new))
    assert get_user_model().objects.get().password == user.password


def test_a_browser_at_the_api_gets_a_page(client, no_place):
    answer = client.get(LIST, headers=basic() | {"accept": "text/html"})
    assert answer.status_code == 429
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "too_many_sign_ins" in answer.content.decode()


def test_any_other_way_to_authenticate_raises(no_place):
    with pytest.raises(TooManyPasswords):
        authenticate(RequestFactory().post("/"), username="operator", password=PASSWORD)


def test_it_is_no_failed_sign_in(client, no_place):
    for _ in range(12):
        client.get(LIST, headers=basic(password="wrong"))
        client.post(LOGIN, {"username": "operator", "password": "wrong"})
    assert not AccessAttempt.objects.exists()
    no_place.append(None)
    assert client.get(LIST, headers=basic()).status_code == 200


def test_it_counts_for_no_wrong_credentials_of_its_address(client, no_place, settings):
    settings.API_REQUESTS_PER_MINUTE = 3
    assert [client.get(LIST, headers=basic()).status_code for _ in range(5)] == [429] * 5
    no_place.append(None)
    assert client.get(LIST, headers=basic()).status_code == 200


def test_it_costs_no_query(client, no_place, django_assert_num_queries):
    with django_assert_num_queries(0):
        client.get(LIST, headers=basic())
        client.post(LOGIN, {"username": "operator", "password": PASSWORD})


def test_a_token_and_a_session_need_no_place(client, no_place, user):
    client.force_login(user)
    assert client.get(LIST).status_code == 200


def test_one_place_is_enough_for_a_client_that_sends_its_password_each_time(client, no_place):
    no_place.append(None)
    assert [client.get(LIST, headers=basic()).status_code for _ in range(20)] == [200] * 20
    assert len(no_place) == 1


def test_ten_wrong_passwords_still_lock_the_client_out(client, no_place):
    no_place.append(None)
    assert [client.get(LIST, headers=basic(password="wrong")).status_code for _ in range(10)] == [401] * 10
    assert client.get(LIST, headers=basic()).status_code == 401
