"""The tutorial's story: CircleCI signs with ABCD1234, the site knows ABCD123, and nothing is lost."""

import json
from datetime import UTC, datetime

import pytest

from logs.circleci import samples
from tests.browser.pages import DELIVERIES
from tests.browser.site import running_site

REASON = "The secret was one digit short"


def known_secret(secret):
    """Return the variable that configures the webhook's secret."""
    return {"CIRCLECI_WEBHOOK_SECRETS": json.dumps({"My CircleCI Webhook": secret})}


@pytest.fixture
def site(engine):
    """A site that has refused what CircleCI has signed with another secret."""
    with running_site(engine, **known_secret("ABCD123")) as site:
        document = samples.workflow_completed(random=site.random, project="orchard", happened_at=datetime.now(UTC))
        assert site.post(document, secret="ABCD1234") == 401
        yield site
        assert site.server.tracebacks() == []


def test_a_refused_delivery_is_logged_after_its_secret_was_mended(browser, site):
    browser.sign_in("operator", f"{DELIVERIES}?outcome=unverified")
    assert "matches no secret" in browser.wait_for("#rows tr").text
    browser.click("#rows a.row-link")
    site.restart(**known_secret("ABCD1234"))
    browser.click("main a, main button", "Replay delivery")
    assert "unverified → logged" in browser.wait_for("#content").text
    browser.type("[name=reason]", REASON)
    browser.click("form.reason button", "Replay 1 delivery")
    assert "unverified → logged" in browser.wait_for(".messagelist").text
    browser.click("main a", "orchard")
    assert "orchard" in browser.wait_for("h1 + *, main").text
    assert site.database.query("SELECT count(*) FROM logs_workflowevent") == [(1,)]
    browser.sign_in("administrator", "/admin/admin/logentry/")
    assert REASON in browser.text


def test_nothing_is_replayed_before_the_confirmation(browser, site):
    browser.sign_in("operator", DELIVERIES)
    site.restart(**known_secret("ABCD1234"))
    browser.click("#select-all")
    browser.click("button", "Replay selected deliveries")
    browser.wait_for("form.reason")
    browser.click("form.reason a", "Back")
    browser.wait_for("main")
    assert site.database.query("SELECT outcome FROM logs_delivery") == [("unverified",)]


def test_a_viewer_is_offered_no_replay(browser):
    browser.sign_in("viewer", DELIVERIES)
    browser.wait_for("#rows tr")
    assert not browser.find("button", "Replay")
    browser.open(f"{DELIVERIES}replay/?ids=1", refused=True)
    assert "Not allowed" in browser.text
