"""With DEBUG, Django shows settings, the request and all variables of an exception, but no secret."""

import base64
import hashlib
import hmac
import json
from io import StringIO
from unittest.mock import Mock
from urllib.parse import quote

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection
from django.test import Client

from logs.circleci.signature import sign
from logs.conf import _fingerprint
from tests.integration.on_loop import INSERT, Exchange, answers

pytestmark = pytest.mark.django_db

PATH = "/log-circleci-webhook"
SECRETS = {
    "payments": ['pay it\'s "m1ne"', "old-pay-ment"],
    "лаборатория": "секрет-лаборатории",
    "bound": {"secrets": ["orchard-secret"], "projects": ["*"]},
    "unsigned": None,
}
PASSWORD = "open sesame"


@pytest.fixture
def fail():
    """Make a function that fails; not one of this file, whose lines the page would show."""
    return Mock(side_effect=RuntimeError("a defect"))


@pytest.fixture
def debug(settings):
    settings.DEBUG = True
    settings.CIRCLECI_WEBHOOK_SECRETS = SECRETS
    return Client(raise_request_exception=False)


def credentials_in(page):
    """Return which credentials a page shows, in whatever form."""
    texts = ["m1ne", "old-pay-ment", "секрет", "\\xd1\\x81\\xd0\\xb5", "\\u0441\\u0435", "orchard-secret"]
    texts += [django_settings.SECRET_KEY, PASSWORD, "sesame"]
    return [text for text in texts if text in page]


DEFECTS = [
    "hmac.compare_digest",
    "hmac.digest",
    "logs.circleci.signature._is_claimed",
    "logs.conf._texts",
    "logs.conf.Webhook",
    "logs.api.receiving.keep_refused",
    "logs.api.receiving.http_error",
]
BEHIND_THE_SIGNATURE = ["logs.conf.salted_hmac", "logs.ingest.pipeline.read_event", "logs.api.receiving.receipt"]


@pytest.fixture
def assert_hides_secrets(fail, workflow_document, monkeypatch, caplog):
    """Post a webhook while a function fails, and look for secrets on the page and in the log."""

    def post_and_look(post, defect, accept, secret):
        _fingerprint.cache_clear()
        body = json.dumps(workflow_document()).encode()
        expected = [hmac.digest(secret.encode(), body, hashlib.sha256).hex() for secret in SECRETS["payments"]]
        headers = {"circleci-signature": sign(body, secret), "accept": accept}
        with monkeypatch.context() as patch:
            patch.setattr(defect, fail)
            answer = post(body, headers)
        page = answer.content.decode()
        assert answer.status_code == 500
        assert "a defect" in page
        for text in (page, caplog.text):
            assert credentials_in(text) == []
            assert headers["circleci-signature"][3:] not in text
            assert not [digest for digest in expected if digest in text]

    return post_and_look


@pytest.mark.parametrize("defect", [*DEFECTS, *BEHIND_THE_SIGNATURE])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_failing_delivery_shows_no_secret(debug, assert_hides_secrets, defect, accept):
    def post(body, headers):
        return debug.post(PATH, body, content_type="application/json", headers=headers)

    secret = SECRETS["payments"][1] if defect in BEHIND_THE_SIGNATURE else "another secret"
    assert_hides_secrets(post, defect, accept, secret)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("defect", [*DEFECTS, *BEHIND_THE_SIGNATURE, INSERT])
def test_a_failing_delivery_on_the_loop_shows_no_secret(debug, assert_hides_secrets, defect):
    def post(body, headers):
        sent = headers | {"content-type": "application/json", "content-length": str(len(body))}
        return answers(Exchange("POST", PATH, chunks=[body], headers=sent))[0]

    secret = "another secret" if defect in DEFECTS else SECRETS["payments"][1]
    assert_hides_secrets(post, defect, "text/html", secret)


def test_the_page_still_shows_what_is_not_secret(debug, fail, workflow_document, monkeypatch):
    monkeypatch.setattr("logs.api.receiving.keep_refused", fail)
    page = debug.post(PATH, b"{}", content_type="application/json", headers={"accept": "text/html"}).content.decode()
    assert "the circleci-signature header is missing" in page
    assert "DELIVERY_RETENTION_DAYS" in page


def test_a_failing_sign_in_shows_no_password(debug, fail, monkeypatch):
    monkeypatch.setattr("django.contrib.auth.backends.ModelBackend.authenticate", fail)
    form = {"username": "operator", "password": PASSWORD}
    page = debug.post("/admin/login/", form, headers={"accept": "text/html"}).content.decode()
    assert "a defect" in page
    assert credentials_in(page) == []


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_failing_request_shows_no_credentials(debug, fail, monkeypatch, scheme):
    token = base64.b64encode(f"operator:{PASSWORD}".encode()).decode()
    monkeypatch.setattr("django.contrib.auth.backends.ModelBackend.authenticate", fail)
    monkeypatch.setattr("logs.api.authentication.hash_token", fail)
    headers = {"accept": "text/html", "authorization": f"{scheme} {token}"}
    page = debug.get("/fetch-webhooks-logs", headers=headers).content.decode()
    assert "a defect" in page
    assert token not in page
    assert credentials_in(page) == []


def test_the_page_leaves_the_environment_out(debug, fail, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@cache")
    monkeypatch.setattr("logs.api.receiving.read_body", fail)
    # As runserver does.
    page = debug.post(PATH, b"{}", content_type="application/json", REDIS_URL="redis://:hunter2@cache").content.decode()
    assert "a defect" in page
    assert "hunter2" not in page


def test_the_password_of_the_database_is_hidden(debug, monkeypatch):
    password = PASSWORD.replace(" ", "@")

    def connect(request):
        conninfo = f"postgresql://webhooklog:{quote(password)}@db/log"
        raise RuntimeError(f"a defect in the line above of {len(conninfo)} characters")

    monkeypatch.setitem(connection.settings_dict, "PASSWORD", password)
    monkeypatch.setattr("logs.api.receiving.read_body", connect)
    headers = {"accept": "text/html"}
    page = debug.post(PATH, b"{}", content_type="application/json", headers=headers).content.decode()
    assert "<td>conninfo</td>" in page
    assert "a defect" in page
    assert password not in page
    assert quote(password) not in page


@pytest.mark.parametrize("options", [{}, {"all": True}, {"output": "unified"}])
def test_diffsettings_shows_no_secret(settings, monkeypatch, options):
    settings.CIRCLECI_WEBHOOK_SECRETS = SECRETS
    settings.METRICS_TOKEN = "a-token-of-the-tests-only"
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "open sesame")
    call_command("diffsettings", stdout=(output := StringIO()), **options)
    assert "CIRCLECI_WEBHOOK_SECRETS = '****" in output.getvalue()
    assert settings.METRICS_TOKEN not in output.getvalue()
    assert "DELIVERY_RETENTION_DAYS = 90" in output.getvalue()
    assert credentials_in(output.getvalue()) == []
