"""Payloads that are written to harm whoever looks at them, on every page that shows them."""

import pytest

from tests.browser.looks import assert_is_for_everybody
from tests.browser.pages import DELIVERIES, EVENTS, HOSTILE_PAGES, INSIGHTS, PIPELINES
from tests.browser.pages import MARKUP as MARKUP_IN_URL
from tests.browser.runs import MARKUP, RIGHT_TO_LEFT
from tests.browser.site import running_site

HARMED = """[
    window.hacked !== undefined,
    document.getElementById("injected") !== null,
    document.querySelector("img[src=x]") !== null,
    [...document.links].some((link) => link.protocol === "javascript:"),
    [...document.scripts].some((script) => script.textContent.includes("hacked")),
]"""

# The elements that hold a text, and how each keeps its direction to itself.
HOLDERS = """[...document.querySelectorAll("main *")].filter(
    (each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.includes(arguments[0]))
).map((each) => [each.outerHTML, getComputedStyle(each).unicodeBidi])"""


@pytest.fixture(scope="module")
def site(engine):
    """A site that has nothing but what a stranger has sent, which its dashboard shows as broken."""
    with running_site(engine, DEFAULT_BRANCHES="*") as site:
        site.send_hostile()
        site.manage("rollup")
        site.wait_until_judged("hostile")
        site.make_channels(MARKUP[:100])
        site.make_sources(MARKUP[:100])
        site.wait_until_flaky()
        yield site
        assert site.server.tracebacks() == []


@pytest.mark.parametrize("name", HOSTILE_PAGES)
def test_hostile_text_does_no_harm(browser, name, screenshots):
    assert_is_for_everybody(browser, HOSTILE_PAGES[name], name, screenshots)
    assert browser.evaluate(HARMED) == [False] * 5


def test_markup_is_shown_as_it_was_sent(browser):
    browser.sign_in("administrator", f"/admin/logs/workflowevent/{browser.site.keys['hostile']}/change/")
    assert MARKUP in browser.find("h1").text
    assert MARKUP in browser.find(".tree").text


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        PIPELINES,
        f"{PIPELINES}{{hostile}}/",
        EVENTS,
        f"{EVENTS}{{hostile}}/change/",
        f"{INSIGHTS}workflow/?project={MARKUP_IN_URL}&workflow={MARKUP_IN_URL}",
        f"{DELIVERIES}{{hostile_delivery}}/change/",
    ],
)
def test_text_from_right_to_left_turns_nothing_around_it(browser, path):
    browser.sign_in("administrator", path.format(**browser.site.keys))
    holders = browser.evaluate(HOLDERS, RIGHT_TO_LEFT[0])
    assert holders
    assert [holder for holder in holders if holder[1] not in ("isolate", "isolate-override", "plaintext")] == []


def test_a_name_without_end_takes_two_lines_of_a_list(browser):
    browser.sign_in("administrator", EVENTS)
    heights = browser.evaluate(
        "[...document.querySelectorAll('#rows td.name > a')].map((each) => each.getBoundingClientRect().height)"
    )
    assert 20 < max(heights) < 50
