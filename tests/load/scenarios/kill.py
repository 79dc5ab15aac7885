"""Kill workers and whole servers under load: what was acknowledged is in the log, once."""

import time

from tests.load.account import audit, require_statuses
from tests.load.senders import Load

CONNECTIONS = 32


def run(stage):
    """Kill a random worker and the whole server in turns, a second after the last one served again."""
    with stage.site() as site:
        with Load(site.server.port, connections=CONNECTIONS, seed=stage.seed) as load:
            kills, slowest_return = _kill_in_turns(stage, site.server, load.account)
        stage.tell("reading the log")
        stage.report.note("workers killed", kills["worker"])
        stage.report.note("whole servers killed", kills["server"])
        stage.report.note("longest from a server's kill to the next answer, s", slowest_return)
        audit(load.account, site.database, stage.report)
        stage.report.note("connections broken", load.account.statuses()[None])
        require_statuses(load.account, stage.report, allowed={200, 201, None})


def _kill_in_turns(stage, server, account):
    random = stage.random("kill")
    deadline = time.monotonic() + stage.choose(short=6, full=60)
    kills, slowest_return = {"worker": 0, "server": 0}, 0.0
    while time.monotonic() < deadline:
        time.sleep(1)
        if kills["worker"] <= kills["server"]:
            server.kill_worker(random)
            kills["worker"] += 1
        else:
            killed_at = time.monotonic()
            server.kill()
            server.start()
            server.wait_until_serving()
            slowest_return = max(slowest_return, time.monotonic() - killed_at)
            kills["server"] += 1
        stage.tell(f"killed {kills['worker']} workers, {kills['server']} servers; {len(account.acknowledged)} logged")
    time.sleep(1)
    return kills, slowest_return
