"""From the admin's home to the first rule: add a Slack channel, test it, and accept the default rule."""

import pytest

from tests.browser.channels import URL
from tests.browser.looks import LOOKS
from tests.browser.site import running_site

MAX_CLICKS = 6
ADD_CHANNEL = "main a[href^='/admin/logs/channel/add/']"


@pytest.fixture(scope="module")
def site(engine):
    """A site that has received events, and reports nothing."""
    with running_site(engine) as site:
        site.send_events()
        yield site
        assert site.server.tracebacks() == []


@pytest.mark.parametrize("look", ["light", "phone"])
def test_the_first_rule_takes_few_clicks(browser, look, screenshots):
    clicks = []

    def click(selector, text=""):
        assert browser.violations() == []
        browser.save_screenshot(screenshots / f"notifying-{look}-{len(clicks)}.png")
        clicks.append(text)
        browser.click(selector, text)

    browser.sign_in("administrator", "/admin/")
    LOOKS[look](browser)
    click(ADD_CHANNEL)
    browser.wait(lambda: browser.path.startswith("/admin/logs/channel/add/"), "the form")
    if "kind=" not in browser.path:
        click("ul.kinds a", "Slack")
    browser.type("#id_name", f"ops on a {look} page")
    browser.type("#id_setting_url", URL)
    click("button", "Add channel and send test")
    browser.wait_for(".messagelist", "Test message queued")
    browser.wait_for("#test-result", "which channels may not reach", seconds=30)
    assert "no rule uses it" in browser.find(".warningnote").text
    click("a", "Use the default rule")
    browser.wait_for("form.rule")
    assert browser.evaluate("[...document.querySelectorAll('[name=channels]:checked')].length") == 1
    click("button", "Try on the last 7 days")
    browser.wait_for(".trial", "It would have sent")
    click("button", "Add rule")
    browser.wait_for(".messagelist", "Rule added.")
    assert f"ops on a {look} page" in browser.text
    assert browser.violations() == []
    browser.save_screenshot(screenshots / f"notifying-{look}-{len(clicks)}.png")
    assert len(clicks) <= MAX_CLICKS, clicks


def test_the_form_shows_only_what_matters_for_the_subject_even_without_scripts(browser):
    browser.sign_in("administrator", "/admin/password_change/")
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.open("/admin/logs/rule/add/?log=1")
    names = ["on_broke", "after_failures", "branches", "tags", "statuses", "alarms", "projects"]

    def shown():
        return [name for name in names if browser.find(f".field-{name}")]

    assert shown() == ["alarms", "projects"]
    browser.click("[name=subject][value=jobs]")
    assert shown() == ["branches", "tags", "statuses", "projects"]
    browser.click("[name=subject][value=changes]")
    assert shown() == ["on_broke", "after_failures", "branches", "projects"]
    browser.click("button", "Try on the last 7 days")
    browser.wait_for(".trial, .errornote")  # An error, if the other tests have added no channel yet.
