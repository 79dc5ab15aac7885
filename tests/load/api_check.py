"""Hold a running site against the description of its API: ``python -m tests.load.api_check``.

schemathesis sends what the description allows and what it forbids, in all its phases and with all its checks. Ends with
status 1 on any finding, and when fewer than CASES_AT_LEAST were tried. Everything stays on 127.0.0.1 and in a temporary
folder.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from itertools import product
from pathlib import Path
from random import Random

from logs.circleci import samples
from tests.load.engines import SQLiteEngine
from tests.load.senders import SECRET, signed_event
from tests.load.server import PROJECT
from tests.load.stage import Stage, site_environment
from tests.load.torture import say
from tests.load.wire import HOST, Connection, request_bytes

CASES_AT_LEAST = 2_000
EVENTS, BRANCHES, REFUSED = 200, 10, 20
STANDINGS_WITHIN_SECONDS = 60
# The lists that have the orders.
ORDERS = {
    "received_at": "/fetch-webhooks-logs",
    "happened_at": "/fetch-webhooks-logs",
    "duration": "/fetch-webhooks-logs",
    "last_run_at": "/api/standings",
}
ORDERINGS = {f"{sign}{order}": path for (order, path), sign in product(ORDERS.items(), ("", "-"))}


def main():
    """Check, tell how many cases were tried, and exit."""
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="webhooklog-api-check-") as name:
        folder = Path(name)
        environment = site_environment(folder)
        with closing(SQLiteEngine(folder, environment)) as engine:
            stage = Stage(engine=engine, seed="", is_short=False, report=None, tell=say)
            # The limit itself has tests of its own; here, its headers are wanted with every answer.
            with stage.site(API_REQUESTS_PER_MINUTE="1000000") as site:
                result = check(site.server, folder, options)
                defects = site.server.tracebacks()
    cases = result["test_cases"]["generated"]
    say(f"{cases} cases, at least {CASES_AT_LEAST} are wanted; defects in the server's log: {defects or 'none'}")
    sys.exit(1 if result["exit_code"] or cases < CASES_AT_LEAST or defects else 0)


def parse_arguments():
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.api_check", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same cases")
    parser.add_argument("--max-examples", type=int, default=150, help="cases of each endpoint in each random phase")
    return parser.parse_args()


def check(server, folder, options):
    """Run schemathesis against a server and return its report."""
    fill(server.port)
    key = token(server.environment)
    wait_for_standings(server.port, key)
    report = folder / "report.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://{HOST}:{server.port}/api/schema"),
        *("--checks=all", "--phases=examples,coverage,fuzzing,stateful", "--continue-on-failure", "--no-color"),
        *(f"--seed={options.seed}", f"--max-examples={options.max_examples}", "--generation-database=none"),
        *(f"--header=Authorization: Bearer {key}", "--report=json", f"--report-json-path={report}"),
    ]
    environment = server.environment | {
        "PYTHONPATH": str(PROJECT),
        "SCHEMATHESIS_HOOKS": "tests.load.api_hooks",
        "API_CHECK_CURSORS": json.dumps(cursors(server.port, key)),
    }
    # In a folder of its own, so that no configuration of anybody's excludes anything.
    subprocess.run(command, cwd=folder, env=environment, check=False, timeout=900)
    return json.loads(report.read_text())


def fill(port):
    """Send events, also some of other branches, and deliveries that are refused."""
    random = Random(1)
    with Connection(port) as connection:
        answers = [signed_event(random).post_over(connection) for _ in range(EVENTS)]
        for number in range(BRANCHES):
            status = "failed" if number % 2 else "success"
            document = samples.workflow_completed(random=random, branch=f"branch-{number}", status=status)
            body = samples.encode(document)
            answers.append(connection.post(body, samples.headers(body, document, SECRET)))
        for _ in range(REFUSED):
            document = samples.random_event(random)
            body = samples.encode(document)
            answers.append(connection.post(body, samples.headers(body, document, "of somebody else")))
    statuses = [answer.status for answer in answers]
    if statuses != [201] * (EVENTS + BRANCHES) + [401] * REFUSED:
        raise RuntimeError(f"the site was not filled: {statuses}")


def wait_for_standings(port, key):
    """Wait until the watch has judged the branches."""
    request = request_bytes("GET", "/api/standings", {"Authorization": f"Bearer {key}"})
    deadline = time.monotonic() + STANDINGS_WITHIN_SECONDS
    with Connection(port) as connection:
        while len(json.loads(connection.exchange(request).body)) < BRANCHES:
            if time.monotonic() > deadline:
                raise RuntimeError("the watch has not judged the branches")
            time.sleep(0.5)


def token(environment):
    """Return a token with all permissions."""
    manage(environment, "createsuperuser", "--noinput", "--username=checker", "--email=checker@acme.example")
    return manage(environment, "create_token", "checker", "--name=api-check", "--expires=24h").strip()


def manage(environment, *arguments):
    """Return what one of the site's commands writes."""
    command = [sys.executable, "manage.py", *arguments]
    environment = environment | {"DJANGO_SUPERUSER_PASSWORD": "a-password-of-the-check-only"}
    return subprocess.check_output(command, cwd=PROJECT, env=environment, text=True, timeout=60)


def cursors(port, key):
    """Return, for each ordering, a cursor to each direction."""
    headers = {"Authorization": f"Bearer {key}"}
    found = {ordering: {} for ordering in ORDERINGS}
    with Connection(port) as connection:
        for ordering, listed in ORDERINGS.items():
            path = f"{listed}?limit=1&ordering={ordering}"
            for direction in ("next", "prev"):
                link = connection.exchange(request_bytes("GET", path, headers)).headers["Link"]
                address = re.search(f'<([^>]*)>; rel="{direction}"', link)[1]
                path = address[address.index(listed) :]
                found[ordering][direction] = re.search("[?&]cursor=([^&]+)", path)[1]
    return found


if __name__ == "__main__":
    main()
