"""`manage.py send_test_webhook` sends what CircleCI sends, as its options ask."""

import json
import re
from collections import Counter
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from logs.circleci.samples import Host
from logs.circleci.signature import verify
from logs.circleci.vocabulary import JOB_STATUSES, WORKFLOW_STATUSES
from logs.exceptions import SignatureRefused

SECRET = "a secret of the harbour"


@pytest.fixture(autouse=True)
def configured_webhooks(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {
        "unsigned": None,
        "My CircleCI Webhook": SECRET,
        "boats": ["new", "old"],
    }


def documents(httpserver):
    return [json.loads(request.data) for request, _ in httpserver.log]


def bodies(httpserver):
    return [request.data for request, _ in httpserver.log]


def statuses(httpserver, event_type):
    block = event_type.partition("-")[0]
    return [document[block]["status"] for document in documents(httpserver) if document["type"] == event_type]


def test_sends_a_ping_a_workflow_and_a_job_signed_with_the_first_secret(receiver, send):
    send()
    assert [document["type"] for document in documents(receiver)] == ["ping", "workflow-completed", "job-completed"]
    for request, _ in receiver.log:
        document = json.loads(request.data)
        assert verify(request.data, request.headers["circleci-signature"], [SECRET]) == 0
        assert document["webhook"]["name"] == "My CircleCI Webhook"


def test_sends_circlecis_headers_and_no_others(receiver, send):
    send("--type", "job-completed")
    ((request, _),) = receiver.log
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers.pop("circleci-signature").startswith("v1=")
    assert headers == {
        "content-type": "application/json",
        "content-length": str(len(request.data)),
        "user-agent": "CircleCI-Webhook/1.0",
        "circleci-event-type": "job-completed",
        "accept-encoding": "gzip, deflate",
        "host": f"{receiver.host}:{receiver.port}",
    }


def test_prints_one_line_for_each_event(receiver, send):
    lines = [line.split() for line in send("--status", "failed")]
    assert [line[:4] for line in lines] == [
        ["ping", "-", "201", "logged"],
        ["workflow-completed", "failed", "201", "logged"],
        ["job-completed", "failed", "201", "logged"],
    ]
    assert all(float(line[4]) > 0 and line[5] == "ms" for line in lines)


def test_events_are_dated_now(receiver, send):
    before = datetime.now(UTC)
    send()
    moments = [datetime.fromisoformat(document["happened_at"]) for document in documents(receiver)]
    assert all(before <= moment <= datetime.now(UTC) for moment in moments)


def test_signs_as_the_webhook_that_was_chosen(receiver, send):
    send("--type", "ping", "--webhook", "boats")
    ((request, _),) = receiver.log
    assert verify(request.data, request.headers["circleci-signature"], ["new"]) == 0
    assert documents(receiver)[0]["webhook"]["name"] == "boats"


def test_signs_with_the_secret_that_was_given(receiver, send):
    send("--type", "ping", "--secret", " white space counts ")
    ((request, _),) = receiver.log
    assert verify(request.data, request.headers["circleci-signature"], [" white space counts "]) == 0
    with pytest.raises(SignatureRefused):
        verify(request.data, request.headers["circleci-signature"], ["white space counts"])


def test_leaves_the_signature_out_when_asked(receiver, send):
    send("--unsigned")
    assert len(receiver.log) == 3
    assert not any("circleci-signature" in request.headers for request, _ in receiver.log)


@pytest.mark.parametrize("configured", [{}, {"unsigned": None}, {"unsigned": []}])
def test_names_the_setting_when_there_is_no_secret(httpserver, send, settings, configured):
    settings.CIRCLECI_WEBHOOK_SECRETS = configured
    with pytest.raises(CommandError, match="there is no secret for any webhook: set CIRCLECI_WEBHOOK_SECRETS"):
        send()
    assert not httpserver.log


@pytest.mark.parametrize("name", ["unsigned", "harbour"])
def test_names_the_setting_when_the_chosen_webhook_has_no_secret(httpserver, send, name):
    with pytest.raises(CommandError, match=f"no secret for the webhook '{name}': set CIRCLECI_WEBHOOK_SECRETS"):
        send("--webhook", name)
    assert not httpserver.log


@pytest.mark.parametrize("event_type", ["ping", "workflow-completed", "job-completed"])
def test_sends_only_the_type_that_was_chosen(receiver, send, event_type):
    send("--type", event_type)
    assert [document["type"] for document in documents(receiver)] == [event_type]


def test_sends_every_documented_status(receiver, send):
    send("--status", "all")
    assert statuses(receiver, "workflow-completed") == list(WORKFLOW_STATUSES)
    assert statuses(receiver, "job-completed") == list(JOB_STATUSES)
    assert len(receiver.log) == 1 + len(WORKFLOW_STATUSES) + len(JOB_STATUSES)


def test_sends_any_word_as_a_status(receiver, send):
    send("--status", "half-done")
    assert statuses(receiver, "workflow-completed") == statuses(receiver, "job-completed") == ["half-done"]


def test_sends_from_every_host(receiver, send):
    send("--type", "workflow-completed", "--host", "all")
    sources = [document["pipeline"] for document in documents(receiver)]
    assert len(sources) == len(Host)
    assert Counter("vcs" if "vcs" in source else "trigger_parameters" for source in sources) == {
        "vcs": 2,
        "trigger_parameters": 3,
    }


def test_sends_from_the_host_that_was_chosen(receiver, send):
    send("--type", "job-completed", "--host", "gitlab")
    assert "gitlab" in documents(receiver)[0]["pipeline"]["trigger_parameters"]


def test_names_the_project(receiver, send):
    send("--project", "sail-loft")
    send("--project", "sail-loft", "--count", "3")
    projects = [document["project"]["name"] for document in documents(receiver) if document["type"] != "ping"]
    assert projects == ["sail-loft"] * 5


def test_the_same_seed_sends_the_same_bytes_again(receiver, send):
    for seed in ("7", "7", "8"):
        send("--seed", seed)
    first, second, other = (bodies(receiver)[position : position + 3] for position in (0, 3, 6))
    assert first == second
    assert not set(first) & set(other)


def test_the_same_seed_sends_the_same_random_events_again(receiver, send):
    for seed in ("7", "7", "8"):
        send("--seed", seed, "--count", "10")
    first, second, other = (bodies(receiver)[position : position + 10] for position in (0, 10, 20))
    assert first == second
    assert not set(first) & set(other)
    assert len(set(first)) == 10


def test_without_a_seed_every_run_sends_other_events(receiver, send):
    send()
    send()
    assert len({document["id"] for document in documents(receiver)}) == 6


@pytest.mark.parametrize(("port", "address"), [(8000, "127.0.0.1:8000"), (8123, "127.0.0.1:8123")])
def test_sends_to_the_local_server_unless_told_otherwise(settings, capsys, port, address):
    settings.PORT = port
    with pytest.raises(SystemExit):
        call_command("send_test_webhook", "--help")
    assert f"default: http://{address}/log-circleci-webhook" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "'0' is not a whole number of 1 or more"),
        (["--count", "-5"], "'-5' is not a whole number of 1 or more"),
        (["--count", "many"], "'many' is not a whole number of 1 or more"),
        (["--count", "1.5"], "'1.5' is not a whole number of 1 or more"),
        (["--count", "9" * 5_000], "is not a whole number of 1 or more"),
        (["--rate", "0"], "'0' is not a number above 0"),
        (["--rate", "-1"], "'-1' is not a number above 0"),
        (["--rate", "inf"], "'inf' is not a number above 0"),
        (["--rate", "nan"], "'nan' is not a number above 0"),
        (["--timeout", "0"], "'0' is not a number above 0"),
        (["--timeout", "soon"], "'soon' is not a number above 0"),
        (["--seed", "x"], "invalid int value"),
        (["--type", "job"], "'job' is unknown: did you mean job-completed?"),
        (["--host", "svn"], "'svn' is unknown: use github_oauth, "),
        (["--secret", ""], "must not be empty"),
        (["--project", ""], "must not be empty"),
        (["--secret", "a", "--unsigned"], "not allowed with"),
        (["--count", "2", "--type", "ping"], "omit --type"),
        (["--count", "2", "--status", "failed", "--host", "all"], "omit --status and --host"),
    ],
)
def test_refuses_arguments_that_make_no_sense(httpserver, send, arguments, message):
    with pytest.raises(CommandError, match=re.escape(message)):
        send(*arguments)
    assert not httpserver.log


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:port/", "/log"])
def test_refuses_what_is_no_web_address(send, url):
    with pytest.raises(CommandError, match="is not a URL"):
        send(url=url)
