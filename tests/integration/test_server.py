"""Real gunicorn processes, configured as they are in production, meet clients that are slow, odd or broken."""

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from logs.circleci import samples
from logs.circleci.signature import sign
from tests.load.measuring import family, shared_mib

PROJECT = Path(__file__).resolve().parents[2]
CONFIGURATION = PROJECT / "docker" / "gunicorn.conf.py"
pytestmark = pytest.mark.sqlite_site

SECRET = "a-secret-of-the-server-tests"
WAIT_SECONDS = 20
MAX_BODY_BYTES = 10_000
GRACEFUL_TIMEOUT_SECONDS = 10
READY = b'{"status": "ready", "watch": "not running", "news": "unknown"}'


class Server:
    """A gunicorn of a test's own: its port, its process, and what it has written so far."""

    def __init__(self, folder, environment, configuration=CONFIGURATION):
        self.port = free_port()
        self.folder = folder
        self.environment = environment | {"PORT": str(self.port)}
        self.stdout_path, self.stderr_path = folder / "stdout", folder / "stderr"
        with self.stdout_path.open("wb") as stdout, self.stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", str(configuration), "webhooklog.asgi:application"],
                cwd=PROJECT,
                env=self.environment,
                stdout=stdout,
                stderr=stderr,
                # A process group, to which a test can send what a terminal sends on Ctrl-C.
                start_new_session=True,
            )

    @property
    def stdout(self):
        return self.stdout_path.read_text()

    @property
    def stderr(self):
        return self.stderr_path.read_text()

    def logged(self, **wanted):
        """Wait for a request in the access log by what is logged about it, and return its line as an object."""
        found = []

        def is_logged():
            lines = [json.loads(line) for line in self.stdout.splitlines(keepends=True) if line.endswith("\n")]
            found[:] = [line for line in lines if wanted.items() <= line.items()]
            return found

        wait_until(is_logged)
        return found[0]

    def request(self, method, path, body=None, headers=None, **options):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        try:
            connection.request(method, path, body, headers or {}, **options)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def is_ready(self):
        assert self.process.poll() is None, self.stderr
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS)

    def exchange(self, data):
        """Send bytes as they are, and return the status line of the answer."""
        with self.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return client.makefile("rb").readline()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} seconds"
        time.sleep(0.05)


def settings_of(folder, **overrides):
    """Return a whole environment: nothing of the machine's own reaches the server."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(folder / "data"),
        "SECRET_KEY": "a-key-of-the-server-tests-" + "0123456789" * 4,
        "CIRCLECI_WEBHOOK_SECRETS": json.dumps({"My CircleCI Webhook": SECRET}),
        "ALLOWED_HOSTS": "127.0.0.1",
        "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "WEB_CONCURRENCY": "1",
        "WEB_THREADS": "2",
        "GRACEFUL_TIMEOUT_SECONDS": str(GRACEFUL_TIMEOUT_SECONDS),
        "WATCH": "off",  # test_watch_worker.py is about the watch.
    } | overrides


def migrate(environment):
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, timeout=60)


@cache
def migrated_files():
    """Return the files of a migrated data folder: copying them is much faster than migrating for each server."""
    with tempfile.TemporaryDirectory() as name:
        environment = settings_of(Path(name))
        migrate(environment)
        return {path.name: path.read_bytes() for path in Path(environment["DATA_DIR"]).iterdir()}


@contextmanager
def running(folder, configuration=CONFIGURATION, **overrides):
    environment = settings_of(folder, **overrides)
    if "DATABASE_URL" in environment:
        migrate(environment)
    else:
        data_dir = Path(environment["DATA_DIR"])
        data_dir.mkdir(exist_ok=True)
        for name, content in migrated_files().items():
            (data_dir / name).write_bytes(content)
    server = Server(folder, environment, configuration)
    try:
        wait_until(server.is_ready)
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that no test stops."""
    with running(tmp_path_factory.mktemp("server")) as shared:
        yield shared


@pytest.fixture
def own_server(tmp_path):
    """A server for one test, which may stop it."""
    with running(tmp_path) as own:
        yield own


def delivery(seed=1):
    """Return a signed delivery of an event that only this seed makes: its body and its headers."""
    document = samples.workflow_completed(random=random.Random(seed))
    body = json.dumps(document).encode()
    return body, {"content-type": "application/json", "circleci-signature": sign(body, SECRET)}


def head_of(headers, *extra):
    lines = [
        "POST /log-circleci-webhook HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{k}: {v}" for k, v in headers.items()),
        *extra,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_answers_probes_by_any_host_name(server):
    assert server.request("GET", "/healthz") == (200, b'{"status": "ok"}')
    assert server.request("GET", "/readyz", headers={"Host": "10.0.0.7"}) == (200, READY)


def test_logs_a_signed_delivery(server):
    body, headers = delivery(seed=10)
    status, answer = server.request("POST", "/log-circleci-webhook", body, headers)
    assert (status, json.loads(answer)["outcome"]) == (201, "logged")


def test_verifies_and_logs_a_delivery_that_comes_in_chunks(server):
    body, headers = delivery(seed=11)
    chunks = [body[:100], body[100:101], body[101:]]
    status, answer = server.request("POST", "/log-circleci-webhook", iter(chunks), headers, encode_chunked=True)
    assert (status, json.loads(answer)["outcome"]) == (201, "logged")


def test_refuses_a_chunked_delivery_that_was_changed_after_signing(server):
    body, headers = delivery(seed=12)
    status, _ = server.request("POST", "/log-circleci-webhook", iter([body, b" "]), headers, encode_chunked=True)
    assert status == 401


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"zz\r\nhello\r\n0\r\n\r\n", id="size is no number"),
        pytest.param(b"-5\r\nhello\r\n0\r\n\r\n", id="size is negative"),
        pytest.param(b"\r\nhello\r\n0\r\n\r\n", id="size is missing"),
        pytest.param(b"5\r\nhelloXX0\r\n\r\n", id="no end after a chunk"),
        pytest.param(b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", id="size is beyond all bounds"),
        pytest.param(b"5\r\nhel", id="ends inside a chunk"),
        pytest.param(b"5\r\nhello\r\n", id="ends before the last chunk"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_answers_broken_chunks_with_400(server, broken):
    _, headers = delivery()
    status_line = server.exchange(head_of(headers, "Transfer-Encoding: chunked") + broken)
    assert status_line.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "odd", [b"0\r\nbroken trailer\r\n\r\n", b"1;" + b"x" * 30_000 + b"\r\nh\r\n0\r\n\r\n"], ids=["trailer", "extension"]
)
def test_what_surrounds_the_chunks_is_no_part_of_the_body(server, odd):
    _, headers = delivery()
    assert server.exchange(head_of(headers, "Transfer-Encoding: chunked") + odd).startswith(b"HTTP/1.1 40")


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(lambda body: b"%x\r\n%s" % (len(body) + 1, body), id="inside a chunk"),
        pytest.param(lambda body: b"%x\r\n%s" % (len(body), body), id="after a chunk's bytes"),
        pytest.param(lambda body: b"%x\r\n%s\r\n" % (len(body), body), id="before the last chunk"),
        pytest.param(lambda body: b"%x\r\n%s\r\n0\r\n" % (len(body), body), id="inside the last chunk"),
    ],
)
def test_never_takes_a_chunked_body_for_whole_that_ended_early(server, cut):
    # All the bytes that the signature covers have arrived, but more could have followed.
    body, headers = delivery(seed=13)
    with server.connect() as client:
        client.sendall(head_of(headers, "Transfer-Encoding: chunked") + cut(body))
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"body_unreadable"' in answer


def test_refuses_a_body_that_is_cut_off(server):
    body, headers = delivery()
    status_line = server.exchange(head_of(headers, f"Content-Length: {len(body)}") + body[:-1])
    assert status_line.startswith(b"HTTP/1.1 400 ")


def test_refuses_a_request_with_both_a_length_and_chunks(server):
    # A proxy and a server that read it differently could be made to see two requests in it.
    _, headers = delivery()
    smuggled = head_of(headers, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n"
    assert server.exchange(smuggled).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_refuses_a_body_longer_than_the_limit(server, is_chunked):
    body = b"x" * (MAX_BODY_BYTES + 1)
    headers = {"content-type": "application/json", "circleci-signature": sign(body, SECRET)}
    sent = iter([body]) if is_chunked else body
    status, answer = server.request("POST", "/log-circleci-webhook", sent, headers, encode_chunked=is_chunked)
    assert status == 413, answer


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"X-Large: " + b"x" * 8_300, b"431"),
        (b"Content-Type: application/json; " + b"a=b; " * 1_600, b"401"),
        (b"Host: 127.0.0.1\r\nbroken header", b"400"),
        (b"Content-Length: " + b"1" * 5_000, b"400"),
    ],
)
def test_never_answers_500_to_an_odd_header(server, header, status):
    request = (
        b"POST /log-circleci-webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n" + header + b"\r\n\r\n{}"
    )
    assert server.exchange(request).startswith(b"HTTP/1.1 " + status)


def test_writes_one_json_object_for_each_request_whatever_it_holds(server):
    hostile = [
        (b'/"},{"status":"200', b'"quotes" and \\backslashes\\'),
        (b"/%0a%0d%22%00", b'%s %(message)s {0} \\n"}'),
        (b"/gr%C3%B6%C3%9Fe%FF", "Mozilla 😀 \x85 \u2028".encode()),
        (b"/" + b'"' * 3_000, b"\x80" * 3_000),
    ]
    for path, user_agent in hostile:
        server.exchange(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: " + user_agent + b"\r\n\r\n")
    for path, user_agent in hostile:
        line = server.logged(path=path[:255].decode())
        assert line["user_agent"].encode("latin-1") == user_agent[:150]
    assert all(len(line) < 4_096 for line in server.stdout.splitlines())


@pytest.mark.parametrize("hostile", [b"/\xff", "/größe".encode(), b"/\x1b[31m", b"/ HTTP/1.1\rforged"])
def test_writes_one_line_for_what_is_no_request_at_all(server, hostile):
    before = server.stderr.count("\n")
    assert server.exchange(b"GET " + hostile + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    wait_until(lambda: server.stderr.count("\n") > before)
    (line,) = server.stderr.splitlines()[before:]
    assert "WARNING gunicorn.error: Invalid request" in line
    assert "\x1b" not in line


def test_logs_what_an_operator_asks_for_and_no_query(server):
    headers = {"User-Agent": "a browser", "X-Forwarded-For": "203.0.113.7"}
    server.request("GET", "/nothing-here?token=private", headers=headers)
    line = server.logged(path="/nothing-here")
    assert "private" not in server.stdout
    assert {name: line[name] for name in line if name not in ("time", "request_id", "bytes", "milliseconds")} == {
        "remote_address": "127.0.0.1",
        "forwarded_for": "203.0.113.7",
        "method": "GET",
        "path": "/nothing-here",
        "user_agent": "a browser",
        "status": 404,
    }
    assert line["bytes"] > 0
    assert line["milliseconds"] > 0
    assert line["time"].endswith("+00:00")


def test_the_access_log_tells_the_id_that_the_answer_has_told(server):
    head = "GET /asked-once HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: chosen\r\nConnection: close\r\n\r\n"
    with server.connect() as client:
        client.sendall(head.encode())
        answer = client.makefile("rb").read().decode()
    told = server.logged(path="/asked-once")["request_id"]
    assert re.fullmatch("[0-9a-f]{32}", told)
    assert f"\r\nx-request-id: {told}\r\n" in answer.lower()


FORGED = "2026-05-04T10:00:00.000+00:00 CRITICAL logs: forged"


def hostile_requests(forged):
    """Yield requests that try to write a line of their own, each by another way into the log."""
    body, headers = delivery()
    changed = [
        {"circleci-signature": f"v1={forged}"},
        {"user-agent": forged},
        {"x-forwarded-for": forged},
        {"x-request-id": forged},
        {"content-type": forged},
        {"host": forged},
        {f"odd{forged}": "header"},
    ]
    for change in changed:
        yield head_of(headers | change, f"Content-Length: {len(body)}") + body
    escaped = quote(forged)
    for path in (
        escaped,
        f"log-circleci-webhook/{escaped}",
        f"admin/{escaped}/",
        f"fetch-webhooks-logs?cursor={escaped}",
    ):
        yield f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    for request_line in (f"GET /{forged} HTTP/1.1", f"{forged} / HTTP/1.1", f"GET / {forged}"):
        yield f"{request_line}\r\nHost: 127.0.0.1\r\n\r\n".encode()


@pytest.mark.parametrize("log_format", ["line", "json"])
def test_no_request_can_forge_a_line_or_make_the_log_tell_a_secret(tmp_path, log_format):
    body, headers = delivery(seed=2)
    with running(tmp_path, LOG_FORMAT=log_format, LOG_LEVEL="DEBUG") as server:
        for line_break in ("\n", "\r", "\r\n", "\x0b", "\x1b[2K", "\x85", "\u2028", "%0a", "\\n"):
            for request in hostile_requests(f"{line_break}{FORGED}"):
                server.exchange(request)
        assert server.request("POST", "/log-circleci-webhook", body, headers)[0] == 201
        assert server.request("POST", "/log-circleci-webhook", body[:-1] + b" }", headers)[0] == 401
        basic = {"Authorization": "Basic b3BlcmF0b3I6aHVudGVyMg=="}
        assert server.request("GET", "/fetch-webhooks-logs", headers=basic)[0] == 401
    records = server.stderr.splitlines()
    assert len(records) > 90
    assert [line for line in server.stdout.splitlines() if not json.loads(line)["time"]] == []
    if log_format == "json":
        assert {tuple(json.loads(line))[:5] for line in records} == {
            ("time", "level", "logger", "message", "request_id")
        }
        assert not any(json.loads(line)["level"] == "CRITICAL" for line in records)
    assert [line for line in records if line.startswith(FORGED) or not line.isprintable()] == []
    written = server.stdout + server.stderr
    signature = headers["circleci-signature"].removeprefix("v1=")
    secrets = [SECRET, server.environment["SECRET_KEY"], signature, "hunter2", "b3BlcmF0b3I6aHVudGVyMg"]
    assert [secret for secret in secrets if secret in written] == []
    assert json.loads(body)["id"] not in written


def test_the_log_of_a_start_and_a_stop_is_json_where_that_is_asked_for(tmp_path):
    with running(tmp_path, LOG_FORMAT="json", CIRCLECI_WEBHOOK_SECRETS='{"unsigned": null}') as server:
        pass
    records = [json.loads(line) for line in server.stderr.splitlines()]
    messages = [record["message"] for record in records]
    assert any("logs.W003" in message for message in messages)
    assert any(message.startswith("Listening at") for message in messages)
    assert {record["logger"] for record in records} == {"gunicorn.error"}


def test_a_refusal_is_logged_with_the_id_that_the_access_log_tells(tmp_path):
    body, headers = delivery()
    with running(tmp_path, LOG_FORMAT="json") as server:
        server.request("POST", "/log-circleci-webhook", body + b" ", headers)
        told = server.logged(status=401)["request_id"]
        refusals = [json.loads(line) for line in server.stderr.splitlines() if "unverified delivery" in line]
    assert [refusal["request_id"] for refusal in refusals] == [told]


def test_believes_no_forwarding_header_itself(server):
    headers = {"X-Forwarded-Proto": "https", "SCRIPT_NAME": "/elsewhere", "X-Forwarded-SSL": "off"}
    assert server.request("GET", "/healthz", headers=headers)[0] == 200


def test_opens_no_control_socket(server):
    assert [path for path in server.folder.rglob("*") if path.is_socket()] == []
    unix_sockets = Path("/proc/net/unix").read_text()
    assert f"{server.folder}" not in unix_sockets
    assert "gunicorn" not in unix_sockets


@pytest.mark.parametrize("to_group", [False, True], ids=["the master alone", "the group, as a terminal does"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_finishes_a_delivery_when_it_is_told_to_stop(own_server, number, to_group):
    body, headers = delivery()
    with own_server.connect() as client, client.makefile("rb") as answers:
        client.sendall(head_of(headers, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        # Sent when the request is served, which from now on waits for the body.
        assert [answers.readline(), answers.readline()] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
        client.sendall(body[:50])
        (os.killpg if to_group else os.kill)(own_server.process.pid, number)
        wait_until(lambda: "Handling signal" in own_server.stderr)
        time.sleep(0.5)
        client.sendall(body[50:])
        assert answers.readline().startswith(b"HTTP/1.1 201 ")
    assert own_server.process.wait(WAIT_SECONDS) == 0
    assert not any(word in own_server.stderr for word in ("Traceback", "Exception", "SIGKILL")), own_server.stderr


def test_a_repeated_ctrl_c_does_not_wait_for_a_request_and_prints_no_traceback(own_server):
    body, headers = delivery()
    with own_server.connect() as client, client.makefile("rb") as answers:
        client.sendall(head_of(headers, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
        client.sendall(body[:50])
        for _ in range(3):
            os.killpg(own_server.process.pid, signal.SIGINT)
            time.sleep(0.3)
        assert own_server.process.wait(GRACEFUL_TIMEOUT_SECONDS / 2) == 0
    assert "Traceback" not in own_server.stderr
    assert "Exception" not in own_server.stderr


def test_reads_new_secrets_on_a_reload_without_refusing_a_connection(tmp_path):
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"My CircleCI Webhook": "another-secret-for-now"}))
    overrides = {"CIRCLECI_WEBHOOK_SECRETS": "", "CIRCLECI_WEBHOOK_SECRETS_FILE": str(secrets)}
    body, headers = delivery()
    with running(tmp_path, **overrides) as server:
        statuses = {server.request("POST", "/log-circleci-webhook", body, headers)[0]}
        secrets.write_text(json.dumps({"My CircleCI Webhook": [SECRET, "another-secret-for-now"]}))
        server.process.send_signal(signal.SIGHUP)

        def is_logged():
            statuses.add(server.request("POST", "/log-circleci-webhook", body, headers)[0])
            return 201 in statuses

        wait_until(is_logged)
    assert statuses == {401, 201}


def test_workers_share_the_memory_of_libraries(tmp_path):
    with running(tmp_path, WEB_CONCURRENCY="2") as server:
        _, worker, _ = family(server.process.pid)
        assert shared_mib(worker) > 20  # 4 without the libraries, 14 when the collector goes through them.


def configuration_with(folder, *lines):
    """Write a configuration that adds these lines to the real one."""
    path = folder / "changed.conf.py"
    path.write_text("\n".join([f"exec(open({str(CONFIGURATION)!r}).read())", *lines, ""]))
    return path


def test_gives_up_a_client_that_does_not_finish_its_request(tmp_path):
    impatient = configuration_with(tmp_path, "from webhooklog import worker", "worker.REQUEST_SECONDS = 1")
    body, headers = delivery()
    with running(tmp_path, impatient, WEB_THREADS="1") as server:
        with server.connect() as silent, server.connect() as in_head, server.connect() as in_body:
            in_head.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
            in_body.sendall(head_of(headers, f"Content-Length: {len(body)}") + body[:50])
            time.sleep(0.2)
            assert server.request("GET", "/healthz")[0] == 200
            answer = in_body.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"the body is incomplete: 50 of" in answer
            assert silent.makefile("rb").read() == in_head.makefile("rb").read() == b""
        assert "Traceback" not in server.stderr


def get(client):
    """Send a request over a connection that is kept alive, and return the status of its answer."""
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    answer = http.client.HTTPResponse(client)
    answer.begin()
    answer.read()
    return answer.status


def is_closed(client):
    """Wait for what the server sends next, and return whether that is the end."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_a_new_client_gets_the_connection_that_has_been_idle_longest(tmp_path):
    small = configuration_with(tmp_path, "worker_connections = 3")
    with running(tmp_path, small) as server:
        used, idle, other = clients = [server.connect() for _ in range(3)]
        assert [get(client) for client in (used, idle, other, used)] == [200] * 4
        clients.append(new := server.connect())
        assert get(new) == 200
        assert is_closed(idle)
        assert [get(client) for client in (used, other, new)] == [200] * 3
        for client in clients:
            client.close()


def test_a_client_that_waits_for_its_response_keeps_its_connection(tmp_path):
    small = configuration_with(tmp_path, "worker_connections = 2")
    with running(tmp_path, small) as server, server.connect() as waiting, server.connect() as idle:
        ask_to_wait(waiting, token_of(server))
        assert get(idle) == 200
        time.sleep(0.5)
        with server.connect() as new:
            assert get(new) == 200
            assert is_closed(idle)
            body, headers = delivery(seed=3)
            assert server.request("POST", "/log-circleci-webhook", body, headers)[0] == 201
            assert waiting.recv(4_096).startswith(b"HTTP/1.1 200 OK\r\n")


def token_of(server):
    """Create a token that may read the stream of deliveries."""
    for command in (
        ["createsuperuser", "--noinput", "--username=laptop", "--email=laptop@acme.example"],
        ["create_token", "laptop", "--name=stream", "--expires=1h"],
    ):
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=PROJECT,
            env=server.environment,
            check=True,
            capture_output=True,
            text=True,
        )
    return done.stdout.strip()


def ask_to_wait(client, token):
    head = f"GET /deliveries/stream?wait=25 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    client.sendall(head.encode())


def seconds_to_stop(server):
    started = time.monotonic()
    server.process.terminate()
    assert server.process.wait(WAIT_SECONDS) == 0
    return time.monotonic() - started


def test_idle_and_trickling_clients_do_not_delay_a_stop(own_server):
    body, headers = delivery()
    with (
        own_server.connect() as kept_alive,
        own_server.connect() as silent,
        own_server.connect() as in_head,
        own_server.connect() as in_body,
    ):
        get(kept_alive)
        in_head.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        in_body.sendall(head_of(headers, f"Content-Length: {len(body)}") + body[:50])
        trickle = Thread(target=send_slowly, args=(in_body, body[50:]))
        trickle.start()
        time.sleep(0.3)
        assert seconds_to_stop(own_server) < GRACEFUL_TIMEOUT_SECONDS / 2
        trickle.join()
        assert is_closed(kept_alive)
        assert is_closed(silent)
        assert is_closed(in_head)
        assert in_body.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"
    assert "Traceback" not in own_server.stderr
    assert "Forcing close" not in own_server.stderr


def send_slowly(client, body):
    try:
        for number in range(len(body)):
            client.sendall(body[number : number + 1])
            time.sleep(0.2)
    except OSError:
        pass


def test_when_the_server_stops_clients_that_wait_get_their_responses(own_server):
    token = token_of(own_server)
    with own_server.connect() as one, own_server.connect() as two, own_server.connect() as three:
        for client in (one, two, three):
            ask_to_wait(client, token)
        time.sleep(1)
        assert seconds_to_stop(own_server) < GRACEFUL_TIMEOUT_SECONDS / 2
        for client in (one, two, three):
            answer = client.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\nretry-after: " in answer.lower()
            assert answer.endswith(b"}")
    assert "Traceback" not in own_server.stderr


@pytest.mark.parametrize("pause", [0, 0.2])
def test_a_client_that_ends_its_side_after_a_request_reads_its_response(server, pause):
    body, headers = delivery(seed=20 + bool(pause))
    request = head_of(headers, f"Content-Length: {len(body)}") + body
    with server.connect() as client:
        client.sendall(request[:-1])
        time.sleep(pause)
        client.sendall(request[-1:])
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b'"outcome": "logged"' in answer


def test_a_client_that_ends_its_side_while_it_waits_reads_its_response(own_server):
    with own_server.connect() as client:
        ask_to_wait(client, token_of(own_server))
        client.shutdown(socket.SHUT_WR)
        time.sleep(0.5)
        body, headers = delivery()
        assert own_server.request("POST", "/log-circleci-webhook", body, headers)[0] == 201
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK\r\n")


def run_to_its_end(folder, **overrides):
    server = Server(folder, settings_of(folder, **overrides))
    try:
        return server.process.wait(WAIT_SECONDS), server
    finally:
        server.end()


def test_ends_the_start_with_every_error_of_the_environment(tmp_path):
    status, server = run_to_its_end(tmp_path, SECRET_KEY="", PORT="", MAX_BODY_BYTES="many")
    assert status == 1
    assert "SECRET_KEY" in server.stderr
    assert "MAX_BODY_BYTES" in server.stderr
    assert "Traceback" not in server.stderr


def test_ends_the_start_with_the_errors_of_the_system_checks(tmp_path):
    status, server = run_to_its_end(tmp_path, CIRCLECI_WEBHOOK_SECRETS='{"a b": "x", "a-b": "y"}')
    assert status == 1
    assert "logs.E003" in server.stderr
    assert "webhooklog cannot start" in server.stderr
    assert "Traceback" not in server.stderr
    assert server.stdout == ""


def test_prints_a_warning_of_the_system_checks_once(tmp_path):
    with running(tmp_path, CIRCLECI_WEBHOOK_SECRETS='{"unsigned": null}', WEB_CONCURRENCY="2") as server:
        assert server.stderr.count("logs.W003") == 1


def check_health(port):
    return subprocess.run(
        [sys.executable, PROJECT / "docker" / "healthcheck.py"],
        env={"PATH": os.environ["PATH"], "PORT": str(port), "http_proxy": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def test_the_health_check_of_the_container_follows_readiness(server):
    dead_port = free_port()
    healthy, dead = check_health(server.port), check_health(dead_port)
    assert (healthy.returncode, dead.returncode) == (0, 1)
    assert f"no answer on port {dead_port}" in dead.stderr


def test_the_health_check_of_the_container_fails_before_the_migrations(tmp_path):
    server = Server(tmp_path, settings_of(tmp_path))
    try:
        wait_until(lambda: "Listening at" in server.stderr)
        unready = check_health(server.port)
        assert unready.returncode == 1
        assert "migrations are not applied" in unready.stderr
    finally:
        server.end()


def test_a_length_of_too_many_digits_is_refused(server):
    _, headers = delivery()
    assert server.exchange(head_of(headers, f"Content-Length: {'1' * 5_000}")).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in server.stderr


def test_logs_a_delivery_whose_target_is_a_whole_url(server):
    body, headers = delivery(seed=2_100)
    head = head_of(headers, f"Content-Length: {len(body)}", "Connection: close")
    answer = server.exchange(head.replace(b"POST /", b"POST http://127.0.0.1/", 1) + body)
    assert answer.startswith(b"HTTP/1.1 201 ")


def test_a_client_that_does_not_read_is_disconnected(tmp_path):
    impatient = configuration_with(tmp_path, "from webhooklog import worker", "worker.READ_SECONDS = 1")
    request = b"GET /log-circleci-webhook HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with running(tmp_path, impatient) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.settimeout(1)
        client.connect(("127.0.0.1", server.port))

        def is_disconnected():
            try:
                client.sendall(request * 1_000)
            except TimeoutError:
                return False
            except OSError:
                return True
            return False

        wait_until(is_disconnected)
        started = time.monotonic()
        server.process.terminate()
        assert server.process.wait(WAIT_SECONDS) == 0
        assert time.monotonic() - started < GRACEFUL_TIMEOUT_SECONDS / 2


def test_requests_that_came_before_a_half_close_are_all_answered(server):
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with server.connect() as client:
        client.sendall(request * 3)
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").read().count(b"HTTP/1.1 200 ") == 3
