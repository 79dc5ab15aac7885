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
    text = browser.download("main a", "CSV")
    assert text.startswith("\ufeffname,")  # Excel takes UTF-8 without a byte order mark for another encoding.
    rows = csv.DictReader(io.StringIO(text))
    assert keys_of(site, (row["id"] for row in rows)) == listed
    assert len(listed) > 5


def test_ndjson_holds_the_rows_of_the_list(browser, site, listed):
    events = [json.loads(line) for line in browser.download("main a", "NDJSON").splitlines()]
    assert keys_of(site, (event["id"] for event in events)) == listed
    assert {event["project"] for event in events} == {FAILING_PROJECT}
