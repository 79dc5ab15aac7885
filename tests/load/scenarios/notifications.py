"""Kill two watches repeatedly while they send notifications to servers that sometimes fail.

No message is lost, each channel keeps its order, and a message arrives twice only after a kill.
"""

import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.load.account import audit, require_statuses
from tests.load.engines import manage
from tests.load.senders import Load, signed_event
from tests.load.server import PROJECT
from tests.load.wire import HOST, wait_until

CHANNELS = 4
FAILING = 0.05  # The share of requests that are answered 503.
SECONDS_PER_REQUEST = 0.1  # Long enough to be killed in between.
NOTIFICATIONS = "logs_notification"
ATTEMPTS = "logs_notificationattempt"
CHANGES = "logs_statechange"
ADD_CHANNELS = """
import json
from logs.models import Channel, Rule
from logs.notifications.sealing import seal
for number, url in enumerate(json.loads({urls!r})):
    Channel.objects.create(name=f"channel {{number}}", kind="pager", sealed=seal({{"url": url}}))
Rule.objects.create(name="default branches", branches="<default>").channels.set(Channel.objects.all())
"""


class Receiver:
    """A vendor's server: it notes the workflow of each message and whether it accepted it."""

    def __init__(self, random):
        self.arrivals = []  # (workflow, status) in their order.
        lock, arrivals = threading.Lock(), self.arrivals

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
                time.sleep(SECONDS_PER_REQUEST)
                with lock:
                    status = 503 if random.random() < FAILING else 200
                    arrivals.append((text.split()[1], status))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *arguments):
                pass

            def handle(self):
                with suppress(ConnectionError):  # The sender was killed.
                    super().handle()

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class Watch:
    """A watch in a process of its own, apart from the site."""

    def __init__(self, server):
        self._server = server
        self.start()

    def start(self):
        with self._server.log_path.open("ab") as log:
            command = [sys.executable, "-m", "tests.load.pager"]
            self._process = subprocess.Popen(command, cwd=PROJECT, env=self._server.environment, stderr=log)

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=30)


class BreakingLoad(Load):
    """A sender whose runs each break another workflow, so that each is a message."""

    def events(self, number, random):
        for run in itertools.count(1):
            options = {"workflow": f"workflow-{run}", "pipeline": run, "branch": "main", "status": "failed"}
            yield signed_event(random, happened_at=datetime.now(UTC), **options)


def run(stage):
    """Kill a watch every second or two while runs break; let the rest be sent, and compare the arrivals."""
    with ExitStack() as stack:
        receivers = [stack.enter_context(Receiver(stage.random(f"receiver {number}"))) for number in range(CHANNELS)]
        site = stack.enter_context(stage.site(WATCH="off", NOTIFICATION_ALLOWED_NETWORKS="127.0.0.0/8"))
        urls = json.dumps([receiver.url for receiver in receivers])
        manage(site.server.environment, "shell", "--no-imports", "-c", ADD_CHANNELS.format(urls=urls))
        watches = [Watch(site.server) for _ in range(2)]
        try:
            load, kills = _kill_during_load(stage, site, watches)
            stage.tell("waiting for the last message")
            wanted = len(load.account.acknowledged) * CHANNELS
            wait_until(lambda: _count(site.database, "state = 'sent'") >= wanted, "the last message is sent", 400)
        finally:
            for watch in watches:
                watch.kill()
        stage.report.note("watches killed", kills)
        _compare(stage.report, site.database, receivers, kills)
        tracebacks = site.server.tracebacks()
        stage.report.require("tracebacks in the log", len(tracebacks), equal=0)
        if tracebacks:
            stage.report.remark(f"tracebacks: {'; '.join(tracebacks)[:500]}")
        audit(load.account, site.database, stage.report)
        require_statuses(load.account, stage.report, allowed={200, 201})


def _kill_during_load(stage, site, watches):
    random, kills = stage.random("kills"), 0
    # Before its first run, a watch takes what is there for old.
    wait_until(lambda: site.database.query("SELECT 1 FROM logs_watchtask WHERE name = 'rollup'"), "the watch runs")
    seconds, messages = stage.choose(short=8, full=60), stage.choose(short=30, full=150)
    pause = 0.8 * seconds / messages
    with BreakingLoad(site.server.port, connections=1, seed=stage.seed, pause_seconds=pause) as load:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(random.uniform(1, 3))  # A watch needs a second or two to start.
            watch = random.choice(watches)
            watch.kill()
            watch.start()
            kills += 1
            stage.tell(f"killed {kills} watches")
    return load, kills


def _count(database, condition):
    return database.query(f"SELECT count(*) FROM {NOTIFICATIONS} WHERE {condition}")[0][0]


def _compare(report, database, receivers, kills):
    """Require that each channel's server got each message, in order, and twice only after a kill."""
    expected = _expected(database)
    unended = Counter(
        tuple(row)
        for row in database.query(
            f"SELECT n.channel_id, c.workflow FROM {ATTEMPTS} a JOIN {NOTIFICATIONS} n ON n.id = a.notification_id "
            f"JOIN {CHANGES} c ON c.id = n.change_id WHERE a.ended_at IS NULL"
        )
    )
    missing = disordered = unexplained = 0
    doubled = []
    for (channel, workflows), receiver in zip(sorted(expected.items()), receivers, strict=True):
        accepted = Counter(workflow for workflow, status in receiver.arrivals if status == 200)
        first = list(dict.fromkeys(workflow for workflow, _ in receiver.arrivals))
        missing += len(set(workflows) - set(accepted))
        disordered += first != workflows
        repeats = {workflow: count - 1 for workflow, count in accepted.items() if count > 1}
        unexplained += sum(count > unended[channel, workflow] for workflow, count in repeats.items())
        doubled.append(sum(repeats.values()))
    report.require("messages per channel", min(map(len, expected.values())), at_least=20)
    report.note("requests answered 503", sum(status == 503 for each in receivers for _, status in each.arrivals))
    report.require("messages lost", missing, equal=0)
    report.require("channels whose messages arrived in another order", disordered, equal=0)
    report.note("messages that arrived twice", sum(doubled))
    report.require("messages that arrived twice, most in one channel", max(doubled), at_most=kills)
    report.require("messages that arrived twice without an attempt that has no end", unexplained, equal=0)
    report.note("attempts without an end", sum(unended.values()))


def _expected(database):
    """Return the workflows of each channel's messages, in the order of the outbox."""
    expected = defaultdict(list)
    for channel, workflow in database.query(
        f"SELECT n.channel_id, c.workflow FROM {NOTIFICATIONS} n JOIN {CHANGES} c ON c.id = n.change_id ORDER BY n.id"
    ):
        expected[channel].append(workflow)
    return expected
