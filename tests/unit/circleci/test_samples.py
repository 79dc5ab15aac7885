"""Samples are what CircleCI would send, and the same seed sends them again."""

import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from uuid import UUID

import pytest

from logs.circleci import samples
from logs.circleci.payload import read_event
from logs.circleci.samples import Host
from logs.circleci.samples.run import Run, RunOptions
from logs.circleci.samples.sources import random_push, source_of
from logs.circleci.signature import verify
from logs.circleci.vocabulary import JOB_STATUSES, WORKFLOW_STATUSES
from logs.exceptions import SignatureRefused

MAKERS = {"workflow-completed": samples.workflow_completed, "job-completed": samples.job_completed}
VCS_HOSTS = {Host.GITHUB_OAUTH, Host.BITBUCKET_CLOUD}
OTHER_HOSTS = sorted(set(Host) - VCS_HOSTS)
MOMENT = datetime(2026, 2, 3, 4, 5, 6, 700_000, tzinfo=UTC)

every_type = pytest.mark.parametrize("event_type", MAKERS)
every_host = pytest.mark.parametrize("host", list(Host))


def made(event_type, **options):
    return MAKERS[event_type](random=Random(7), **options)


def read(document):
    return read_event(samples.encode(document))


def parameters(document):
    return document["pipeline"]["trigger_parameters"]


def test_event_ids_are_those_that_java_makes_of_the_name():
    assert samples.workflow_event_id("2f6d1c1a-8e0b-4a57-b1de-63d0f4f7a901") == "956896a5-6c8a-32ac-a232-84b04a7948d4"
    assert samples.job_event_id("e8c3a05d-7b12-4f96-8d40-a5f7c1e92b38") == "05ac27f3-bc9f-3825-b23e-449bbb7e2eba"


@pytest.mark.parametrize("event_id", [samples.workflow_event_id("a"), samples.job_event_id("a")])
def test_event_ids_are_name_based_uuids(event_id):
    assert UUID(event_id).version == 3
    assert UUID(event_id).variant == "specified in RFC 4122"


def test_a_workflow_and_a_job_of_one_id_are_different_events():
    assert samples.workflow_event_id("a") != samples.job_event_id("a")


@every_type
def test_the_id_follows_from_the_workflow_or_the_job(event_type):
    document = made(event_type)
    assert document["type"] == event_type
    if event_type == "job-completed":
        assert document["id"] == samples.job_event_id(document["job"]["id"])
    else:
        assert document["id"] == samples.workflow_event_id(document["workflow"]["id"])


@every_type
@every_host
def test_pipeline_numbers_grow_with_time(event_type, host):
    times = [MOMENT + age for age in (-timedelta(days=4_000), -timedelta(days=1), -timedelta(minutes=1), timedelta(0))]
    numbers = [read(made(event_type, host=host, happened_at=time)).pipeline_number for time in times]
    assert 1 == numbers[0] < numbers[1] < numbers[2] < numbers[3]


@every_type
@pytest.mark.parametrize("number", [1, 7_738])
def test_a_pipeline_has_the_number_that_is_given(event_type, number):
    document = made(event_type, pipeline=number)
    assert document["pipeline"]["number"] == read(document).pipeline_number == number
    assert f"/{number}/workflows/" in document["workflow"]["url"]


def test_a_ping_has_exactly_what_the_button_sends():
    ping = samples.ping(random=Random(7), webhook_name="Harbour log")
    assert set(ping) == {"type", "id", "happened_at", "webhook"}
    assert set(ping["webhook"]) == {"id", "name"}
    assert (ping["type"], ping["webhook"]["name"]) == ("ping", "Harbour log")
    assert read(ping).happened_at == samples.REFERENCE_TIME


@every_type
@every_host
@pytest.mark.parametrize("options", [{}, {"tag": "v1"}, {"by_api": True}], ids=["branch", "tag", "api"])
def test_the_same_seed_makes_the_same_bytes(event_type, host, options):
    first, second = (samples.encode(made(event_type, host=host, **options)) for _ in range(2))
    other = samples.encode(MAKERS[event_type](random=Random(8), host=host, **options))
    assert first == second != other


@every_host
@pytest.mark.parametrize("status", [*WORKFLOW_STATUSES, "on_hold"])
def test_workflow_events_have_a_status_and_no_job(host, status):
    document = made("workflow-completed", host=host, status=status)
    assert "job" not in document
    assert document["workflow"]["status"] == read(document).status == status


@every_host
@pytest.mark.parametrize("status", [*JOB_STATUSES, "not_run"])
def test_job_events_have_the_jobs_status_and_none_of_the_workflow(host, status):
    document = made("job-completed", host=host, status=status, job="lint")
    assert "status" not in document["workflow"]
    assert document["job"]["status"] == read(document).status == status
    assert read(document).job == "lint"


@every_type
@every_host
def test_every_host_tells_in_its_own_way_where_the_code_came_from(event_type, host):
    pipeline = made(event_type, host=host)["pipeline"]
    assert ("vcs" in pipeline, "trigger_parameters" in pipeline) == (host in VCS_HOSTS, host not in VCS_HOSTS)


@every_type
@every_host
def test_a_push_to_a_branch_is_read_back(event_type, host):
    document = made(event_type, host=host, branch="fix/größer", project="harbour-web", webhook_name="boats")
    event = read(document)
    assert (event.branch, event.tag) == ("fix/größer", "")
    assert (event.name, event.project, event.organization) == ("boats", "harbour-web", "acme")
    assert re.fullmatch("[0-9a-f]{40}", event.revision)


@pytest.mark.parametrize("host", sorted(set(Host) - {Host.BITBUCKET_DC}))
def test_the_commit_is_read_back(host):
    event = read(made("workflow-completed", host=host, author="Ama Mensah", commit_subject="Tidy up"))
    assert (event.author, event.commit_subject) == ("Ama Mensah", "Tidy up")


@pytest.mark.parametrize("host", sorted(VCS_HOSTS))
def test_a_tag_pushed_to_a_vcs_shows_only_as_a_null_branch(host):
    vcs = made("workflow-completed", host=host, tag="v1.2")["pipeline"]["vcs"]
    assert vcs["branch"] is None
    assert "tag" not in vcs


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_a_tag_pushed_elsewhere_shows_in_the_ref(host):
    document = made("workflow-completed", host=host, tag="v1.2")
    assert parameters(document)["git"]["ref"] == "refs/tags/v1.2"
    assert (read(document).branch, read(document).tag) == ("", "v1.2")


@pytest.mark.parametrize("host", sorted(VCS_HOSTS))
def test_an_api_run_leaves_every_leaf_of_the_commit_null(host):
    pipeline = made("workflow-completed", host=host, by_api=True)["pipeline"]
    nobody = {"name": None, "email": None}
    assert pipeline["trigger"] == {"type": "api"}
    assert pipeline["vcs"]["commit"] == {
        "subject": None,
        "body": None,
        "author": nobody,
        "committer": nobody,
        "authored_at": None,
        "committed_at": None,
    }


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_absent_values_of_trigger_parameters_are_empty_texts(host):
    document = made("workflow-completed", host=host, by_api=True)
    leaves = [value for block in parameters(document).values() for value in block.values()]
    assert None not in leaves
    assert "" in leaves
    assert (read(document).author, read(document).trigger) == ("", "api")


def test_some_numbers_and_booleans_of_trigger_parameters_are_texts():
    gitlab = parameters(made("workflow-completed", host=Host.GITLAB))["gitlab"]
    assert (gitlab["total_commits_count"], gitlab["is_fork_merge_request"]) == ("1", False)
    assert parameters(made("workflow-completed", host=Host.GITHUB_APP))["github_app"]["forced"] == "false"


@pytest.mark.parametrize("host", [Host.GITHUB_APP, Host.BITBUCKET_DC])
@pytest.mark.parametrize(("microsecond", "fraction"), [(360_000, ".36"), (0, ""), (1, ".000001")])
def test_event_time_is_in_gos_notation(host, microsecond, fraction):
    created_at = datetime(2026, 8, 20, 9, 0, 1, microsecond, tzinfo=UTC)
    pipeline = source_of(random_push(Random(7), Run(host=host), created_at))
    event_time = pipeline["trigger_parameters"]["circleci"]["event_time"]
    assert event_time == f"2026-08-20 09:00:01{fraction} +0000 UTC"


@every_type
def test_times_are_in_utc_to_the_microsecond(event_type):
    document = made(event_type, happened_at=MOMENT.astimezone(timezone(timedelta(hours=5))))
    block = document.get("job") or document["workflow"]
    times = [document["happened_at"], document["pipeline"]["created_at"], block["stopped_at"]]
    assert document["happened_at"] == "2026-02-03T04:05:06.700000Z"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time) for time in times)


@every_type
def test_the_pipeline_comes_first_then_the_work_then_the_event(event_type):
    document = made(event_type, happened_at=MOMENT, duration_seconds=90)
    event = read(document)
    assert event.duration_seconds == 90
    assert event.happened_at == MOMENT
    assert event.happened_at - timedelta(seconds=1) < event.stopped_at < event.happened_at
    assert document["pipeline"]["created_at"] < document["workflow"]["created_at"]


def test_refuses_a_naive_time():
    with pytest.raises(ValueError, match="aware"):
        made("workflow-completed", happened_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_one_workflow_id_makes_versions_of_one_event():
    first, second = (
        made("workflow-completed", workflow_id="w", happened_at=MOMENT + timedelta(minutes=minutes))
        for minutes in range(2)
    )
    assert first["id"] == second["id"]
    assert first["happened_at"] < second["happened_at"]


def test_one_job_id_makes_versions_of_one_event():
    first, second = (samples.job_completed(random=Random(seed), job_id="j") for seed in range(2))
    assert first["id"] == second["id"] == samples.job_event_id("j")


@pytest.mark.parametrize(
    ("host", "slug"),
    [
        (Host.GITHUB_OAUTH, "github/acme/orchard"),
        (Host.BITBUCKET_CLOUD, "bitbucket/acme/orchard"),
        *((host, r"circleci/[1-9A-HJ-NP-Za-km-z]{22}/[1-9A-HJ-NP-Za-km-z]{22}") for host in OTHER_HOSTS),
    ],
)
def test_slugs_are_readable_or_opaque_by_host(host, slug):
    document = made("workflow-completed", host=host, project="orchard")
    assert re.fullmatch(slug, document["project"]["slug"])
    assert f"/pipelines/{document['project']['slug']}/" in read(document).url


def test_options_are_the_fields_of_a_run():
    assert set(RunOptions.__annotations__) == {field.name for field in fields(Run)}


def test_refuses_an_option_that_does_not_exist():
    with pytest.raises(TypeError, match="colour"):
        made("workflow-completed", colour="green")


def test_a_body_is_compact_utf_8_json():
    document = {"type": "ping", "name": "größer 💡", "list": [1, None]}
    assert samples.encode(document) == '{"type":"ping","name":"größer 💡","list":[1,null]}'.encode()


def test_headers_are_those_of_circleci():
    document = samples.ping(random=Random(1))
    body = samples.encode(document)
    headers = samples.headers(body, document, "hunter123")
    assert verify(body, headers.pop("circleci-signature"), ["hunter123"]) == 0
    assert headers == {
        "content-type": "application/json",
        "user-agent": "CircleCI-Webhook/1.0",
        "circleci-event-type": "ping",
        "accept-encoding": "gzip, deflate",
    }


def test_the_signature_is_of_the_body_that_travels():
    document = samples.ping(random=Random(1))
    headers = samples.headers(b"{}", document, "hunter123")
    with pytest.raises(SignatureRefused):
        verify(samples.encode(document), headers["circleci-signature"], ["hunter123"])


@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_secret_there_is_no_signature(secret):
    assert "circleci-signature" not in samples.headers(b"{}", {"type": "ping"}, secret)
