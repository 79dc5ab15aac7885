"""The first events of a new site are counted at once."""

from datetime import UTC, datetime

import pytest

from logs.circleci import samples
from tests.browser.looks import assert_is_for_everybody
from tests.browser.pages import Page
from tests.browser.site import running_site


@pytest.fixture
def site(engine):
    """A site whose log is empty."""
    with running_site(engine) as site:
        yield site
        assert site.server.tracebacks() == []


def test_the_first_events_are_counted_at_once(browser, site, screenshots):
    assert site.post(samples.ping(random=site.random, happened_at=datetime.now(UTC))) == 200
    browser.sign_in("administrator", "/admin/")
    assert "☑ First ping" in browser.text
    for count in (1, 2):
        document = samples.workflow_completed(random=site.random, happened_at=datetime.now(UTC))
        assert site.post(document) == 201
        browser.open("/admin/")
        assert browser.wait_for(".totals strong").text == str(count)
    assert "No notifications are sent: no channel is enabled." in browser.text
    assert_is_for_everybody(browser, Page(path="/admin/"), "first-events", screenshots)
