"""A form that fails the check against cross-site requests says why, and what to do."""

import re

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
BROWSER = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


def sign_in(client, headers, *, has_token=True, **extra):
    """Post the login form with a good token, or another one."""
    page = client.get(LOGIN, **extra).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page).group(1)
    fields = {"csrfmiddlewaretoken": token if has_token else "x" * 64, "username": "admin", "password": "guess"}
    return client.post(LOGIN, fields, headers=headers, **extra)


# fmt: off
CASES = {
    "https without HTTPS_ONLY": (
        {"origin": "https://testserver", "x-forwarded-proto": "https"}, {},
        ["https://testserver", "http://testserver", "HTTPS_ONLY=true", "X-Forwarded-Proto: https"], ["another site"],
    ),
    "a proxy that drops the port": (
        {"origin": "http://testserver:8443"}, {},
        ["http://testserver:8443", "$http_host", "another site"], ["HTTPS_ONLY"],
    ),
    "both": (
        {"origin": "https://testserver:8443"}, {},
        ["HTTPS_ONLY=true", "$http_host"], [],
    ),
    "another site": (
        {"origin": "http://evil.example.org"}, {},
        ["http://evil.example.org", "another site sent the form"], ["HTTPS_ONLY"],
    ),
    "an origin that is hidden": (
        {"origin": "null"}, {},
        ["privacy setting or an extension"], ["HTTPS_ONLY"],
    ),
    "an origin that is no URL": (
        {"origin": "https://[", "referer": "http://testserver/admin/"}, {},
        ["privacy setting or an extension"], ["HTTPS_ONLY"],
    ),
    "no Referer over HTTPS": (
        {}, {"secure": True},
        ["privacy setting or an extension"], ["HTTPS_ONLY"],
    ),
    "a foreign Referer over HTTPS": (
        {"referer": "https://evil.example.org/form"}, {"secure": True},
        ["https://evil.example.org", "another site sent the form"], ["HTTPS_ONLY"],
    ),
    "a token of long ago": (
        {}, {"has_token": False},
        ["open for too long", "Open the page again"], ["HTTPS_ONLY", "cookie"],
    ),
}
# fmt: on


@pytest.mark.parametrize("form", ["page", "JSON"])
@pytest.mark.parametrize("case", CASES)
def test_names_the_cause_and_the_fix(csrf_client, case, form):
    headers, options, wanted, unwanted = CASES[case]
    answer = sign_in(csrf_client, headers | (BROWSER if form == "page" else {}), **options)
    assert answer.status_code == 403
    if form == "page":
        assert answer.headers["Content-Type"].startswith("text/html")
        text = re.sub("</?code>", "", answer.content.decode())
    else:
        assert answer.json()["code"] == "csrf_failed"
        text = answer.json()["detail"]
    assert [words for words in wanted if words not in text] == []
    assert [words for words in (*unwanted, "DEBUG") if words in text] == []


@pytest.mark.parametrize("debug", [False, True])
def test_says_that_a_cookie_is_missing(settings, debug):
    settings.DEBUG = debug
    answer = Client(enforce_csrf_checks=True).post(LOGIN, {"username": "admin"}, headers=BROWSER)
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "Allow cookies for this site" in page
    assert "DEBUG" not in page


@pytest.mark.parametrize(
    ("referer", "target"),
    [
        (
            "http://testserver/admin/login/?next=/admin/&a=<b>",
            "http://testserver/admin/login/?next=/admin/&amp;a=&lt;b&gt;",
        ),
        ("https://testserver/admin/login/", "https://testserver/admin/login/"),
        ("http://evil.example.org/", "/admin/"),
        ("javascript:alert(1)", "/admin/"),
        ("http://[", "/admin/"),
        ("", "/admin/"),
    ],
)
def test_leads_back_to_the_page_of_the_form_and_to_no_other_site(csrf_client, referer, target):
    answer = sign_in(csrf_client, BROWSER | {"origin": "null", "referer": referer})
    link = re.search(r'<a class="button" href="([^"]*)">\s*Reload page', answer.content.decode()).group(1)
    assert link == target


def test_shows_hostile_origins_as_text(csrf_client):
    answer = sign_in(csrf_client, BROWSER | {"origin": "http://<script>alert(1)</script>"})
    assert answer.status_code == 403
    assert "<script>alert" not in answer.content.decode()
