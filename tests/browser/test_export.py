"""The list that somebody looks at, as a file."""

import csv
import io
import json

import pytest

from tests.browser.pages import EVENTS
from tests.browser.runs import FAILING_PROJECT

FILTER = f"{EVENTS}?project={FAILING_PROJECT}&branch=main&event_type=workflow-completed"


@pytest.fixture
def listed(browser):
    """The keys of the events that a filtered list shows, the newest first."""
    browser.sign_in("viewer", FILTER)
    links = browser.evaluate("[...document.querySelectorAll('#rows a.row-link')].map((each) => each.pathname)")
    return [int(link.split("/")[-3]) for link in links]


def keys_of(site, ids):
    return [site.key_of({"id": each}) for each in ids]


def test_csv_holds_the_rows_of_the_list(browser, site, listed):
    text = browser.download("main button", "CSV")
    assert text.startswith("\ufeffname,")  # Excel takes UTF-8 without a byte order mark for another encoding.
    rows = csv.DictReader(io.StringIO(text))
    assert keys_of(site, (row["id"] for row in rows)) == listed
    assert len(listed) > 5


def test_ndjson_holds_the_rows_of_the_list(browser, site, listed):
    events = [json.loads(line) for line in browser.download("main button", "NDJSON").splitlines()]
    assert keys_of(site, (event["id"] for event in events)) == listed
    assert {event["project"] for event in events} == {FAILING_PROJECT}


def test_csv_holds_the_rows_of_a_filter_that_was_typed_but_not_submitted(browser, site):
    browser.sign_in("viewer", f"{EVENTS}?status=failed&received_after=7d")
    browser.type("[name=project]", FAILING_PROJECT.upper())
    text = browser.download("main button", "CSV")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {(row["project"], row["status"]) for row in rows} == {(FAILING_PROJECT, "failed")}
    browser.open(f"{EVENTS}?status=failed&received_after=7d&project={FAILING_PROJECT}&ordering=received_at")
    links = browser.evaluate("[...document.querySelectorAll('#rows a.row-link')].map((each) => each.pathname)")
    assert keys_of(site, (row["id"] for row in rows)) == [int(link.split("/")[-3]) for link in links][::-1]
    assert len(rows) > 5
