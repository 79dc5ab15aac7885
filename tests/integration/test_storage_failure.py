"""A write that the database cannot make is answered 503, and /readyz names the reason."""

import fcntl
import json
import secrets
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from logs.models import Delivery, WorkflowEvent
from tests.integration.test_server import delivery, running

# Roles belong to the whole server, which the workers of a parallel run share.
READER_ROLE = f"reader_{secrets.token_hex(4)}"
UNAVAILABLE = "database_unavailable"


@contextmanager
def folder_in_place_of_the_lock_file():
    path = Path(f"{connection.settings_dict['NAME']}-turn")
    path.unlink(missing_ok=True)
    path.mkdir()
    try:
        yield
    finally:
        path.rmdir()


@contextmanager
def statements(before, after):
    with connection.cursor() as cursor:
        cursor.execute(before)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(after)


@contextmanager
def another_process_that_writes():
    """Hold SQLite's write lock as the sqlite3 shell does, and wait less long for it than a site does."""
    hold = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); print(); input()"
    command = ["python3", "-c", hold, str(connection.settings_dict["NAME"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        try:
            with statements("PRAGMA busy_timeout = 50", "PRAGMA busy_timeout = 3000"):
                yield
        finally:
            process.stdin.close()
            process.wait()


@contextmanager
def missing_privilege():
    """Act as a role that may read everything and write nothing: tests connect as a superuser, who may do anything."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {READER_ROLE}; GRANT pg_read_all_data TO {READER_ROLE}; SET ROLE {READER_ROLE}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"RESET ROLE; DROP ROLE {READER_ROLE}")


# fmt: off
FAILURES = [
    ("sqlite", folder_in_place_of_the_lock_file,
        "the lock file test.sqlite3-turn cannot be opened: Is a directory"),
    ("sqlite", another_process_that_writes, "database is locked"),
    ("sqlite", lambda: statements("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
        "attempt to write a readonly database"),
    ("postgresql", missing_privilege, "permission denied for table logs_workflowevent"),
]
# fmt: on


@pytest.fixture(params=FAILURES, ids=["lock file", "locked", "read-only", "privilege"])
def failure(request):
    """Something real that keeps the database from being written, and the words that /readyz has for it."""
    vendor, make, reason = request.param
    if connection.vendor != vendor:
        pytest.skip(f"about {vendor}")
    return make, reason


def is_unavailable(answer):
    return (answer.status_code, answer.headers.get("Retry-After"), answer.json()["code"]) == (503, "10", UNAVAILABLE)


@pytest.mark.django_db(transaction=True)
def test_every_request_that_has_to_write_is_answered_503(failure, deliver, workflow_document, ping_document, client):
    get_user_model().objects.create_superuser("root", password="right")
    client.force_login(get_user_model().objects.get())
    refused = deliver(workflow_document(seed=9), secret="wrong")
    assert refused.status_code == 401
    key = Delivery.objects.get().pk
    make, _ = failure
    with make():
        assert is_unavailable(deliver(workflow_document()))
        assert is_unavailable(deliver(ping_document))
        assert is_unavailable(deliver(workflow_document(), secret="wrong"))
        assert is_unavailable(deliver(b"no JSON"))
        assert is_unavailable(client.post(f"/deliveries/{key}/replay"))
        assert is_unavailable(client.post("/admin/login/", {"username": "root", "password": "wrong"}))
        assert is_unavailable(client.get("/deliveries", headers={"authorization": "Basic cm9vdDp3cm9uZw=="}))
        new_user = {"username": "ops", "usable_password": "false"}
        # These write past the queue, and the first may do without.
        assert client.get("/admin/").status_code in (200, 503)
        assert client.post("/admin/auth/user/add/", new_user).status_code in (302, 503)
        assert client.get("/deliveries").status_code == 200
        assert client.get("/healthz").status_code == 200
    assert deliver(workflow_document()).status_code == 201
    assert WorkflowEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_readyz_names_the_reason_why_nothing_can_be_written(failure, client):
    make, reason = failure
    with make():
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"status": "unready", "detail": f"the database cannot be written: {reason}"}
        assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_readyz_leaves_no_row_behind_and_uses_up_no_key(client, deliver, workflow_document):
    deliver(workflow_document(seed=1))
    assert client.get("/readyz").status_code == 200
    deliver(workflow_document(seed=2))
    for rows in (WorkflowEvent.objects, Delivery.objects):
        first, second = rows.order_by("pk").values_list("pk", flat=True)
        assert second == first + 1


@pytest.mark.django_db(transaction=True)
def test_readyz_commits_because_sqlite_detects_a_full_disk_at_a_commit_only(client):
    if connection.vendor != "sqlite":
        pytest.skip("about SQLite")
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        before = other.execute("PRAGMA data_version").fetchone()
        assert client.get("/readyz").status_code == 200
        assert other.execute("PRAGMA data_version").fetchone() != before


@pytest.mark.django_db(transaction=True)
def test_readyz_waits_a_second_for_its_turn(client):
    if connection.vendor != "sqlite":
        pytest.skip("about SQLite")
    with Path(f"{connection.settings_dict['NAME']}-turn").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        reason = client.get("/readyz").json()["detail"]
    assert reason == "the database cannot be written: another process has been writing for 1 seconds"


@pytest.mark.django_db(transaction=True)
def test_a_standby_answers_503(deliver, workflow_document, client):
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL's stand-by servers")
    with statements("SET default_transaction_read_only = on", "SET default_transaction_read_only = off"):
        assert is_unavailable(deliver(workflow_document()))
        assert client.get("/readyz").status_code == 503
    assert deliver(workflow_document()).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_table_that_is_missing_answers_503(deliver, workflow_document):
    renamed = "ALTER TABLE logs_delivery RENAME TO logs_elsewhere"
    with statements(renamed, "ALTER TABLE logs_elsewhere RENAME TO logs_delivery"):
        assert is_unavailable(deliver(workflow_document()))
    assert deliver(workflow_document()).status_code == 201


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_answered_503_until_there_is_room(small_disk, tmp_path):
    if connection.vendor != "sqlite":
        pytest.skip("about SQLite's files")
    with running(tmp_path, DATA_DIR=str(small_disk)) as server:
        filling = small_disk / "filling"
        with pytest.raises(OSError, match="No space left"):
            filling.write_bytes(bytes(3_000_000))
        assert server.request("POST", "/log-circleci-webhook", *delivery(1))[0] == 503
        status, body = server.request("GET", "/readyz")
        assert status == 503
        assert json.loads(body)["detail"] == "the database cannot be written: database or disk is full"
        filling.unlink()
        assert server.request("GET", "/readyz")[0] == 200
        assert server.request("POST", "/log-circleci-webhook", *delivery(1))[0] == 201
        assert "Traceback" not in server.stderr


@pytest.mark.django_db
def test_an_uploaded_file_is_written_nowhere(client, settings):
    settings.FILE_UPLOAD_TEMP_DIR = "/no/such/folder"
    large = SimpleUploadedFile("large.bin", bytes(3_000_000))
    assert client.post("/admin/login/", {"username": "root", "file": large}).status_code == 200
