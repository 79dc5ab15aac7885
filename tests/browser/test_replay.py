"""The tutorial's story: CircleCI signs with ABCD1234, the site knows ABCD123, and nothing is lost."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from logs.circleci import samples
from tests.browser.looks import assert_looks_good
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


def test_nothing_is_replayed_before_the_confirmation_and_then_the_filtered_list_is_shown(browser, site):
    filtered = f"{DELIVERIES}?outcome=unverified&received_after=24h"
    browser.sign_in("operator", filtered)
    preview(browser)
    assert "would change nothing" in browser.wait_for("#no-effect").text
    assert not browser.wait_for("form.reason button", "Replay 1 delivery").is_enabled()
    site.restart(**known_secret("ABCD1234"))
    browser.click("form.reason a", "Back")
    preview(browser)
    browser.wait_for("form.reason button")
    assert site.database.query("SELECT outcome FROM logs_delivery") == [("unverified",)]
    browser.type("[name=reason]", REASON)
    browser.click("form.reason button", "Replay 1 delivery")
    browser.wait_for(".messagelist", "1 × unverified → logged")
    assert browser.path == filtered
    browser.click(".messagelist a", "orchard")
    assert "orchard" in browser.wait_for("h1 + *, main").text


def preview(browser):
    """Go from the list to the preview of a replay of its rows."""
    browser.click("#select-all")
    browser.click("button", "Replay selected deliveries")


def test_all_matches_are_replayed_step_by_step_with_and_without_scripts(browser, site, screenshots):
    for _ in range(59):
        document = samples.workflow_completed(random=site.random, project="orchard", happened_at=datetime.now(UTC))
        assert site.post(document, secret="ABCD1234") == 401
    filtered = f"{DELIVERIES}?outcome=unverified"
    browser.sign_in("operator", filtered)
    late = "new Promise((resolve) => setTimeout(() => resolve(original(...all)), 2000))"
    with fetching(browser, f"(window.isFetching = true, {late})"):
        begin(browser)
        browser.wait(lambda: browser.evaluate("window.isFetching"), "the second step")
        browser.click("#replay-stop")
        assert browser.wait_for("#replay-count", "Stopped").text == "Stopped. Replayed 50 of about 60 deliveries."
    browser.click("main a", "Back to the list")

    site.restart(**known_secret("ABCD1234"))
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    begin(browser)
    assert browser.wait_for("#replay-count").text == "Replayed 25 of about 60 deliveries."
    assert site.database.query("SELECT count(*) FROM logs_workflowevent") == [(25,)]
    browser.command("Emulation.setScriptExecutionDisabled", value=False)
    with fetching(browser, "Promise.reject(new Error())"):
        browser.click("button", "Continue")
        browser.wait_for("#replay-hint", "Interrupted")
        assert browser.wait_for("#replay-count").text == "Replayed 50 of about 60 deliveries."
        assert_looks_good(browser, "replay-progress", screenshots)
    browser.click("button", "Continue")
    assert "60 × unverified → logged" in browser.wait_for("ul.counts").text
    assert browser.find("main", "The first 10 events: #")
    assert_looks_good(browser, "replay-done", screenshots)
    browser.click("main a", "Back to the list")
    browser.wait_for("#filters")
    assert browser.path == filtered
    assert site.database.query("SELECT count(*) FROM logs_workflowevent") == [(60,)]


@contextmanager
def fetching(browser, answer):
    """Let the pages of this block fetch this, an expression of the `original` fetch and `all` its arguments."""
    source = f"(() => {{ const original = window.fetch; window.fetch = (...all) => {answer}; }})()"
    script = browser.command("Page.addScriptToEvaluateOnNewDocument", source=source)
    yield
    browser.command("Page.removeScriptToEvaluateOnNewDocument", **script)


def begin(browser):
    """Go from the filtered list to the first step."""
    browser.click("a", "Replay all refused matches")
    assert "60 refused deliveries match." in browser.wait_for("main").text
    browser.type("[name=reason]", REASON)
    browser.click("form.reason button", "Replay all matches")


def test_a_viewer_is_offered_no_replay(browser):
    browser.sign_in("viewer", DELIVERIES)
    browser.wait_for("#rows tr")
    assert not browser.find("button", "Replay")
    browser.open(f"{DELIVERIES}replay/?ids=1", refused=True)
    assert "Not allowed" in browser.text
