"""New events come into an open list, and onto an open dashboard, unless its updates are switched off."""

import re
import time
from datetime import UTC, datetime

import pytest

from logs.circleci import samples
from tests.browser.pages import DELIVERIES, EVENTS
from tests.browser.site import UNSIGNED_PATH

POLLING_SECONDS = 5  # As in lists.js.
AGE = r"(now|\d+ sec\. ago)"


@pytest.fixture
def happen(site):
    """Send an event of a branch, or a newer version of one."""

    def send(branch, *, expected=201, **options):
        document = samples.workflow_completed(
            random=site.random, project="lighthouse", branch=branch, happened_at=datetime.now(UTC), **options
        )
        assert site.post(document) == expected
        return f"{EVENTS}{site.key_of(document)}/change/"

    return send


def test_a_new_event_appears_without_reloading(browser, happen):
    browser.sign_in("viewer", EVENTS)
    browser.evaluate("window.isSamePage = true")
    path = happen("live")
    link = browser.wait_for(f"#rows tr:first-child a[href='{path}']", seconds=POLLING_SECONDS + 10)
    assert link.is_displayed()
    assert re.fullmatch(AGE, browser.find("#rows tr:first-child time").text)
    assert browser.wait_for("#live-news").text.startswith("+")
    assert browser.evaluate("window.isSamePage")


def test_a_new_event_that_is_filtered_out_does_not_appear(browser, happen):
    browser.sign_in("viewer", f"{EVENTS}?branch=of-that-name")
    assert not browser.all("#rows tr")
    happen("of-another-name")
    path = happen("of-that-name")
    link = browser.wait_for(f"#rows a[href^='{path}']", seconds=POLLING_SECONDS + 10)
    assert link.get_attribute("href").endswith("?list=branch%3Dof-that-name")
    assert len(browser.all("#rows tr")) == 1


def test_a_newer_version_takes_the_place_of_its_row(browser, happen):
    workflow_id = "0b6f6b1e-91a5-4b8c-8f0e-5d1f4ad3c2b7"
    browser.sign_in("viewer", f"{EVENTS}?branch=canceled-twice")
    happen("canceled-twice", status="success", workflow_id=workflow_id)
    browser.wait_for("#rows .pill", "success", seconds=POLLING_SECONDS + 10)
    browser.evaluate("document.querySelector('#rows a.row-link').focus()")
    path = happen("canceled-twice", status="failed", workflow_id=workflow_id, expected=200)
    browser.wait_for("#rows .pill", "failed", seconds=POLLING_SECONDS + 10)
    assert len(browser.all("#rows tr")) == 1
    assert browser.evaluate("document.activeElement.pathname") == path
    assert browser.wait_for("#live-news").text == "+1"


def test_nothing_appears_while_the_switch_is_off(browser, happen):
    browser.sign_in("viewer", f"{EVENTS}?branch=unseen")
    browser.click("#live-switch")
    happen("unseen")
    time.sleep(POLLING_SECONDS + 2)
    assert not browser.all("#rows tr")
    browser.click("#live-switch")
    browser.wait_for("#rows tr", seconds=POLLING_SECONDS + 10)


def test_a_failed_look_is_told_until_one_succeeds(browser):
    browser.sign_in("viewer", EVENTS)
    browser.command("Network.clearBrowserCookies")
    browser.wait_for("#live-news", "or signed out", seconds=POLLING_SECONDS + 10)
    browser.command("Network.setCookie", url=browser.site.url, name="sessionid", value=browser.site.sessions["viewer"])
    browser.wait(
        lambda: browser.evaluate("document.getElementById('live-news').textContent") == "",
        "the end of the warning",
        seconds=POLLING_SECONDS + 10,
    )


def test_a_hidden_tab_does_not_ask(browser, happen):
    browser.sign_in("viewer", f"{EVENTS}?branch=hidden")
    looks = "performance.getEntriesByType('resource').filter((each) => each.name.includes('/newer/')).length"
    browser.wait(lambda: browser.evaluate(looks) > 0, "a look", seconds=POLLING_SECONDS + 10)
    browser.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    happen("hidden")
    before = browser.evaluate(looks)
    time.sleep(POLLING_SECONDS + 2)
    assert browser.evaluate(looks) == before
    browser.evaluate("delete document.hidden")
    browser.wait_for("#rows tr", seconds=POLLING_SECONDS + 10)


def test_an_empty_list_offers_to_verify_what_arrives(browser):
    browser.sign_in("operator", f"{DELIVERIES}?webhook=From a fork&outcome=ping")
    button = browser.wait_for("#replay-selected")
    assert not button.is_enabled()
    ping = samples.ping(random=browser.site.random, happened_at=datetime.now(UTC))
    assert browser.site.post(ping, secret=None, path=UNSIGNED_PATH) == 200
    browser.wait_for("#rows tr", seconds=POLLING_SECONDS + 10)
    assert button.is_enabled()


def test_a_list_that_has_become_long_begins_anew(browser, happen):
    browser.sign_in("viewer", EVENTS)
    browser.evaluate("window.isSamePage = true")
    browser.evaluate("""[...Array(500)].forEach(() => {
        document.getElementById("rows").append(document.querySelector("#rows tr").cloneNode(true));
    })""")
    happen("long")
    browser.wait(lambda: not browser.evaluate("window.isSamePage"), "a new page", seconds=POLLING_SECONDS + 10)
    assert len(browser.all("#rows tr")) == 50


def test_suggestions_that_fail_leave_the_page_in_peace(browser):
    browser.sign_in("viewer", EVENTS)
    browser.command("Network.clearBrowserCookies")
    browser.type("[name=project]", "harb")
    time.sleep(1)
    assert browser.evaluate("document.querySelector('[name=project]').list.options.length") == 0


# The dashboard.

TOP = "document.getElementById('workflows-title').getBoundingClientRect().top"


@pytest.fixture
def break_workflow(site):
    """Send a failed run of a workflow, and wait until the watch has judged it."""

    def send(workflow):
        document = samples.workflow_completed(
            random=site.random,
            project="lighthouse",
            workflow=workflow,
            branch="main",
            status="failed",
            happened_at=datetime.now(UTC),
        )
        assert site.post(document) == 201
        site.keys["broken"] = site.key_of(document)
        site.wait_until_judged("broken")

    return send


def poll(browser):
    """Let the dashboard poll now, as it does when its tab becomes visible."""
    browser.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_newly_broken_workflow_appears_on_the_dashboard(browser, break_workflow):
    browser.sign_in("viewer", "/admin/")
    browser.evaluate("window.isSamePage = true")
    browser.click("#hours-title + .card summary")
    browser.evaluate("document.querySelector('details td').textContent = 'outdated'")
    browser.evaluate("document.querySelector('.broken .button').focus()")
    focused = browser.evaluate("document.activeElement.href")
    browser.evaluate("document.documentElement.style.overflowAnchor = 'none'")  # As in Safari.
    browser.evaluate("document.getElementById('workflows-title').scrollIntoView()")
    top = browser.evaluate(TOP)
    unchanged = browser.find("#slowest-title")
    break_workflow("broken-live")
    poll(browser)
    browser.wait_for(".broken li", "lighthouse › broken-live")
    assert browser.evaluate("window.isSamePage")
    assert browser.evaluate("document.activeElement.href") == focused
    assert browser.find("details[open] td").text != "outdated"
    assert browser.evaluate(TOP) == pytest.approx(top, abs=2)
    assert unchanged.is_displayed()  # It is the same element.
    assert re.search(f"since {AGE}", browser.find(".broken li", "broken-live").text)


def test_the_dashboard_stays_as_it_is_while_paused(browser, break_workflow):
    browser.sign_in("viewer", "/admin/")
    browser.click("#pause-updates", "Pause updates")
    browser.wait_for("#update-problem", "Updates are paused.")
    break_workflow("broken-paused")
    poll(browser)
    time.sleep(1)
    assert browser.find(".broken li", "broken-paused") is None
    browser.click("#pause-updates", "Resume updates")
    browser.wait_for(".broken li", "broken-paused")
    assert browser.evaluate("document.getElementById('update-problem').textContent") == ""


def test_the_dashboard_says_that_it_is_signed_out(browser):
    browser.sign_in("viewer", "/admin/?wall")
    browser.command("Network.clearBrowserCookies")
    poll(browser)
    browser.wait_for("#update-problem", "You are signed out, and updates have stopped.")
    browser.click("#update-problem a", "Sign in")
    browser.wait_for("#id_username")
    assert "wall" in browser.path


def test_the_dashboard_says_since_when_it_could_not_update(browser):
    browser.sign_in("viewer", "/admin/?wall")
    browser.evaluate("window.realFetch = window.fetch")
    browser.evaluate("window.fetch = () => Promise.reject(new TypeError())")
    poll(browser)
    updated = browser.evaluate("document.querySelector('#updated time').textContent")
    browser.wait_for("#update-problem", f"Could not update since {updated}; retrying.")
    assert browser.find(".not-updated") is not None  # Which takes its green from the verdict that all pass.
    browser.evaluate("window.fetch = window.realFetch")
    poll(browser)
    browser.wait(
        lambda: browser.evaluate("document.getElementById('update-problem').textContent") == "", "the end of the notice"
    )


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720)])
def test_eight_broken_workflows_and_notices_fit_on_a_wall(browser, width, height):
    browser.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    browser.sign_in("viewer", "/admin/?wall")
    browser.evaluate("""(() => {
        const rows = document.querySelector(".wall-broken ul");
        while (rows.children.length < 8) rows.append(rows.children[0].cloneNode(true));
        rows.querySelectorAll("bdi").forEach((each) => { each.textContent = each.textContent.repeat(9); });
        rows.insertAdjacentHTML("afterend", "<p class=wall-more>and 12 more</p>");
        const notices = document.querySelector(".wall-notices");
        [...notices.children].slice(1).forEach((each) => each.remove());
        notices.append(notices.querySelector(".news").cloneNode(true));
    })()""")
    assert browser.evaluate("[document.documentElement.scrollHeight, document.documentElement.scrollWidth]") == [
        height,
        width,
    ]
    assert browser.evaluate("document.querySelector('.wall-totals').getBoundingClientRect().bottom") <= height
    assert browser.evaluate("""[...document.querySelectorAll(".wall-broken li p")].every(
        (each) => each.getBoundingClientRect().bottom <= each.parentNode.getBoundingClientRect().bottom
    )""")
    size = browser.evaluate("parseFloat(getComputedStyle(document.querySelector('.wall-name')).fontSize)")
    assert size >= 0.03 * height
