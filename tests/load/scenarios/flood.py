"""Flood the endpoint with what nobody signed: the store stays within its bounds, honest events get in."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Address

from logs.ingest.threads import refused
from tests.load.account import audit, require_statuses
from tests.load.engines import DELIVERIES
from tests.load.senders import Load, signed_event
from tests.load.server import WORKERS
from tests.load.wire import Broken, Connection

FLOODERS = 12
HONEST_CONNECTIONS = 4
FEW_ADDRESSES = 3
MANY_ADDRESSES = 20_000
REFUSED_BODY_MAX_BYTES = 65_536  # The setting's default.
CIRCLECI_WAITS_SECONDS = 10.0


def run(stage):
    """Flood from few and from many addresses while honest senders go on."""
    # In the short form too the bound must be reached, or it would prove nothing.
    kept_max = stage.choose(short=100, full=1_000)
    count = stage.choose(short=1_000, full=50_000)
    report = stage.report
    overrides = {"TRUSTED_PROXIES": "127.0.0.1", "REFUSED_DELIVERIES_MAX": str(kept_max)}
    with stage.site(**overrides) as site:
        report.note("database before, bytes", site.database.size_bytes())
        port = site.server.port
        honest = Load(port, connections=HONEST_CONNECTIONS, seed=stage.seed, pause_seconds=0.2, retry=False)
        with honest as load:
            statuses = _flood(stage, port, count)
        report.note("unverified requests", len(statuses))
        report.require("of them answered otherwise than 401", sum(s != 401 for s in statuses), equal=0)
        _require_bounds(report, site.database, kept_max)
        report.note("database after, bytes", site.database.size_bytes())
        require_statuses(load.account, report, allowed={201})
        slowest = load.account.slowest_seconds()
        report.require("slowest honest answer, s", slowest, at_most=CIRCLECI_WAITS_SECONDS)
        audit(load.account, site.database, report)


def _flood(stage, port, count):
    """Send unverified requests over several connections; return their statuses, None for a broken connection."""

    def send_share(number):
        random, statuses = stage.random(f"flooder {number}"), []
        with Connection(port) as connection:
            for _ in range(count // FLOODERS):
                status = None
                with suppress(Broken):
                    status = connection.post(*_unverified(random)).status
                statuses.append(status)
        return statuses

    stage.tell(f"{count} unverified requests")
    with ThreadPoolExecutor(FLOODERS) as pool:
        shares = list(pool.map(send_share, range(FLOODERS)))
    return [status for share in shares for status in share]


def _unverified(random):
    """Return body and headers of a request that is signed wrongly, or not at all, from a spoofed address."""
    event = signed_event(random)
    # One in twenty is longer than what may be kept of it.
    body = event.body + b" " * (REFUSED_BODY_MAX_BYTES if random.random() < 0.05 else random.randint(1, 500))
    if random.random() < 0.2:
        body = random.randbytes(500)
    number = random.randrange(FEW_ADDRESSES if random.random() < 0.5 else MANY_ADDRESSES)
    headers = event.headers | {"x-forwarded-for": str(IPv4Address("10.0.0.0") + number)}
    if random.random() < 0.3:
        del headers["circleci-signature"]
    return body, headers


def _require_bounds(report, database, kept_max):
    """Check the unverified deliveries; those that look like CircleCI's and the others may each fill one bound."""
    sql = f"SELECT COUNT(*), SUM(LENGTH(body)), MAX(LENGTH(body)) FROM {DELIVERIES} WHERE outcome = 'unverified'"
    ((count, total_bytes, longest_bytes),) = database.query(sql)
    report.require("unverified deliveries kept, at least", count, at_least=kept_max)
    # Transactions that end at the same moment do not see each other's rows: each thread that writes them
    # may add one beyond the bound.
    at_most = 2 * (kept_max + WORKERS * refused.number)
    report.require("unverified deliveries kept, at most", count, at_most=at_most)
    report.require("the longest body kept, bytes", longest_bytes or 0, at_most=REFUSED_BODY_MAX_BYTES)
    report.note("all bodies kept, bytes", int(total_bytes or 0))
