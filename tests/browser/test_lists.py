"""The list of events: filters by click and by form, addresses to share, the search box, and keys."""

import re

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.pages import DELIVERIES, EVENTS, PIPELINES
from tests.browser.runs import BAD_AUTHOR, FAILING_PROJECT

PROJECT_COLUMN, AUTHOR_COLUMN = "#rows td:nth-child(3)", "#rows td:nth-child(6)"


@pytest.fixture
def events(browser):
    """A browser at the list of events."""
    browser.sign_in("viewer", EVENTS)
    return browser


def words(browser, selector):
    """Return the different texts of the elements that a selector finds."""
    return set(browser.evaluate("[...document.querySelectorAll(arguments[0])].map((each) => each.innerText)", selector))


def test_a_click_filters_and_keeps_what_was_typed_and_the_rows_lead_back(events):
    events.type("[name=author]", BAD_AUTHOR.lower())
    events.click("[aria-label=Status] button", "Any failure")
    events.wait(lambda: "status=" in events.path, "a filter in the address")
    assert words(events, "#rows .pill") == {"✕ failed"}
    assert words(events, AUTHOR_COLUMN) == {BAD_AUTHOR}
    assert events.wait_for("[aria-label=Status] [aria-pressed=true]").text == "Any failure"
    events.click("[aria-label=Type] button", "Jobs")
    events.wait(lambda: "event_type=job-completed" in events.path, "a second filter in the address")
    assert "status=" in events.path
    events.type("[name=author]", "*", Keys.ENTER)
    events.wait(lambda: "author=%2A" in events.path, "another author")
    assert events.wait_for("[aria-label=Status] [aria-pressed=true]").text == "Any failure"
    filtered = events.path
    first, second = events.evaluate("[...document.querySelectorAll('#rows a.row-link')].map((a) => a.pathname)")[:2]
    events.click("#rows a.row-link")
    events.wait(lambda: events.path.startswith(first), "the first row")
    events.press("j")
    events.wait(lambda: events.path.startswith(second), "the second row")
    events.click("a[rel=prev]")
    events.wait(lambda: events.path.startswith(first), "the first row again")
    events.click(".breadcrumbs a", "Events (author: ")
    events.wait(lambda: events.path == filtered, "the filtered list")


def test_the_form_filters_and_its_address_can_be_shared(events, other_browser):
    events.type("[name=project]", FAILING_PROJECT)
    events.type("[name=author]", BAD_AUTHOR, Keys.ENTER)
    events.wait(lambda: "author=Ottokar" in events.path, "filters in the address")
    assert "workflow=" not in events.path
    assert words(events, PROJECT_COLUMN) == {FAILING_PROJECT}
    other_browser.sign_in("operator", events.path)
    assert words(other_browser, "#rows a.row-link") == words(events, "#rows a.row-link")
    assert other_browser.wait_for("[name=author]").get_attribute("value") == BAD_AUTHOR


def test_older_and_newer_pages_are_a_click_away(events):
    first_row = "document.querySelector('#rows a.row-link').pathname"
    first = events.evaluate(first_row)
    events.click("a[rel=next]")
    events.wait(lambda: "cursor=" in events.path, "the second page")
    assert events.evaluate(first_row) != first
    events.click("a[rel=prev]")
    events.wait(lambda: events.evaluate(first_row) == first, "the first page")


def test_the_search_box_leads_an_id_to_its_event(events):
    events.type("#search", events.site.keys["failing_job_id"], Keys.ENTER)
    events.wait(lambda: events.path == f"{EVENTS}{events.site.keys['failing_job']}/change/", "the event")


def test_the_search_box_leads_a_commit_to_its_events(events):
    commit = events.wait_for("#rows code").text
    events.type("#search", commit, Keys.ENTER)
    events.wait(lambda: events.path == f"{EVENTS}?revision={commit}", "the commit's events")
    assert words(events, "#rows code") == {commit}


def test_the_search_box_leads_a_number_to_its_pipeline(events):
    number = events.find("#rows td:last-child a", "#").text.split()[0]
    events.type("#search", number, Keys.ENTER)
    events.wait(lambda: events.path == f"{EVENTS}?pipeline={number[1:]}", "the pipeline's events")
    assert all(number in each for each in words(events, "#rows td:last-child"))
    assert events.wait_for("#search").get_attribute("value") == number


def test_the_search_box_takes_all_else_for_words(events):
    events.type("#search", "paint", Keys.ENTER)
    events.wait(lambda: events.path == f"{EVENTS}?q=paint", "a search for words")
    assert events.all("#rows tr")


def test_values_are_suggested_while_somebody_types(events):
    events.type("[name=project]", "harb")
    options = "[...document.querySelector('[name=project]').list.options].map((each) => each.value)"
    events.wait(lambda: events.evaluate(options) == [FAILING_PROJECT], "suggestions")


def test_keys_move_and_open(events):
    events.press("j", "j", "k", "j")
    rows = "[...document.querySelectorAll('#rows a.row-link')]"
    assert events.evaluate(f"{rows}.indexOf(document.activeElement)") == 1
    address = events.evaluate("document.activeElement.pathname")
    events.press(Keys.ENTER)
    events.wait(lambda: events.path == address, "the event")


def test_a_key_leads_to_the_search_box_and_types_nothing(events):
    events.press("/")
    assert events.evaluate("document.activeElement.id") == "search"
    events.press("/j")
    assert events.wait_for("#search").get_attribute("value") == "/j"


def test_keys_can_be_switched_off(events):
    events.click("#keys-switch")
    events.press("j")
    assert events.evaluate("document.activeElement.id") == "keys-switch"
    events.driver.refresh()
    assert not events.wait_for("#keys-switch").is_selected()


def test_times_are_told_in_the_zone_of_whoever_looks(events):
    events.command("Emulation.setTimezoneOverride", timezoneId="Pacific/Auckland")
    events.driver.refresh()
    exact, utc = events.wait_for("#rows time").get_attribute("title").split("\n")
    assert "UTC" in utc
    assert exact.split(", ")[-1] not in utc
    assert re.search(r" GMT\+1[23]$", exact)
    assert "Times in Pacific/Auckland" in events.text


def test_a_date_is_picked_in_that_zone_and_the_address_is_in_utc(events):
    events.command("Emulation.setTimezoneOverride", timezoneId="Pacific/Auckland")
    events.open(f"{EVENTS}?received_before=2026-05-04T10:00:12.5Z")
    shown = "[document.querySelector('[name=from]').value, document.querySelector('[name=to]').value]"
    assert events.evaluate(shown) == ["", "2026-05-04T22:00:12"]
    assert "From (Pacific/Auckland)" in events.text
    events.evaluate("(document.querySelector('[name=from]').value = '2026-01-01T12:00')")
    events.click("button", "Apply filters")
    bounds = "received_before=2026-05-04T10%3A00%3A12.5Z&received_after=2025-12-31T23%3A00Z"
    events.wait(lambda: events.path == f"{EVENTS}?{bounds}", "the bounds in UTC")
    assert events.evaluate(shown) == ["2026-01-01T12:00", "2026-05-04T22:00:12"]
    events.command("Emulation.setScriptExecutionDisabled", value=True)
    events.driver.refresh()
    assert "From (UTC)" in events.text
    assert "Times in UTC" in events.text
    events.click("[aria-label=Status] button", "Succeeded")
    events.wait(lambda: events.path == f"{EVENTS}?{bounds}&status=success", "the same bounds")
    events.command("Emulation.setScriptExecutionDisabled", value=False)


OUT_OF_SIGHT = """[...document.querySelectorAll("table.stacked tbody td, table.stacked tbody td *")].filter(
    (each) => each.getBoundingClientRect().right > innerWidth
).map((each) => each.outerHTML)"""


@pytest.mark.parametrize("path", [EVENTS, DELIVERIES, f"{DELIVERIES}replay/?ids={{guessed}},{{forbidden}}"])
def test_a_phone_shows_all_cells_without_scrolling_to_the_right(browser, path):
    browser.be_a_phone()
    browser.sign_in("administrator", path.format(**browser.site.keys))
    assert browser.all("table.stacked tbody tr")
    assert browser.evaluate(OUT_OF_SIGHT) == []


def test_a_phone_shows_the_reason_below_the_outcome(browser):
    browser.be_a_phone()
    browser.sign_in("administrator", f"{DELIVERIES}?outcome=unverified")
    outcome, reason = browser.wait_for("#rows .pill"), browser.wait_for("#rows td.reason")
    assert reason.rect["y"] >= outcome.rect["y"] + outcome.rect["height"]
    assert reason.rect["width"] > 300
    assert "ago" in browser.wait_for("#rows time").text


@pytest.mark.parametrize(
    "path", [f"{EVENTS}?status=failed", f"{DELIVERIES}?outcome=logged", f"{PIPELINES}?status=failed"]
)
def test_a_small_phone_shows_the_first_row_and_unfolds_the_filters(browser, path):
    browser.be_a_phone(width=360, height=640)
    browser.sign_in("administrator", path)
    first = browser.wait_for("#rows tr").rect
    assert first["y"] + first["height"] <= 640
    assert browser.find("[name=webhook]") is None
    browser.click(".fold", "Filters (1)")
    browser.type("[name=webhook]", "none such", Keys.ENTER)
    browser.wait_for(".fold", "Filters (2)")
    browser.evaluate("document.getElementById('show-filters').focus()")
    browser.press(Keys.SPACE)
    assert browser.wait_for("[name=webhook]").get_attribute("value") == "none such"
