"""`manage.py export_fixture` writes what `send_test_webhook --fixture` signs and sends."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from logs.circleci import samples
from logs.circleci.signature import verify
from logs.models import Delivery, WorkflowEvent
from tests.conftest import SECRET

pytestmark = pytest.mark.django_db


def export(*args):
    """Run the command and return the lines that it writes."""
    out = StringIO()
    call_command("export_fixture", *map(str, args), stdout=out)
    return out.getvalue().splitlines()


@pytest.fixture
def delivery(deliver, workflow_document):
    """A delivery whose JSON has white space that no JSON writer would make again."""
    deliver(samples.encode(workflow_document()).replace(b":", b" :  ", 3))
    return Delivery.objects.get()


def test_writes_the_very_bytes_and_the_headers_but_no_signature(delivery, tmp_path):
    name = f"delivery-{delivery.pk}"
    directory = tmp_path / "new" / "fixtures"
    assert export(delivery.pk, "--to", directory) == [
        str(directory / f"{name}.json"),
        str(directory / f"{name}.headers.json"),
    ]
    assert (directory / f"{name}.json").read_bytes() == bytes(delivery.body)
    assert json.loads((directory / f"{name}.headers.json").read_bytes()) == {
        "content-type": "application/json",
        "user-agent": "CircleCI-Webhook/1.0",
        "circleci-event-type": "workflow-completed",
    }


def test_writes_into_the_current_directory_unless_told_otherwise(delivery, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export(delivery.pk)
    assert (tmp_path / f"delivery-{delivery.pk}.json").exists()


def test_a_fixture_is_signed_anew_and_sent_as_it_stands(delivery, tmp_path, receiver, send, webhook_secrets):
    webhook_secrets["My CircleCI Webhook"] = "the laptop's own secret"
    body_file, _ = export(delivery.pk, "--to", tmp_path)
    (line,) = send("--fixture", body_file)
    assert line.split()[:3] == [f"delivery-{delivery.pk}.json", "201", "logged"]
    ((request, _),) = receiver.log
    assert request.data == bytes(delivery.body)
    assert verify(request.data, request.headers["circleci-signature"], ["the laptop's own secret"]) == 0
    assert request.headers["circleci-event-type"] == "workflow-completed"
    assert request.headers["user-agent"] == "CircleCI-Webhook/1.0"


@pytest.mark.django_db(transaction=True)
def test_an_anonymised_fixture_is_logged_by_a_real_server(delivery, tmp_path, live_server, send):
    body_file, _ = export(delivery.pk, "--anonymise", "--to", tmp_path)
    send("--fixture", body_file, "--secret", SECRET, url=f"{live_server.url}/log-circleci-webhook")
    original, copy = WorkflowEvent.objects.order_by("pk")
    assert copy.verified
    assert (copy.workflow, copy.branch, copy.status) == (original.workflow, original.branch, original.status)
    for column in ("project", "organization", "author", "commit_subject", "url", "event_id", "revision"):
        assert getattr(copy, column), column
        assert getattr(copy, column) != getattr(original, column), column


def test_anonymises_alike_each_time_and_apart_from_other_installations(delivery, tmp_path, settings):
    written = []
    for key in ("one", "one", "another"):
        settings.SECRET_KEY = key
        body_file, _ = export(delivery.pk, "--anonymise", "--to", tmp_path)
        written.append(json.loads(Path(body_file).read_bytes())["project"]["name"])
    assert written[0] == written[1] != written[2]


def test_a_file_alone_is_sent_with_the_headers_of_every_webhook(tmp_path, receiver, send, webhook_secrets):
    (tmp_path / "mine.json").write_bytes(b"{}")
    send("--fixture", str(tmp_path / "mine.json"), "--unsigned")
    ((request, _),) = receiver.log
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "CircleCI-Webhook/1.0"
    assert "circleci-signature" not in request.headers


def test_sends_several_fixtures_in_their_order(tmp_path, receiver, send, webhook_secrets):
    files = [tmp_path / f"{name}.json" for name in "ba"]
    for file in files:
        file.write_text(file.stem)
    send(*(argument for file in files for argument in ("--fixture", str(file))))
    assert [request.data for request, _ in receiver.log] == [b"b", b"a"]


@pytest.mark.parametrize("option", [["--type", "ping"], ["--count", "2"], ["--seed", "0"], ["--project", "boats"]])
def test_refuses_options_that_make_another_body(tmp_path, send, option, webhook_secrets):
    with pytest.raises(CommandError, match=f"--fixture sends the file unchanged: omit {option[0]}"):
        send("--fixture", str(tmp_path / "a.json"), *option)


@pytest.mark.parametrize("headers", ["", "[]", '{"content-type": 1}', '{"user-agent": "a\\r\\nb: c"}', "[" * 9])
def test_says_what_a_file_of_headers_must_hold(tmp_path, send, headers, webhook_secrets, receiver):
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "a.headers.json").write_text(headers)
    with pytest.raises(CommandError, match=r"a\.headers\.json is not a JSON object of strings"):
        send("--fixture", str(tmp_path / "a.json"))
    assert not receiver.log


def test_names_a_file_that_is_not_there(tmp_path, send, webhook_secrets):
    with pytest.raises(CommandError, match=r"cannot read .*a\.json: No such file"):
        send("--fixture", str(tmp_path / "a.json"))


def test_says_that_there_is_no_such_delivery(tmp_path):
    with pytest.raises(CommandError, match="there is no delivery 7"):
        export(7, "--to", tmp_path)


def test_says_that_a_body_was_not_kept_whole(deliver, settings, workflow_document, tmp_path):
    settings.REFUSED_BODY_MAX_BYTES = 10
    deliver(workflow_document(), secret="wrong")
    with pytest.raises(CommandError, match=r"the stored body of delivery \d+ is incomplete"):
        export(Delivery.objects.get().pk, "--to", tmp_path)
    assert not list(tmp_path.iterdir())


def test_says_that_only_a_payload_can_be_anonymised(deliver, tmp_path):
    deliver(b"[]")
    number = Delivery.objects.get().pk
    with pytest.raises(CommandError, match="only a payload can be anonymised; the body is not a JSON object"):
        export(number, "--anonymise", "--to", tmp_path)
    export(number, "--to", tmp_path)


def test_says_where_it_cannot_write(delivery, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match=r"cannot write to .*file"):
        export(delivery.pk, "--to", tmp_path / "file")
