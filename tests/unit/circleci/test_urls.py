"""What a pasted URL names."""

from dataclasses import asdict

import pytest

from logs.circleci.urls import read_url

WORKFLOW = "2f6d1c1a-8e0b-4a57-b1de-63d0f4f7a901"
SHA = "4be1c0d9a7f35e2681d4c09b7ae3f5128c6d9e07"
SHOP = {"slug": "github/acme/shop"}
REPOSITORY = SHOP | {"repository": "shop"}
APP = {"slug": "circleci/Tk4m/J8hY"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("https://app.circleci.com/pipelines/github/acme/shop/4711", SHOP | {"pipeline": 4711}),
        ("https://app.circleci.com/pipelines/gh/acme/shop/4711/", SHOP | {"pipeline": 4711}),
        ("app.circleci.com/pipelines/gh/acme/shop/4711?filter=mine#top", SHOP | {"pipeline": 4711}),
        (
            f"https://app.circleci.com/pipelines/circleci/Tk4m/J8hY/5/workflows/{WORKFLOW.upper()}",
            APP | {"pipeline": 5, "workflow_id": WORKFLOW},
        ),
        (
            f"https://app.circleci.com/pipelines/gh/acme/shop/4711/workflows/{WORKFLOW}/jobs/17",
            SHOP | {"pipeline": 4711, "workflow_id": WORKFLOW, "job": 17},
        ),
        (
            f"https://ci.example.org/pipelines/gh/acme/shop/4711/workflows/{WORKFLOW}/jobs/17",
            SHOP | {"pipeline": 4711, "workflow_id": WORKFLOW, "job": 17},
        ),
        ("https://app.circleci.com/pipelines/github/acme/shop?branch=main", SHOP),
        ("https://app.circleci.com/projects/gh/acme/shop", SHOP),
        ("https://circleci.com/gh/acme/shop/17", SHOP | {"job": 17}),
        ("https://app.circleci.com/jobs/github/acme/shop/17", SHOP | {"job": 17}),
        ("https://circleci.com/bb/acme/shop", {"slug": "bitbucket/acme/shop"}),
        ("https://circleci.com/gh/acme/shop/tree/feature%2Flogin", SHOP | {"branch": "feature/login"}),
        (f"https://circleci.com/workflow-run/{WORKFLOW}", {"workflow_id": WORKFLOW}),
        ("https://github.com/acme/shop", REPOSITORY),
        ("https://github.com/acme/shop.git", REPOSITORY),
        ("git@github.com:acme/shop.git", REPOSITORY),
        ("github.com/acme/shop", REPOSITORY),
        ("https://github.com/acme/shop/pull/7/files", REPOSITORY),
        ("https://git.example.org/acme/shop", {"repository": "shop"}),
        (f"https://github.com/acme/shop/commit/{SHA}", REPOSITORY | {"revision": SHA}),
        ("https://github.com/acme/shop/tree/feature/login", REPOSITORY | {"branch": "feature/login"}),
        (
            f"https://bitbucket.org/acme/shop/commits/{SHA}",
            {**REPOSITORY, "slug": "bitbucket/acme/shop", "revision": SHA},
        ),
        ("https://bitbucket.org/acme/shop/src/main", {**REPOSITORY, "slug": "bitbucket/acme/shop", "branch": "main"}),
        ("https://gitlab.com/acme/tools/shop", {"repository": "shop"}),
        (f"https://gitlab.com/acme/shop/-/commit/{SHA}", {"repository": "shop", "revision": SHA}),
        ("https://gitlab.com/acme/shop/-/tree/main", {"repository": "shop", "branch": "main"}),
    ],
)
def test_reads_what_a_url_names(text, named):
    found = read_url(text)
    assert {name: value for name, value in asdict(found).items() if value} == named


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop",
        "gh/acme/shop",
        "4711",
        "v1.2/login",
        "https://app.circleci.com/",
        "https://circleci.com/docs/",
        "https://github.com/acme",
        "javascript:alert(1)",
        "paint the boat.now/please",
        "https://" + "a/" * 3_000,
    ],
)
def test_any_other_text_is_not_such_a_url(text):
    assert read_url(text) is None
