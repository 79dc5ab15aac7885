"""Something is red: two clicks lead from there to its cause."""

import re

from selenium.webdriver.common.keys import Keys

from logs.circleci import samples
from tests.browser.pages import EVENTS
from tests.browser.runs import BAD_AUTHOR, BAD_COMMIT, FAILING_JOB, FAILING_PROJECT, FAILING_WORKFLOW


def test_two_clicks_lead_from_a_broken_workflow_to_its_failing_jobs_payload(browser):
    browser.sign_in("operator", "/admin/")
    broken = browser.wait_for(".broken li", f"{FAILING_PROJECT} › {FAILING_WORKFLOW}")
    assert BAD_COMMIT in broken.text
    assert BAD_AUTHOR in broken.text
    assert FAILING_JOB in broken.text
    assert "3 failed runs in a row" in broken.text
    compared = broken.find_element("partial link text", "Compare commits").get_attribute("href")
    assert re.fullmatch(
        rf"https://github.com/acme/{FAILING_PROJECT}/compare/[0-9a-f]{{40}}\.\.\.[0-9a-f]{{40}}", compared
    )
    broken.find_element("partial link text", "Last failed run").click()
    browser.click("main a", FAILING_JOB)
    browser.wait(lambda: browser.path == f"{EVENTS}{browser.site.keys['failing_job']}/change/", "the failing job")
    assert f'name "{FAILING_JOB}"' in browser.wait_for(".tree").text


def test_one_search_tells_what_arrived_what_was_refused_and_what_never_came(browser):
    site = browser.site
    sql = f"SELECT pipeline_number FROM logs_workflowevent WHERE id = {site.keys['failing_workflow']}"
    ((number,),) = site.database.query(sql)
    assert site.post(samples.workflow_completed(random=site.random, pipeline=4711), secret="a wrong one") == 401
    browser.sign_in("operator", "/admin/")
    browser.press("/")
    browser.type("#find-box", f"#{number}", Keys.ENTER)
    arrived = browser.wait_for(".finding", f"pipeline #{number} of {FAILING_PROJECT}").text
    assert "Arrived" in arrived
    assert BAD_COMMIT in arrived
    assert BAD_AUTHOR in arrived
    browser.type("#find-box", "#4711", Keys.ENTER)
    refused = browser.wait_for(".finding", "Refused").text
    assert "the circleci-signature matches no secret" in refused
    assert "What to do: Compare the secret" in refused
    browser.type("#find-box", "#4712", Keys.ENTER)
    never = browser.wait_for(".finding", "pipeline #4712").text
    assert "Never arrived" in never
    assert "Check these three things:" in never


def test_one_search_tells_which_commit_broke_a_project_who_and_which_job(browser):
    browser.sign_in("viewer", EVENTS)
    browser.type("#find-box", FAILING_PROJECT.upper(), Keys.ENTER)
    broken = browser.wait_for(".finding", "broken")
    assert f"{FAILING_WORKFLOW} on main" in broken.text
    assert BAD_COMMIT in broken.text
    assert BAD_AUTHOR in broken.text
    browser.click(".finding a", FAILING_JOB)
    browser.wait(lambda: browser.path == f"{EVENTS}{browser.site.keys['failing_job']}/change/", "the failing job")


def test_the_figures_lead_to_the_events_that_prove_them(browser):
    browser.sign_in("viewer", "/admin/?period=7d")
    browser.click(".workflows tbody th a", FAILING_WORKFLOW)
    browser.wait_for("#rows tr")
    assert browser.path.startswith(EVENTS)
    assert "project=" in browser.path
    assert f"workflow={FAILING_WORKFLOW}" in browser.path


def test_the_payload_is_searched_and_folded(browser):
    browser.sign_in("operator", f"{EVENTS}{browser.site.keys['failing_job']}/change/")
    browser.click("[data-fold=closed]")
    assert not browser.find(".tree .key", "commit")
    browser.type("#payload-search", FAILING_JOB)
    assert browser.wait_for(".tree mark.current").text == FAILING_JOB
    assert "1 / " in browser.find("#payload-found").text
