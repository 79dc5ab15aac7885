"""A new site: the checklist leads to the first channel."""

import pytest

from tests.browser.looks import assert_is_for_everybody
from tests.browser.pages import CHANNELS, SOURCES, Page
from tests.browser.site import running_site


@pytest.fixture(scope="module")
def site(engine):
    """A site whose log is empty."""
    with running_site(engine) as site:
        yield site
        assert site.server.tracebacks() == []


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("first-run", Page(path="/admin/")),
        ("first-run-viewer", Page(path="/admin/", user="viewer")),
        ("first-run-sources", Page(path=SOURCES)),
    ],
)
def test_an_empty_site_works_on_every_look(browser, name, page, screenshots):
    assert_is_for_everybody(browser, page, name, screenshots)


def test_one_click_leads_to_the_form_of_a_channel(browser):
    browser.sign_in("administrator", "/admin/")
    browser.click("a.button", "Add Slack channel")
    browser.wait_for("#id_setting_url")
    assert browser.path == f"{CHANNELS}add/?kind=slack"


def test_a_button_copies_the_receiving_url(browser, site):
    browser.sign_in("administrator", "/admin/")
    browser.click("button[data-copy=url-1]")
    browser.wait_for("button[data-copy=url-1]", "Copied")
    assert browser.wait_for("#url-1").text == f"{site.url}/log-circleci-webhook/my-circleci-webhook"
