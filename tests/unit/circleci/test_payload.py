"""Each shape of payload is read into every column."""

import json
from datetime import UTC, datetime

import pytest

from logs.circleci.payload import Event, read_event
from logs.circleci.strict_json import parse_payload

BLANK = {
    **dict.fromkeys(["name", "project", "project_slug", "project_id", "organization", "workflow", "workflow_id"], ""),
    **dict.fromkeys(["job", "status", "branch", "tag", "revision", "commit_subject", "author"], ""),
    **dict.fromkeys(["pipeline_id", "trigger", "url"], ""),
    **dict.fromkeys(["happened_at", "stopped_at", "job_number", "pipeline_number", "duration_seconds"]),
}
HARBOUR_WEB = {
    "event_type": "workflow-completed",
    "name": "Harbour log",
    "project": "harbour-web",
    "project_slug": "github/acme/harbour-web",
    "project_id": "e0c2b7d4-6f19-4c83-a5d8-2b9147f03c65",
    "organization": "acme",
}
TIDE_TABLES = {
    "name": "tide-tables",
    "project": "tide-tables",
    "project_slug": "circleci/Tk4mQ9wXr2LdVb7NpZsG3H/J8hYc5FtBn1RqWx6UeKd2M",
    "project_id": "d90b7e36-4f1c-4852-b7a3-c86e05d2f419",
    "organization": "acme",
    "pipeline_id": "15d8c3b0-7e4f-4962-ad10-f8b35c6e2971",
    "trigger": "gitlab",
    "author": "Ama Mensah",
}
TIDE_TABLES_WORKFLOW = TIDE_TABLES | {
    "event_type": "workflow-completed",
    "happened_at": datetime(2026, 3, 6, 12, 30, 45, 110_144, tzinfo=UTC),
    "stopped_at": datetime(2026, 3, 6, 12, 30, 45, 17_000, tzinfo=UTC),
    "workflow": "build-and-test",
    "revision": "a3d5f7091b2c4e6880f1e2d3c4b5a69788796a5b",
    "commit_subject": "Compute the spring tide",
    "duration_seconds": 124.088,
}
ORCHARD_JOB = {
    "event_type": "job-completed",
    "happened_at": datetime(2026, 3, 7, 18, 51, 31, 379_158, tzinfo=UTC),
    "stopped_at": datetime(2026, 3, 7, 18, 51, 31, tzinfo=UTC),
    "name": "orchard jobs",
    "project": "orchard",
    "project_slug": "circleci/Tk4mQ9wXr2LdVb7NpZsG3H/C3vPq8MzAs6DyJf4WnRt1K",
    "project_id": "c26e9f57-a0d3-4b81-97ec-5f1d40b8e362",
    "organization": "acme",
    "workflow": "build-and-test",
    "workflow_id": "94d1c6e8-0a5f-4b37-82dc-f3b7e0592a16",
    "job": "unit-tests",
    "revision": "5e4d3c2b1a09f8e7d6c5b4a3928170f6e5d4c3b2",
    "commit_subject": "Prune the pear trees",
    "author": "Ottokar Brandt",
    "pipeline_id": "b6f0d3a9-1c85-4e27-9fb4-d70e62c8a513",
    "pipeline_number": 5,
    "trigger": "github_app",
    "duration_seconds": 80.75,
    "url": "https://app.circleci.com/pipelines/circleci/Tk4mQ9wXr2LdVb7NpZsG3H/C3vPq8MzAs6DyJf4WnRt1K/5"
    "/workflows/94d1c6e8-0a5f-4b37-82dc-f3b7e0592a16",
}
SUCCESS = HARBOUR_WEB | {
    "event_id": "956896a5-6c8a-32ac-a232-84b04a7948d4",
    "happened_at": datetime(2026, 3, 2, 8, 4, 33, 918_274, tzinfo=UTC),
    "stopped_at": datetime(2026, 3, 2, 8, 4, 33, 750_000, tzinfo=UTC),
    "workflow": "build-and-test",
    "workflow_id": "2f6d1c1a-8e0b-4a57-b1de-63d0f4f7a901",
    "status": "success",
    "branch": "main",
    "revision": "4be1c0d9a7f35e2681d4c09b7ae3f5128c6d9e07",
    "commit_subject": "Let the tide table start on Monday",
    "author": "Wilma Quince",
    "pipeline_id": "9a4e7c30-51bd-4f2c-8c66-0f5d2b7e1a14",
    "pipeline_number": 412,
    "trigger": "webhook",
    "duration_seconds": 270.5,
    "url": "https://app.circleci.com/pipelines/github/acme/harbour-web/412"
    "/workflows/2f6d1c1a-8e0b-4a57-b1de-63d0f4f7a901",
}
CANCELED = SUCCESS | {
    "event_id": "7130af36-04a0-3ceb-9916-a0e8603f7e51",
    "workflow_id": "58c7e0b3-f21d-4960-ad8e-7b4f93c5d016",
    "status": "canceled",
    "url": "https://app.circleci.com/pipelines/github/acme/harbour-web/412"
    "/workflows/58c7e0b3-f21d-4960-ad8e-7b4f93c5d016",
}
TAG_PUSH = HARBOUR_WEB | {
    "happened_at": datetime(2026, 3, 4, 10, 11, 12, 131_415, tzinfo=UTC),
    "stopped_at": datetime(2026, 3, 4, 10, 11, 12, tzinfo=UTC),
    "workflow": "deploy",
    "status": "success",
    "revision": "77c1e5d08b2f4a96c3d0e18f5b7a2946d1c8e30f",
    "author": "Wilma Quince",
    "pipeline_id": "f4a80c6d-2be7-4913-8d5c-b07e3f91a265",
    "trigger": "webhook",
    "duration_seconds": 61.0,
}

# The columns of each payload file; a column that is not named is blank.
EXPECTED = {
    "ping": {
        "event_id": "c8f1de07-54a2-4b6e-8d3e-0f7b1a9c2264",
        "event_type": "ping",
        "happened_at": datetime(2026, 3, 2, 7, 15, 1, 602_419, tzinfo=UTC),
        "name": "Harbour log",
    },
    "workflow_success_github_oauth": SUCCESS,
    "workflow_canceled_first_github_oauth": CANCELED
    | {
        "happened_at": datetime(2026, 3, 2, 8, 0, 3, 401_200, tzinfo=UTC),
        "stopped_at": datetime(2026, 3, 2, 8, 0, 3, 250_000, tzinfo=UTC),
        "duration_seconds": 0.0,
    },
    "workflow_canceled_again_github_oauth": CANCELED
    | {
        "happened_at": datetime(2026, 3, 2, 8, 2, 3, 777_000, tzinfo=UTC),
        "stopped_at": datetime(2026, 3, 2, 8, 2, 3, 500_000, tzinfo=UTC),
        "duration_seconds": 120.25,
    },
    "workflow_success_tag_github_oauth": TAG_PUSH
    | {
        "event_id": "d0c64bdd-75af-3ffc-8033-26110aa812dd",
        "workflow_id": "6e2b9f08-c4d1-4735-a0be-8f1d57c3e290",
        "commit_subject": "Release 3.1.0",
        "pipeline_number": 420,
        "url": "https://app.circleci.com/pipelines/github/acme/harbour-web/420"
        "/workflows/6e2b9f08-c4d1-4735-a0be-8f1d57c3e290",
    },
    "workflow_success_named_tag_github_oauth": TAG_PUSH
    | {
        "event_id": "578ce0e4-f53c-332f-aa53-3f35506fe112",
        "workflow_id": "1a7d3e5c-90f2-4b68-8c14-e6d20b9f7a83",
        "tag": "v3.1.1",
        "commit_subject": "Release 3.1.1",
        "pipeline_number": 421,
        "url": "https://app.circleci.com/pipelines/github/acme/harbour-web/421"
        "/workflows/1a7d3e5c-90f2-4b68-8c14-e6d20b9f7a83",
    },
    "workflow_success_api_github_oauth": HARBOUR_WEB
    | {
        "event_id": "9bdae0ae-08d6-34ec-a381-f547778e131e",
        "happened_at": datetime(2026, 3, 5, 0, 0, 10, 500_000, tzinfo=UTC),
        "stopped_at": datetime(2026, 3, 5, 0, 0, 10, 125_000, tzinfo=UTC),
        "workflow": "nightly",
        "workflow_id": "d3f50b7e-68a1-4c2d-9e04-b1c7f8203d56",
        "status": "success",
        "branch": "main",
        "revision": "0f9e8d7c6b5a49382716051423324150697887a6",
        "pipeline_id": "82b6e1f4-0d9c-4753-a8f0-c35d7e94b120",
        "pipeline_number": 430,
        "trigger": "api",
        "duration_seconds": 10.125,
        "url": "https://app.circleci.com/pipelines/github/acme/harbour-web/430"
        "/workflows/d3f50b7e-68a1-4c2d-9e04-b1c7f8203d56",
    },
    "workflow_unauthorized_github_oauth": HARBOUR_WEB
    | {
        "event_id": "e8d0aa0b-222c-30d1-b578-313c711613e4",
        "happened_at": datetime(2026, 3, 9, 6, tzinfo=UTC),
        "workflow": "deploy",
        "workflow_id": "ba96f1d7-0c3e-4852-8f7b-e4d90a65c321",
        "status": "unauthorized",
        "pipeline_id": "e57a0d2c-b461-4f98-a3cd-19f8b0e7c645",
        "pipeline_number": 441,
        "trigger": "schedule",
        "url": "https://app.circleci.com/pipelines/github/acme/harbour-web/441"
        "/workflows/ba96f1d7-0c3e-4852-8f7b-e4d90a65c321",
    },
    "workflow_success_bitbucket_cloud": {
        "event_id": "3b028e25-f1c1-307c-8139-7a804b1ec1b7",
        "event_type": "workflow-completed",
        "happened_at": datetime(2026, 3, 3, 16, 20, 0, 1, tzinfo=UTC),
        "stopped_at": datetime(2026, 3, 3, 16, 19, 59, 900_000, tzinfo=UTC),
        "name": "lighthouse",
        "project": "lighthouse",
        "project_slug": "bitbucket/acme/lighthouse",
        "project_id": "48f6a2d1-7c5e-4b90-8e3d-19c0b7f5a4e2",
        "organization": "acme",
        "workflow": "nightly",
        "workflow_id": "b84c0d53-1f7a-4c9e-92e5-7d3a60f8c112",
        "status": "success",
        "branch": "fix/größere-lampe",
        "revision": "d07f3a1be94c5826fe10b7d3c489a652e1f07b38",
        "commit_subject": "Größere Lampe 💡",
        "author": "Noé Fontaine",
        "pipeline_id": "3c95e8b1-d047-4a6f-b2c8-5e1f70a94d26",
        "pipeline_number": 77,
        "trigger": "webhook",
        "duration_seconds": 1299.8,
        "url": "https://app.circleci.com/pipelines/bitbucket/acme/lighthouse/77"
        "/workflows/b84c0d53-1f7a-4c9e-92e5-7d3a60f8c112",
    },
    "workflow_failed_gitlab": TIDE_TABLES_WORKFLOW
    | {
        "event_id": "05982468-753f-3a39-8818-611f75278441",
        "workflow_id": "7c08d2f6-b3e9-4a15-8fd4-50e7a91c6b3d",
        "status": "failed",
        "branch": "feature/spring-tide",
        "pipeline_number": 31,
        "url": "https://app.circleci.com/pipelines/circleci/Tk4mQ9wXr2LdVb7NpZsG3H/J8hYc5FtBn1RqWx6UeKd2M/31"
        "/workflows/7c08d2f6-b3e9-4a15-8fd4-50e7a91c6b3d",
    },
    "workflow_success_tag_gitlab": TIDE_TABLES_WORKFLOW
    | {
        "event_id": "71213080-cd01-30ed-8c82-3d7afb1ed088",
        "workflow_id": "f15b0e84-3d7c-4296-a9e1-c40d82b6f573",
        "status": "success",
        "tag": "2026.3",
        "pipeline_number": 32,
        "url": "https://app.circleci.com/pipelines/circleci/Tk4mQ9wXr2LdVb7NpZsG3H/J8hYc5FtBn1RqWx6UeKd2M/32"
        "/workflows/f15b0e84-3d7c-4296-a9e1-c40d82b6f573",
    },
    # CircleCI's documented sample of a job on GitLab has no workflow either.
    "job_success_no_workflow_gitlab": TIDE_TABLES
    | {
        "event_id": "05ac27f3-bc9f-3825-b23e-449bbb7e2eba",
        "event_type": "job-completed",
        "happened_at": datetime(2026, 3, 6, 12, 29, 30, tzinfo=UTC),
        "stopped_at": datetime(2026, 3, 6, 12, 29, 29, 500_000, tzinfo=UTC),
        "job": "lint",
        "job_number": 58,
        "status": "success",
        "branch": "main",
        "revision": "b1d5f7091b2c4e6880f1e2d3c4b5a69788796a5c",
        "commit_subject": "Tidy up",
        "pipeline_number": 31,
        "duration_seconds": 39.5,
    },
    "job_failed_github_app": ORCHARD_JOB
    | {
        "event_id": "9527b54b-38c5-3424-aa7a-a84ef1021d20",
        "job_number": 12,
        "status": "failed",
        "branch": "prune-pears",
    },
    "job_success_tag_github_app": ORCHARD_JOB
    | {
        "event_id": "ae1c8a6c-1c32-38a7-985e-930795774276",
        "job_number": 13,
        "status": "success",
        "tag": "pears/1.0",
    },
    "job_canceled_bitbucket_dc": {
        "event_id": "f43e036d-04c1-373d-a14b-6415d637e5c9",
        "event_type": "job-completed",
        "happened_at": datetime(2026, 3, 8, 23, 59, 59, 999_999, tzinfo=UTC),
        "stopped_at": datetime(2026, 3, 8, 23, 59, 59, tzinfo=UTC),
        "name": "boats",
        "project": "boat-builder",
        "project_slug": "circleci/Tk4mQ9wXr2LdVb7NpZsG3H/Z7gLx2SkEh9NbUv5QpTc8F",
        "project_id": "f71c0e95-8d2b-4a64-b3c9-0e5f6a87d142",
        "organization": "acme",
        "workflow": "deploy",
        "workflow_id": "c70f2d8b-5e16-49a3-b4d7-a8e9016f3c52",
        "job": "launch",
        "job_number": 904,
        "status": "canceled",
        "branch": "release/8",
        "revision": "c9b8a7f6e5d4c3b2a1908f7e6d5c4b3a29180706",
        "pipeline_id": "6d3e9a10-c7f5-4b28-8e91-f04b5d2c7a63",
        "pipeline_number": 66,
        "trigger": "bitbucket_dc",
        "duration_seconds": 59.0,
        "url": "https://app.circleci.com/pipelines/circleci/Tk4mQ9wXr2LdVb7NpZsG3H/Z7gLx2SkEh9NbUv5QpTc8F/66"
        "/workflows/c70f2d8b-5e16-49a3-b4d7-a8e9016f3c52",
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_reads_every_column(payload, name):
    assert read_event(payload(name)) == Event(**(BLANK | EXPECTED[name]))


def test_every_payload_file_has_its_expected_columns(payload_names):
    assert set(payload_names) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_reads_the_same_from_any_way_of_writing_the_json(payload, name):
    document = json.loads(payload(name))
    backwards = dict(reversed(document.items()))
    for body in (json.dumps(backwards, indent=4), json.dumps(document, ensure_ascii=False, separators=(",", ":"))):
        assert read_event(f"\n {body}\r\n".encode()) == read_event(payload(name))


@pytest.mark.parametrize("name", EXPECTED)
def test_parses_into_the_whole_document(payload, name):
    assert parse_payload(payload(name)) == json.loads(payload(name))


def test_an_event_refuses_naive_times():
    columns = BLANK | EXPECTED["ping"]
    for column in ("happened_at", "stopped_at"):
        with pytest.raises(ValueError, match="aware"):
            Event(**(columns | {column: datetime(2026, 1, 1)}))  # noqa: DTZ001
