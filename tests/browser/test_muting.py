"""Mute a source until a date, and unmute it."""

from tests.browser.pages import SOURCES


def test_mutes_and_unmutes_a_project(browser, site):
    browser.sign_in("operator", SOURCES)
    key = site.keys["source"]
    browser.click(f"a[href$='mute/?target={key}']")
    browser.click("#id_until_1")
    browser.click("form.mute button")
    browser.wait_for(".messagelist", "My CircleCI Webhook · garden: Muted until")
    browser.click(f"button[name=target][value='{key}']")
    browser.wait_for(".messagelist", "garden: Unmuted.")
