"""Without a script, without a mouse, without motion."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import PHONE_WIDTH
from tests.browser.pages import DELIVERIES, EVENTS, INSIGHTS, PIPELINES, WORKFLOW
from tests.browser.runs import FAILING_PROJECT, FAILING_WORKFLOW

FOCUS = """(() => {
    const element = document.activeElement;
    const look = () => JSON.stringify(["outline", "boxShadow", "backgroundColor", "borderColor", "textDecoration"].map(
        (name) => getComputedStyle(element)[name]));
    const focused = look();
    const name = element.innerText || element.getAttribute("aria-label") || element.name || element.id;
    // The parts of a date have the focus in turn; given back, it would be the first part's again.
    const {outlineWidth} = getComputedStyle(element);
    if (element.type === "datetime-local") return [element.tagName, name, outlineWidth === "3px"];
    element.blur();
    const blurred = look();
    element.focus({preventScroll: true, focusVisible: true});
    return [element.tagName, name, focused !== blurred];
})()"""


@pytest.fixture
def without_scripts(browser):
    """A browser that runs no script of a page's."""
    browser.sign_in("operator", "/admin/password_change/")
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    return browser


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/admin/", f"{FAILING_PROJECT} › {FAILING_WORKFLOW}"),
        ("/admin/?wall", f"{FAILING_PROJECT} › {FAILING_WORKFLOW}"),
        (PIPELINES, FAILING_PROJECT),
        (f"{PIPELINES}{{failing_job}}/", "Failed: unit-tests failed in build-and-test."),
        (EVENTS, FAILING_WORKFLOW),
        (f"{EVENTS}{{failing_job}}/change/", 'name "unit-tests"'),
        ("/admin/flaky/", "build-and-test"),
        (INSIGHTS, FAILING_PROJECT),
        (f"{WORKFLOW}&window=7d", "Durations per 6 h"),
        ("/admin/projects/{project}/", "State of each workflow and branch"),
        (DELIVERIES, "the circleci-signature matches no secret"),
        (f"{DELIVERIES}{{guessed}}/change/", "the circleci-signature matches no secret"),
    ],
)
def test_a_page_tells_all_without_scripts(without_scripts, path, shown):
    without_scripts.open(path.format(**without_scripts.site.keys))
    assert shown in without_scripts.wait_for("main").text
    assert "UTC" in without_scripts.find("main time").text


def test_a_list_is_filtered_and_paged_without_scripts(without_scripts):
    without_scripts.open(EVENTS)
    without_scripts.type("[name=project]", FAILING_PROJECT)
    without_scripts.click("#filters button", "Apply filters")
    without_scripts.wait(lambda: f"project={FAILING_PROJECT}" in without_scripts.path, "a filter in the address")
    assert {each.text for each in without_scripts.all("#rows td:nth-child(3)")} == {FAILING_PROJECT}
    without_scripts.click("#rows a.row-link")
    without_scripts.click("a[rel=next]")
    without_scripts.wait_for("a[rel=prev]")
    without_scripts.click(".breadcrumbs a", f"Events (project: {FAILING_PROJECT})")
    without_scripts.wait(lambda: without_scripts.path == f"{EVENTS}?project={FAILING_PROJECT}", "the filtered list")
    without_scripts.open(EVENTS)
    without_scripts.click("a[rel=next]")
    without_scripts.wait_for("a[rel=prev]")


def test_a_token_is_made_without_scripts(without_scripts):
    without_scripts.open("/admin/logs/apitoken/add/")
    without_scripts.type("#id_name", "A script")
    without_scripts.click("button", "Create API token")
    assert without_scripts.wait_for("#token-key").text.startswith("whl_")
    assert without_scripts.find("button", "Copy") is None


def test_a_pipeline_unfolds_without_scripts(without_scripts):
    without_scripts.open(PIPELINES)
    without_scripts.click("#rows summary")
    assert without_scripts.wait_for("#rows details[open] .run a").text


def tabbed(browser, most):
    """Press Tab so often, and return what has had the focus; each of these showed it."""
    stops = []
    for _ in range(most):
        browser.press(Keys.TAB)
        tag, name, is_visible = browser.evaluate(FOCUS)
        if tag == "BODY":
            break
        assert is_visible, f"the focus cannot be seen on {tag} {name}"
        stops.append(name.strip())
    return stops


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_list_is_used_with_the_keyboard_alone(browser, scheme):
    browser.prefer(color_scheme=scheme)
    browser.sign_in("viewer", f"{EVENTS}?project={FAILING_PROJECT}&branch=main&status=failed")
    stops = tabbed(browser, 80)
    wanted = ["Skip to main content", "Dashboard", "Deliveries", "search", "project", "Apply filters", "All", "CSV"]
    places = [stops.index(each) for each in wanted]
    assert places == sorted(places)
    assert "unit-tests" in stops[places[-1] :]


def test_the_dashboard_is_used_with_the_keyboard_alone(browser):
    browser.sign_in("viewer", "/admin/")
    stops = tabbed(browser, 70)
    assert any(each.startswith("Last failed run") for each in stops)
    assert "7 days" in stops


def test_a_payload_is_used_with_the_keyboard_alone(browser):
    browser.sign_in("operator", f"{EVENTS}{browser.site.keys['failing_job']}/change/")
    stops = tabbed(browser, 60)
    assert "payload-search" in stops
    assert "Collapse all" in stops


@pytest.mark.parametrize("path", ["/admin/", EVENTS, f"{EVENTS}{{failing_job}}/change/", DELIVERIES])
def test_nothing_moves_for_those_who_prefer_that(browser, path):
    browser.prefer(reduced_motion="reduce")
    browser.sign_in("operator", path.format(**browser.site.keys))
    browser.evaluate("document.querySelectorAll('#rows tr').forEach((row) => row.classList.add('new'))")
    browser.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = !each.open; })")
    moving = "document.getAnimations().filter((each) => each.effect.getComputedTiming().activeDuration > 1).length"
    assert browser.evaluate(moving) == 0


@pytest.mark.parametrize(("path", "entry"), [("/admin/", "Dashboard"), ("/admin/logs/apitoken/", "API tokens")])
def test_a_phone_shows_the_current_page_in_the_navigation(browser, path, entry):
    browser.be_a_phone()
    browser.sign_in("administrator", path)
    current = browser.wait_for("#site-nav [aria-current]", entry).rect
    assert current["x"] >= 0
    assert current["x"] + current["width"] <= PHONE_WIDTH - 32  # The fade.
    assert browser.evaluate("scrollX") == 0
