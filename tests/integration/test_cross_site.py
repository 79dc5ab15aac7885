"""Pages of other origins cannot make a browser change anything, whatever credentials it has for this site."""

import base64
from datetime import timedelta

import pytest
from django.test import Client

from logs.api.urls import receiving, urlpatterns
from logs.models import ApiToken, Attempt, Delivery

pytestmark = pytest.mark.django_db

OWN, FOREIGN, ALLOWED = "http://testserver", "https://evil.example", "https://grafana.example.com"
PASSWORD = "a good password"


@pytest.fixture
def operator(user_with):
    user = user_with("view_delivery", "replay_delivery", username="operator")
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def replay(operator, deliver, workflow_document, settings):
    """Replay a delivery with a password, or other credentials, and return the answer."""
    settings.CORS_ALLOWED_ORIGINS = [ALLOWED]
    deliver(workflow_document())
    path = f"/deliveries/{Delivery.objects.get().pk}/replay"
    credentials = base64.b64encode(f"operator:{PASSWORD}".encode()).decode()

    def post(client=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items() if name != "secure"}
        named = {"authorization": f"Basic {credentials}"} | named
        return (client or Client()).post(path, headers=named, secure=headers.get("secure", False))

    return post


def assert_rejected(answer):
    assert answer.status_code == 403, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["code"] == "foreign_origin"
    assert not Attempt.objects.exists()


REJECTED = [
    {"origin": FOREIGN},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "https://testserver"},
    {"origin": "http://testserver:8000"},
    {"origin": "http://testserver.evil.example"},
    {"origin": "http://evil-testserver"},
    {"origin": f"{OWN}/"},
    {"origin": f"{OWN}, {FOREIGN}"},
    {"origin": "http://grafana.example.com"},
    {"origin": "*"},
    {"origin": "\x00☃".encode().decode("latin-1")},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "same-origin, cross-site"},
    {"origin": OWN, "sec_fetch_site": "cross-site"},
    {"origin": FOREIGN, "sec_fetch_site": "same-origin"},
    {"origin": FOREIGN, "sec_fetch_site": "none"},
    {"origin": ALLOWED},  # For reading only.
    {"origin": ALLOWED, "sec_fetch_site": "cross-site"},
]
READING = [each for each in urlpatterns if each not in receiving and each.name != "home"]
ACCEPTED = [
    {},
    {"origin": OWN},
    {"origin": OWN, "sec_fetch_site": "same-origin"},
    {"sec_fetch_site": "same-origin"},
    {"sec_fetch_site": "none"},
]


@pytest.mark.parametrize("headers", REJECTED)
def test_rejects_a_foreign_origin_beside_a_right_password(replay, headers):
    assert_rejected(replay(**headers))


@pytest.mark.parametrize("headers", ACCEPTED)
def test_accepts_programs_and_own_pages(replay, headers):
    assert replay(**headers).status_code == 200
    assert Attempt.objects.exists()


def test_rejects_it_beside_a_token_too(replay, operator):
    _, key = ApiToken.issue(operator, name="cli", lifetime=timedelta(days=1))
    assert_rejected(replay(origin=FOREIGN, authorization=f"Bearer {key}"))
    assert replay(authorization=f"Bearer {key}").status_code == 200


def test_rejects_it_beside_a_session_too(replay, client_of, operator):
    assert_rejected(replay(client_of(operator), origin=FOREIGN, authorization=""))


def test_rejects_it_before_a_password_is_checked(replay, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = replay(origin=FOREIGN, authorization=f"Basic {base64.b64encode(b'operator:wrong').decode()}")
    assert_rejected(answer)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("testserver", "https://testserver", 200),
        ("testserver:443", "https://testserver", 200),
        ("TestServer", "https://testserver", 200),
        ("testserver:8443", "https://testserver:8443", 200),
        ("testserver:8443", "https://testserver", 403),
        ("testserver:8443", "https://testserver:9443", 403),
        ("testserver", "http://testserver", 403),
        ("testserver:80", "https://testserver", 403),
    ],
)
def test_knows_its_own_origin_behind_a_proxy_with_tls(replay, settings, host, origin, status):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = True
    assert replay(host=host, origin=origin, x_forwarded_proto="https").status_code == status


def test_says_what_to_set_where_a_proxy_hides_the_origin(replay):
    assert replay(origin="https://testserver").json()["detail"] == (
        "A page of another origin sent this request (Origin: https://testserver). This site's origin is"
        " http://testserver. If that is wrong behind a proxy with TLS, set HTTPS_ONLY and pass the client's Host on,"
        " with its port."
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("pattern", READING, ids=lambda each: each.name)
def test_no_endpoint_for_readers_takes_an_unsafe_request_of_a_foreign_page(replay, admin_client, pattern, method):
    path = "/" + pattern.pattern.regex.pattern.strip("^").replace("/?\\Z", "").replace("\\.", ".")
    path = path.replace("(?P<pk>[0-9]{1,18})", str(Delivery.objects.get().pk)).replace("(?P<event_id>[^\\x00]+?)", "x")
    answer = admin_client.generic(method, path, headers={"origin": FOREIGN})
    assert answer.status_code in (403, 405), path
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("headers", [{"origin": FOREIGN, "sec-fetch-site": "cross-site"}, {"origin": "null"}])
def test_reading_is_left_to_cors(reader, headers):
    assert reader.get("/fetch-webhooks-logs", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [{"origin": FOREIGN, "sec-fetch-site": "cross-site"}, {"origin": "null"}])
def test_webhooks_are_received_whatever_they_say(deliver, workflow_document, headers):
    assert deliver(workflow_document(), headers=headers).status_code == 201
