"""Debian's Prometheus reads a running site, and every expression of the dashboard and of the alert rules has data."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from logs.http.metrics import CACHED_SECONDS
from tests.integration.live import live_site
from tests.load.server import PROJECT
from tests.load.wire import HOST, Connection, free_port, request_bytes, wait_until

pytestmark = pytest.mark.skipif(
    not shutil.which("prometheus") or not shutil.which("promtool"),
    reason="Prometheus is not installed (apt-get install prometheus)",
)

TOKEN = "a-token-of-these-tests"
GRAFANA = PROJECT / "docs" / "grafana"
RULES = GRAFANA / "alert-rules.yaml"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "webhooklog-prometheus.json").read_text(encoding="utf-8"))
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
REFUSED = 10

# Makes a log in which everything is wrong that an alert rule is about.
PREPARE = """
import django
django.setup()
from datetime import timedelta
from django.utils import timezone
from logs.insights.counters import count_new
from logs.models import *
from logs.times import hour_of
now = timezone.now()
names = {"project_slug": "github/acme/orchard", "project": "acme/orchard"}
day, hour = timedelta(days=1), hour_of(now)
Standing.objects.create(workflow="build", branch="main", tone="bad", failures=2, last_run_at=now, **names)
Source.objects.create(webhook="My CircleCI Webhook", last_delivery_at=now - 4 * day, **names)
workflow = Workflow.objects.create(name="build", **names)
for status, count in (("success", 8), ("failed", 2)):
    HourlyStatus.objects.create(hour=hour, event_type="workflow-completed", status=status, count=count)
    HourlyWorkflow.objects.create(
        hour=hour, workflow=workflow, status=status, duration_bucket=70, seconds=300, count=count
    )
HourlyLag.objects.create(hour=hour, webhook="My CircleCI Webhook", verified=True, lag_bucket=9, count=10)
RollupState.objects.create(counted_from=hour, counted_until=now - day, complete_until=now - day)
Channel.objects.create(name="chat", kind="slack", failing_since=now)
Alarm.objects.create(kind="silence", key="github/acme/orchard", opened_at=now)
WatchTask.objects.create(name="follow", claimed_until=now - day)
list(count_new())
"""
COUNT = "import django; django.setup(); from logs.insights.counters import count_new; list(count_new())"

CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: webhooklog
    authorization: {{credentials: {token}}}
    static_configs: [{{targets: ["{host}:{port}", "{host}:{unused}"]}}]
"""


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port):
        self.url = f"http://{HOST}:{port}"

    def get(self, path, **parameters):
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as response:
            return json.load(response)["data"]

    def query(self, expression):
        """Return the samples of an expression now; none while Prometheus starts."""
        try:
            return self.get("query", query=expression)["result"]
        except URLError:
            return []


def run_in(site, code):
    """Run code with the settings of a site."""
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=django_environment(site), check=True)


def django_environment(site):
    return site.server.environment | {"DJANGO_SETTINGS_MODULE": "webhooklog.settings"}


def refuse_deliveries(site):
    """Send deliveries with a wrong signature."""
    with Connection(site.server.port) as connection:
        headers = {"content-type": "application/json", "circleci-signature": f"v1={'0' * 64}"}
        assert {connection.post(b"{}", headers).status for _ in range(REFUSED)} == {401}


@contextmanager
def running_prometheus(folder, site):
    """Run Prometheus on a free port, with the documented rules."""
    port = free_port()
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        CONFIGURATION.format(rules=RULES, token=TOKEN, host=HOST, port=site.server.port, unused=free_port())
    )
    command = [
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={HOST}:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def site(pytestconfig):
    with live_site(pytestconfig.getoption("database"), METRICS_TOKEN=TOKEN) as (_, site):
        run_in(site, PREPARE)
        yield site


@pytest.fixture(scope="module")
def prometheus(site, tmp_path_factory):
    """A Prometheus that has read the site before and after deliveries were refused."""
    with ExitStack() as stack:
        prometheus = stack.enter_context(running_prometheus(tmp_path_factory.mktemp("prometheus"), site))
        refused = 'webhooklog_deliveries_total{outcome="unverified"}'
        wait_until(partial(prometheus.query, f"{refused} == 0"), "Prometheus has read the site", seconds=60)
        refuse_deliveries(site)
        run_in(site, COUNT)
        wait_until(partial(prometheus.query, f"{refused} == {REFUSED}"), "Prometheus has read it again", seconds=60)
        yield prometheus


def test_prometheus_reads_the_site(prometheus, site):
    health = {target["scrapeUrl"]: target["health"] for target in prometheus.get("targets")["activeTargets"]}
    assert health[f"http://{HOST}:{site.server.port}/metrics"] == "up"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_of_the_dashboard_has_data(prometheus, expression):
    found = partial(prometheus.query, expression.replace("$__rate_interval", "1m"))
    wait_until(found, f"{expression} has data", seconds=30)


def test_every_alert_fires_or_is_about_to_on_a_log_in_which_everything_is_wrong(prometheus):
    def inactive():
        (group,) = prometheus.get("rules")["groups"]
        return {rule["name"] for rule in group["rules"] if rule["state"] == "inactive" or rule["health"] != "ok"}

    wait_until(lambda: not inactive(), f"all of these alerts are active: {inactive()}", seconds=30)


def test_the_alert_about_a_broken_branch_names_it(prometheus):
    (alert,) = [each for each in prometheus.get("alerts")["alerts"] if "Branch" in each["labels"]["alertname"]]
    assert alert["annotations"]["summary"] == "build is broken on main of acme/orchard."


def test_promtool_accepts_the_rules():
    checked = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def read_metrics(site):
    request = request_bytes("GET", "/metrics", {"authorization": f"Bearer {TOKEN}"})
    with Connection(site.server.port) as connection:
        answer = connection.exchange(request)
    assert answer.status == 200
    return answer.body.decode()


def read_from_worker(site, pid):
    """Return the metrics from one worker, while the others cannot answer."""
    others = set(site.server.serving_pids()) - {pid}
    try:
        for other in others:
            os.kill(other, signal.SIGSTOP)
        return read_metrics(site)
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def test_promtool_accepts_the_metrics_of_the_site(site):
    text = read_metrics(site)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_two_workers_give_the_same_figures(site, prometheus):
    workers = site.server.serving_pids()
    assert len(workers) == 2
    # Prometheus reads the site all the time, so both may have cached an older count.
    time.sleep(CACHED_SECONDS)
    texts = [read_from_worker(site, pid) for pid in workers]
    assert texts[0] != texts[1]  # Their ages differ: each worker has read the database itself.
    assert len({re.sub(r"^(webhooklog_\w+_age_seconds) .*", r"\1", text, flags=re.MULTILINE) for text in texts}) == 1
