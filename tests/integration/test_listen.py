"""``manage.py listen`` between real processes: what the site keeps arrives at the laptop, in order and once."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from tests.integration.listening import Listener, Network, place, send
from tests.load.engines import manage
from tests.load.listeners import Crowd
from tests.load.server import PROJECT
from tests.load.wire import wait_until

LISTENERS = 40
RECEIVING = "/log-circleci-webhook"


@pytest.fixture(scope="module")
def site(tmp_path_factory, worker_id):
    """The deployed webhooklog, on the database of this run, and a token of it."""
    is_postgresql = "postgresql" in settings.DATABASES["default"]["ENGINE"]
    database_name = f"listen_{worker_id}" if is_postgresql else None
    with place(tmp_path_factory.mktemp("site") / "site", database_name) as deployed:
        deployed.key = deployed.token()
        yield deployed


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """A webhooklog that CircleCI does not reach."""
    with place(tmp_path_factory.mktemp("laptop") / "laptop") as local:
        yield local


@pytest.fixture
def network(site):
    way = Network(site.server.port)
    yield way
    way.close()


@pytest.fixture
def listener(tmp_path, site, laptop, network):
    """The command, which reaches the site over the network that can be cut."""
    environment = laptop.environment | {"WEBHOOKLOG_TOKEN": site.key}
    command = Listener(
        tmp_path, environment, f"--from=http://127.0.0.1:{network.port}", f"--to={laptop.url}{RECEIVING}"
    )
    yield command
    if command.process and command.process.poll() is None:
        command.process.kill()
        command.process.wait()


def test_all_arrives_in_order_and_once_whatever_stops_and_starts(site, laptop, network, listener):
    kept_before, had_before = len(site.bodies()), len(laptop.bodies())
    listener.start()
    listener.wait_for("listening to")
    wait_until((listener.output_path.parent / "state.json").exists, "it knows where the log ends")

    def send_all():
        for seed in range(20):
            send(site, 4, seed=f"through {seed}")
            time.sleep(0.2)

    sender = threading.Thread(target=send_all)
    sender.start()
    time.sleep(0.5)
    laptop.stop()  # The laptop's server is stopped and started.
    listener.wait_for("; retrying")
    laptop.start()
    network.cut()  # The connection is cut.
    listener.wait_for("cannot be reached")
    network.mend()
    assert listener.end(signal.SIGTERM) == 143  # The laptop sleeps.
    send(site, 10, seed="asleep")
    listener.start()
    site.server.kill()  # The site is restarted, as roughly as can be.
    site.start()
    sender.join()
    wait_until(lambda: len(laptop.bodies()) - had_before >= len(site.bodies()) - kept_before, "all arrive", seconds=60)
    time.sleep(1)
    assert listener.end() == 130
    sent, arrived = site.bodies()[kept_before:], laptop.bodies()[had_before:]
    assert len(sent) == 90
    assert arrived == sent
    verified = laptop.database.query("SELECT count(*) FROM logs_delivery WHERE NOT verified")
    assert verified == [(0,)]
    logged = {event_id for (event_id,) in laptop.database.query("SELECT event_id FROM logs_workflowevent")}
    assert {json.loads(body)["id"] for body in sent} <= logged
    assert "; retrying\n" in listener.output
    assert "\ncontinuing\n" in listener.output


def test_a_crowd_of_listeners_leaves_the_threads_to_circleci(site):
    kept_before = len(site.bodies())
    with Crowd(site.server.port, site.key, LISTENERS, wait_seconds=3) as crowd:
        time.sleep(2)  # Now as many wait as may.
        seconds = send(site, 40, seed="a crowd")
        wait_until(lambda: min(map(len, crowd.seen)) >= 40, "all have seen all", seconds=60)
    assert max(seconds) < 2
    assert all(seen == site.bodies()[kept_before:] for seen in crowd.seen)


def test_a_network_that_swallows_everything_is_noticed_within_ten_seconds(site, listener, network):
    """Nor does it help that the connection stands, as it does to a proxy on the way."""
    listener.start()
    wait_until((listener.output_path.parent / "state.json").exists, "it waits")
    network.swallow()
    started = time.monotonic()
    listener.wait_for("cannot be reached")
    assert time.monotonic() - started < 10
    network.mend()
    send(site, 1, seed="after the silence")
    listener.wait_for(" ms\n")


def test_a_restart_does_not_wait_for_those_who_wait(site, listener):
    listener.start()
    wait_until((listener.output_path.parent / "state.json").exists, "it waits")
    time.sleep(1)
    started = time.monotonic()
    site.stop()
    assert time.monotonic() - started < 10
    site.start()


def test_a_delivery_is_one_plain_line_at_once(site, laptop, listener):
    listener.start()
    wait_until((listener.output_path.parent / "state.json").exists, "it knows where the log ends")
    started = time.monotonic()
    send(site, 1, seed="a line")
    listener.wait_for(" ms")
    assert time.monotonic() - started < 5
    (line,) = [line for line in listener.output.splitlines() if line.endswith(" ms")]
    assert "workflow-completed" in line
    assert " 201 " in line
    assert line.isprintable()
    assert listener.end() == 130
    assert "1 forwarded" in listener.output


def test_reads_its_own_database_from_the_start_with_filters(tmp_path, site, laptop):
    manage(
        laptop.environment,
        "send_test_webhook",
        f"{site.url}{RECEIVING}",
        "--secret=a-secret-of-the-torture-only",
        "--type=workflow-completed",
        "--status=all",
        "--project=own-log",
    )
    listener = Listener(tmp_path, site.environment, f"--to={laptop.url}{RECEIVING}", "--project=own-log")
    listener.arguments += ["--status=failed,error"]
    listener.start("--since=start")
    wait_until(lambda: listener.output.count(" ms\n") >= 2, "two lines", seconds=45)
    assert listener.end() == 130
    assert listener.output.count("own-log") == 2
    assert all(word in listener.output for word in (" failed ", " error "))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to=http://93.184.215.14/"], "has the public IP address"),
        (["--to=http://[::ffff:93.184.215.14]/"], "has the public IP address"),
        (["--to=http://no-such-host.invalid/"], "is unknown"),
        (["--to={laptop}", "--from={site}", "--token=whl_wrong"], "answers 401: There is no such token"),
        (["--to={laptop}", "--from={site}"], "needs an API token"),
        (["--to={laptop}", "--from={site}/elsewhere", "--token=whl_wrong"], "answers 404"),
        (["--to={laptop}", "--from={site}/admin", "--token=whl_wrong"], "answers 302: /admin/login/"),
        (["--to={laptop}", "--outcome=nice"], "--outcome: 'nice' is unknown: use logged"),
    ],
)
def test_says_what_must_be_changed(tmp_path, site, laptop, arguments, told):
    filled = [each.format(laptop=laptop.url + RECEIVING, site=site.url) for each in arguments]
    with pytest.raises(CommandError, match=re.escape(told)):
        call_command("listen", *filled, f"--state={tmp_path / 'state.json'}", stderr=StringIO())


def test_ends_when_nobody_reads_its_lines_any_more(tmp_path, site, laptop):
    command = [
        sys.executable,
        "manage.py",
        "listen",
        f"--to={laptop.url}{RECEIVING}",
        "--since=start",
        f"--state={tmp_path / 'state.json'}",
    ]
    send(site, 3, seed="piped")
    listen = subprocess.Popen(
        command, cwd=PROJECT, env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert listen.stdout.readline().endswith(" ms\n")
    listen.stdout.close()
    _, told = listen.communicate(timeout=60)
    assert listen.returncode == 0
    assert "Traceback" not in told
    assert "Exception ignored" not in told


def test_help_shows_examples(site):
    told = manage(site.environment, "listen", "--help")
    assert "examples:\n  WEBHOOKLOG_TOKEN=whl_... manage.py listen --from" in told
