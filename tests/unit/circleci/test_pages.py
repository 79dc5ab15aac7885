"""The page of a job in CircleCI."""

import pytest

from logs.circleci.pages import job_page

ID = "2f6d1c1a-8e0b-4a57-b1de-63d0f4f7a901"
WORKFLOW = f"https://app.circleci.com/pipelines/github/acme/orchard/412/workflows/{ID}"
SERVER = f"https://circleci.acme.example:8443/pipelines/circleci/Tk4m/J8hY/31/workflows/{ID}"


@pytest.mark.parametrize(
    ("workflow_url", "number", "page"),
    [
        (WORKFLOW, 904, f"{WORKFLOW}/jobs/904"),
        (f"{WORKFLOW}/", 904, f"{WORKFLOW}/jobs/904"),
        (SERVER, 1, f"{SERVER}/jobs/1"),
    ],
)
def test_a_job_has_a_page_below_its_workflows(workflow_url, number, page):
    assert job_page(workflow_url, number) == page


@pytest.mark.parametrize("number", [None, 0])
def test_a_job_without_a_number_has_its_workflows_page(number):
    assert job_page(WORKFLOW, number) == WORKFLOW


@pytest.mark.parametrize(
    "url",
    [
        "",
        WORKFLOW[:-1],
        f"{WORKFLOW}\n",
        f"{WORKFLOW}?tab=artifacts",
        f"{WORKFLOW}#steps",
        f"{WORKFLOW}/jobs/12",
        f"https://app.circleci.com/?next=/workflows/{ID}",
        f"https://app.circleci.com/work flows/workflows/{ID}",
        f"//app.circleci.com/workflows/{ID}",
        f"javascript:alert(1)//x/workflows/{ID}",
        "https://app.circleci.com/pipelines/github/acme/orchard/412",
    ],
)
def test_a_url_of_another_form_stays_as_it_is(url):
    assert job_page(url, 904) == url
