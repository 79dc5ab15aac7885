"""`manage.py replay_deliveries --to` and `--save`: kept deliveries go to any address again, as CircleCI sent them."""

import os
import socket
import stat
import subprocess
import sys
import time
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command

from logs.circleci import samples
from logs.circleci.signature import verify
from logs.models import Attempt, Delivery, WorkflowEvent
from tests.conftest import SECRET

PATH = "/log-circleci-webhook"

pytestmark = pytest.mark.django_db


def run(*args, **options):
    """Run the command and return the lines that it writes."""
    out = StringIO()
    call_command("replay_deliveries", *map(str, args), stdout=out, **options)
    return out.getvalue().splitlines()


def sent_bodies(server):
    return [request.data for request, _ in server.log]


@pytest.fixture
def local(receiver):
    """The address of a server that accepts every webhook."""
    return receiver.url_for(PATH)


@pytest.fixture
def logged(deliver, workflow_document):
    """Three deliveries: of orchard, of boats (failed), and a forged one."""
    deliver(workflow_document(1))
    deliver(workflow_document(2, project="boats", status="failed"))
    deliver(workflow_document(3), secret="a stranger's guess")
    return list(Delivery.objects.order_by("pk"))


def test_sends_the_original_bytes_and_headers_and_no_others(deliver, receiver, local, workflow_document):
    # White space that no JSON writer would make again.
    body = samples.encode(workflow_document()).replace(b":", b" :  ", 3)
    deliver(body)
    delivery = Delivery.objects.get()
    run(delivery.pk, "--to", local)
    ((request, _),) = receiver.log
    assert request.data == body
    assert verify(request.data, request.headers["circleci-signature"], [SECRET]) == 0
    assert {name.lower(): value for name, value in request.headers.items()} == {
        "content-type": "application/json",
        "user-agent": "CircleCI-Webhook/1.0",
        "circleci-event-type": "workflow-completed",
        "circleci-signature": delivery.headers["circleci-signature"],
        "content-length": str(len(body)),
        "host": f"{receiver.host}:{receiver.port}",
    }


def test_adds_no_header_that_the_delivery_came_without(deliver, receiver, local):
    deliver(b"{}", headers={"user-agent": None, "circleci-event-type": None, "circleci-signature": None})
    run("--to", local, "--outcome", "unverified")
    ((request, _),) = receiver.log
    assert {name.lower() for name in dict(request.headers)} == {"host", "content-type", "content-length"}


def test_a_hostile_header_does_not_stop_the_rest(deliver, receiver, local, workflow_document):
    deliver(workflow_document(1))
    Delivery.objects.update(headers={"user-agent": "\N{REPLACEMENT CHARACTER}\r\nсад"})
    deliver(workflow_document(2))
    run("--to", local, "--since", "1h")
    assert [request.headers["user-agent"] for request, _ in receiver.log] == ["??????", "CircleCI-Webhook/1.0"]


def test_leaves_this_log_as_it_is(logged, local):
    before = list(Delivery.objects.values()), list(WorkflowEvent.objects.values())
    run("--to", local, "--since", "1h")
    assert (list(Delivery.objects.values()), list(WorkflowEvent.objects.values())) == before
    assert not Attempt.objects.exists()


def test_sends_what_was_chosen_by_number_the_oldest_first(logged, receiver, local):
    run(logged[1].pk, logged[0].pk, "--to", local)
    assert sent_bodies(receiver) == [bytes(delivery.body) for delivery in logged[:2]]


@pytest.mark.parametrize(
    ("choice", "places"),
    [
        (["--since", "1h"], [0, 1, 2]),
        (["--until", "1h"], []),
        (["--outcome", "logged"], [0, 1]),
        (["--project", "boats"], [1]),
        (["--project", "gh/acme/boats"], [1]),
        (["--address", ""], [0, 1, 2]),
        (["--address", "boats"], []),
        (["--status", "failed,error"], [1]),
        (["--workflow", "build-and-test"], [0, 1]),
        (["--event-type", "job-completed"], []),
        (["--project", "orchard", "--branch", "main"], [0]),
    ],
)
def test_sends_what_the_options_choose(logged, receiver, local, choice, places):
    run("--to", local, *choice)
    assert sent_bodies(receiver) == [bytes(logged[place].body) for place in places]


def test_never_sends_the_whole_log_unasked(logged, receiver, local):
    with pytest.raises(CommandError, match="no delivery is selected"):
        run("--to", local)
    assert not receiver.log


@pytest.mark.parametrize("arguments", [[], ["--save", "deliveries", "--to", "http://127.0.0.1:1/", "--since", "1h"]])
def test_a_rate_is_for_sending(arguments):
    with pytest.raises(CommandError, match="--rate limits sending: use it with --to and without --save"):
        run("--rate", "5", *arguments)


def test_names_a_filter_that_cannot_be_understood(local):
    with pytest.raises(CommandError, match="--status: A value is missing before, after or between commas"):
        run("--to", local, "--status", "failed,")


def test_a_dry_run_tells_but_sends_nothing(logged, receiver, local):
    lines = run("--to", local, "--since", "1h", dry_run=True)
    assert lines[0].split()[:2] == ["delivery", str(logged[0].pk)]
    assert lines[0].endswith(f"{len(logged[0].body)} bytes")
    assert lines[-2:] == [
        "3 selected, 0 of them removed, or stored incompletely.",
        "Nothing was sent or written: this was a dry run.",
    ]
    assert not receiver.log


def test_lists_and_sums_up_the_answers(logged, local):
    lines = run("--to", local, "--outcome", "logged")
    assert lines[0].split()[:4] == ["delivery", str(logged[0].pk), "201", "logged"]
    assert lines[2].startswith("2 sent in ")
    assert lines[3] == "answers: 2 x 201"


def test_many_are_summed_up_but_not_listed(deliver, ping_document, receiver, local):
    for _ in range(21):
        deliver(ping_document)
    lines = run("--to", local, "--since", "1h")
    assert lines[0].startswith("21 sent in ")
    assert len(receiver.log) == 21


def test_fails_when_an_answer_is_no_success(logged, httpserver):
    httpserver.expect_ordered_request(PATH).respond_with_data("", 201)
    httpserver.expect_ordered_request(PATH).respond_with_json({"detail": "no such project"}, status=403)
    with pytest.raises(CommandError, match="1 of 2 deliveries failed: 403 no such project") as caught:
        run("--to", httpserver.url_for(PATH), "--outcome", "logged")
    assert caught.value.returncode == 1


def test_says_that_nothing_listens(logged, unused_port):
    with pytest.raises(CommandError, match="2 of 2 deliveries failed: 2 x nothing listens at"):
        run("--to", f"http://127.0.0.1:{unused_port}/", "--outcome", "logged")


def test_says_that_a_body_was_not_kept_whole(deliver, settings, receiver, local, workflow_document):
    settings.REFUSED_BODY_MAX_BYTES = 10
    deliver(workflow_document(), secret="wrong")
    with pytest.raises(CommandError, match="1 of 1 deliveries failed: 1 x removed, or stored incompletely"):
        run("--to", local, "--since", "1h")
    assert not receiver.log
    assert (
        run("--to", local, "--since", "1h", dry_run=True)[0] == "1 selected, 1 of them removed, or stored incompletely."
    )


def test_keeps_to_the_rate(logged, local):
    started = time.monotonic()
    run("--to", local, "--since", "1h", "--rate", "20")
    assert time.monotonic() - started >= 2 / 20


def test_sums_up_when_it_is_stopped(logged, httpserver, monkeypatch):
    def stop(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("logs.management.workbench.sending.WebhookClient.send", stop)
    out = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("replay_deliveries", "--to", httpserver.url_for(PATH), "--outcome", "logged", stdout=out)
    assert caught.value.code == 130
    assert out.getvalue() == "Stopped; not sent: 2.\n"


def test_saves_the_bytes_and_a_script_that_sends_them(logged, receiver, local, tmp_path):
    directory = tmp_path / "with space" / "deliveries"
    chosen = logged[0]
    assert run(chosen.pk, "--save", directory, "--to", local) == [str(directory / f"{chosen.pk}.sh")]
    assert (directory / f"{chosen.pk}.body").read_bytes() == bytes(chosen.body)
    assert not receiver.log
    subprocess.run([directory / f"{chosen.pk}.sh"], check=True, capture_output=True, cwd="/", timeout=20)
    ((request, _),) = receiver.log
    assert request.data == bytes(chosen.body)
    assert verify(request.data, request.headers["circleci-signature"], [SECRET]) == 0


def test_a_saved_script_leads_to_an_address_in_any_letters(logged, httpserver, tmp_path):
    httpserver.expect_request("/сад").respond_with_data("", 201)
    run(logged[0].pk, "--save", tmp_path, "--to", f"http://127.0.0.1:{httpserver.port}/сад\udcff")
    script = tmp_path / f"{logged[0].pk}.sh"
    assert script.read_bytes().endswith("/сад".encode() + b"\xff'\n")
    script.write_bytes(script.read_bytes().replace(b"\xff", b""))
    subprocess.run([script], check=True, capture_output=True, timeout=20)
    assert [request.path for request, _ in httpserver.log] == ["/сад"]


def test_a_saved_script_leads_to_this_site_unless_told_otherwise(deliver, ping_document, tmp_path, settings):
    settings.PORT = 8123
    with time_machine.travel("2026-05-04 10:00", tick=False):
        deliver(ping_document)
    number = Delivery.objects.get().pk
    run(number, "--save", tmp_path)
    script = tmp_path / f"{number}.sh"
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    lines = script.read_text().splitlines()
    assert lines[1] == f"# Delivery {number}, received 2026-05-04 10:00:00 UTC, ping."
    assert lines[-2:] == [f"  --data-binary @{number}.body \\", "  http://127.0.0.1:8123/log-circleci-webhook"]


def test_says_where_it_cannot_write(logged, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match=r"cannot write to .*file"):
        run(logged[0].pk, "--save", tmp_path / "file")


def test_without_an_address_it_judges_the_refused_ones_here(logged):
    assert run()[-1] == "1 x unverified -> unverified"


@pytest.mark.parametrize(
    "command", ["replay_deliveries", "send_test_webhook", "export_fixture", "tail", "listen", "import_array"]
)
def test_the_help_ends_with_examples(command, capsys):
    with pytest.raises(SystemExit) as caught:
        call_command(command, "--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    examples = shown.partition("examples:\n")[2].partition("\n\n")[0].splitlines()
    assert len(examples) >= 3
    assert all(" manage.py " in line for line in examples)
    assert all(len(line) < 80 for line in shown.split("\n\n")[1].splitlines())
    assert "exit code" in " ".join(shown.split())


def manage(*arguments, stdout=subprocess.PIPE):
    environment = os.environ | {"SECRET_KEY": "x", "DEBUG": "1"}
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments], env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True
    )


def test_a_wrong_option_ends_with_2():
    with manage("replay_deliveries", "--to", "nowhere") as process:
        _, told = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "'nowhere' is not a URL" in told


def test_ends_quietly_when_nobody_reads_on():
    reading, writing = os.pipe()
    os.close(reading)
    with manage("replay_deliveries", "--help", stdout=writing) as process:
        os.close(writing)
        _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (1, "")


def answering_by_turns(monkeypatch, *addresses):
    """Let a name resolve to one address after the other, the last one repeatedly."""
    look_up, turns = socket.getaddrinfo, iter(addresses)
    last = addresses[-1]

    def found(host, *args, **kwargs):
        return look_up(next(turns, last) if host == "rebound.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_sends_to_the_address_that_it_judged(logged, receiver, monkeypatch):
    answering_by_turns(monkeypatch, "127.0.0.1", "93.184.215.14")
    run("--to", f"http://rebound.example:{receiver.port}{PATH}", logged[0].pk)
    assert sent_bodies(receiver) == [bytes(logged[0].body)]
    with pytest.raises(CommandError, match="has the public IP address"):
        run("--to", f"http://rebound.example:{receiver.port}{PATH}", logged[1].pk)
    assert len(receiver.log) == 1


def test_sends_to_a_public_address_only_if_asked_for(logged, receiver, monkeypatch):
    answering_by_turns(monkeypatch, "93.184.215.14")
    with pytest.raises(
        CommandError, match=r"rebound\.example has the public IP address 93\.184\.215\.14: .*--allow-public"
    ):
        run("--to", f"http://rebound.example:{receiver.port}{PATH}", logged[0].pk)
    assert not receiver.log
    monkeypatch.setattr("logs.management.workbench.forwarding._is_private", lambda _: False)
    assert run("--to", receiver.url_for(PATH), "--allow-public", logged[0].pk)


def test_listen_posts_to_the_address_that_it_judged(logged, receiver, monkeypatch, tmp_path):
    """The name is public again when the command connects: the delivery waits until it is not."""
    answering_by_turns(monkeypatch, "127.0.0.1", "93.184.215.14")

    def stop(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("logs.management.workbench.sources.time.sleep", stop)
    told = StringIO()
    with pytest.raises(SystemExit):
        call_command(
            "listen",
            f"--to=http://rebound.example:{receiver.port}{PATH}",
            "--since=start",
            f"--state={tmp_path / 'state.json'}",
            stderr=told,
        )
    assert "rebound.example has the public IP address 93.184.215.14" in told.getvalue()
    assert "; retrying" in told.getvalue()
    assert not receiver.log
