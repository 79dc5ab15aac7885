"""`manage.py import_array` takes over the array of the tutorial's sample; `manage.py tail` shows it, by processes."""

import io
import json
import os
import subprocess
import sys
from io import StringIO

import pytest
import urllib3
from django.core.management import CommandError, call_command

from logs.circleci import samples
from logs.models import ApiToken, Delivery, WorkflowEvent
from tests.conftest import SECRET

ENTRY = {"name": "My CircleCI Webhook", "project": "orchard", "workflow": "build-and-test", "status": "success"}
OTHER = ENTRY | {"status": "failed"}


@pytest.fixture
def run(tmp_path):
    """Import an array (or bytes) and return the lines that the command writes."""

    def import_array(array, *arguments):
        file = tmp_path / "logs.json"
        file.write_bytes(array if isinstance(array, bytes) else json.dumps(array).encode())
        out = StringIO()
        call_command("import_array", str(file), *arguments, stdout=out)
        return out.getvalue().splitlines()

    return import_array


@pytest.mark.django_db
def test_the_four_fields_come_out_as_they_went_in(run, reader):
    assert run([ENTRY, OTHER]) == ["2 x logged"]
    listed = reader.get("/fetch-webhooks-logs").json()
    assert [{name: entry[name] for name in ENTRY} for entry in listed] == [OTHER, ENTRY]
    assert {(entry["trigger"], entry["verified"], entry["event_type"]) for entry in listed} == {
        ("import", False, "workflow-completed")
    }


@pytest.mark.django_db(transaction=True)
def test_what_spoke_to_the_sample_speaks_to_this_log(live_server, webhook_secrets, workflow_document, user_with):
    _, key = ApiToken.issue(user_with("view_workflowevent"), name="a program", lifetime=None)
    document = workflow_document()
    body = samples.encode(document)
    with urllib3.PoolManager() as http:
        posted = http.request(
            "POST",
            f"{live_server.url}/log-circleci-webhook",
            body=body,
            headers=samples.headers(body, document, SECRET),
        )
        listed = http.request(
            "GET", f"{live_server.url}/fetch-webhooks-logs", headers={"authorization": f"Bearer {key}"}
        )
    assert posted.status == 201
    (entry,) = listed.json()
    assert {name: entry[name] for name in ENTRY} == ENTRY


@pytest.mark.django_db
def test_equal_entries_are_events_of_their_own_and_a_second_import_adds_only_what_is_new(run):
    assert run([ENTRY, ENTRY]) == ["2 x logged"]
    assert run([OTHER, ENTRY, ENTRY, ENTRY]) == ["2 x duplicate", "2 x logged"]
    assert WorkflowEvent.objects.count() == 4


@pytest.mark.django_db
def test_another_array_adds_each_entry_that_says_something_else(run):
    assert run([ENTRY]) == ["1 x logged"]
    assert run([OTHER]) == ["1 x logged"]
    assert run([dict(reversed(ENTRY.items()))]) == ["1 x duplicate"]


@pytest.mark.django_db
def test_ids_are_the_same_in_every_version_so_that_an_upgrade_doubles_nothing(run):
    run([ENTRY, ENTRY])
    assert set(WorkflowEvent.objects.values_list("event_id", flat=True)) == {
        "imported-a3286d1d4d4d0690a37cf767822297b8cf71ebc0bb47f812ad8eccf5284d9aa7",
        "imported-af73cbe531c5c9879368b6d0134fbbf42fb7fb558a0a9078a5924550f3db2df1",
    }


@pytest.mark.django_db
def test_each_has_a_delivery_that_no_webhook_is_blamed_for(run):
    run([ENTRY])
    delivery = Delivery.objects.get()
    assert (delivery.webhook, delivery.verified, delivery.event) == ("", False, WorkflowEvent.objects.get())
    assert (delivery.webhook_slug, delivery.headers, delivery.client_address) == ("", {}, None)
    assert json.loads(bytes(delivery.body))["workflow"] == {"name": "build-and-test", "status": "success"}


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["happened_at", "created_at", "createdAt"])
def test_takes_over_the_time_where_there_is_one(run, name):
    run([ENTRY | {name: "2026-05-04T10:00:00.000Z"}])
    assert f"{WorkflowEvent.objects.get().happened_at:%Y-%m-%d %H:%M}" == "2026-05-04 10:00"


@pytest.mark.django_db
def test_takes_over_what_there_is_of_an_entry(run):
    odd = {"status": "half-done\x00\ud800", "project": None, "workflow": 7, "name": ["a"], "more": {"x": 1e999}}
    assert run([odd]) == ["1 x logged"]
    event = WorkflowEvent.objects.get()
    assert (event.status, event.project, event.workflow, event.name) == ("half-done\ufffd\ufffd", "", "", "")


@pytest.mark.django_db
def test_names_the_entries_that_tell_nothing_and_imports_the_rest(run):
    with pytest.raises(CommandError, match=r"6 of 7 entries skipped: not objects .*; the first is number 2") as caught:
        run([ENTRY, {}, None, [], "text", {"status": ""}, {"other": "text"}])
    assert caught.value.returncode == 1
    assert WorkflowEvent.objects.count() == 1


@pytest.mark.django_db
def test_a_dry_run_writes_nothing(run):
    assert run([ENTRY, OTHER], "--dry-run") == ["2 x to be imported", "Nothing was written: this was a dry run."]
    assert not WorkflowEvent.objects.exists()


@pytest.mark.django_db
def test_reads_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps([ENTRY]).encode())))
    call_command("import_array", "-", stdout=StringIO())
    assert WorkflowEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"{}", "a JSON array"),
        (b"[" * 100_000, "not JSON"),
        (b"null", "array"),
    ],
)
def test_refuses_what_is_no_array(run, text, message):
    with pytest.raises(CommandError, match=message):
        run(text)


def test_names_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CommandError, match=r"cannot read .*nothing\.json: No such file"):
        call_command("import_array", str(tmp_path / "nothing.json"))


def test_the_help_ends_with_examples(capsys):
    with pytest.raises(SystemExit):
        call_command("import_array", "--help")
    assert "examples:\n  manage.py import_array logs.json --dry-run\n" in capsys.readouterr().out


@pytest.fixture
def manage(tmp_path):
    """Start manage.py as a process with a database of its own."""
    environment = os.environ | {"SECRET_KEY": "x", "DATA_DIR": str(tmp_path), "DATABASE_URL": ""}

    def start(*arguments, **options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        return subprocess.Popen([sys.executable, "manage.py", *arguments], env=environment, **pipes)

    with start("migrate") as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    return start


def test_tail_follows_another_process_ends_by_ctrl_c_and_quietly_when_nobody_reads_on(manage, tmp_path):
    def import_array(*entries):
        (tmp_path / "logs.json").write_text(json.dumps(entries))
        with manage("import_array", str(tmp_path / "logs.json")) as process:
            told = process.communicate(timeout=60)
        assert told == (f"{len(entries)} x logged\n", "")

    import_array(ENTRY)
    with manage("tail", "--since", "1h") as process:
        assert process.stdout.readline().split()[2:] == ["success", "orchard", "build-and-test"]
        import_array(OTHER)
        assert process.stdout.readline().split()[2:] == ["failed", "orchard", "build-and-test"]
        process.send_signal(2)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130
    with manage("tail", "--since", "1h") as process:
        for _ in range(2):
            process.stdout.readline()
        process.stdout.close()  # While there is nothing more to write.
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == ""
