"""Send mutated requests: no answer in the 500s, none that takes long, workers that live on and do not grow."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.load.mutants import random_mutant
from tests.load.wire import Broken, Connection

CONNECTIONS = 6
SLOW_SECONDS = 1.0
SLOW_SECONDS_OF_SHORT_FORM = 5.0  # It runs wherever the checks run, beside whatever else that machine does.
GROWTH_MAX_MIB = 16.0  # Of the largest worker, after the warm-up.
SHOWN = 5  # Requests that broke a promise, as remarks.
# What HTTP itself prescribes, for an unknown transfer coding and an unknown version.
# Source: RFC 9112, section 6.1, and RFC 9110, section 15.6.6.
PRESCRIBED = {501, 505}


def run(stage):
    """Send the mutants; what code and caches take for good, the workers take in a warm-up."""
    count, warm_up_count = stage.choose(short=(3_000, 1_500), full=(100_000, 20_000))
    report = stage.report
    # The list is public, so that its parameters are reached, and addresses differ, so that refusals are kept.
    with stage.site(TRUSTED_PROXIES="127.0.0.1", PUBLIC_READ="true") as site:
        before = site.server.worker_memory_mib()
        warm_up = _send(stage, site.server.port, "warm-up", warm_up_count)
        warm = site.server.worker_memory_mib()
        results = warm_up + _send(stage, site.server.port, "mutants", count - warm_up_count)
        after = site.server.worker_memory_mib()
        slow_seconds = stage.choose(short=SLOW_SECONDS_OF_SHORT_FORM, full=SLOW_SECONDS)
        _judge_answers(results, report, slow_seconds)
        report.require("workers that died", len(before.keys() - after.keys()), equal=0)
        for name, memory in {"before": before, "after the warm-up": warm, "after": after}.items():
            report.note(f"memory of the workers {name}, MiB", " / ".join(f"{mib:.0f}" for mib in memory.values()))
        # Of the largest: the kernel gives one worker more requests than the other, so one may warm up later.
        growth = max(after.values()) - max(warm.values())
        report.require("growth of the largest worker after the warm-up, MiB", growth, at_most=GROWTH_MAX_MIB)
        report.require("tracebacks in the server's log", len(site.server.tracebacks()), equal=0)
        for line in site.server.tracebacks()[:SHOWN]:
            report.remark(f"in the server's log: {line}")


def _send(stage, port, purpose, count):
    """Send mutants over several connections; return a tuple for each: status, seconds, and what was sent."""

    def send_share(number):
        random, results = stage.random(f"{purpose} {number}"), []
        with Connection(port) as connection:
            for place in range(count // CONNECTIONS):
                results.append(_exchange(connection, random_mutant(random)))
                if number == 0 and place % 100 == 0:
                    stage.tell(f"{purpose}, about {place * CONNECTIONS} of {count}")
        return results

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        shares = list(pool.map(send_share, range(CONNECTIONS)))
    return [result for share in shares for result in share]


def _exchange(connection, mutant):
    data, started = mutant.encode(), time.monotonic()
    try:
        answer = connection.exchange(data, is_head=mutant.is_head, half_close=mutant.half_close)
    except Broken as error:
        status = "silence" if error.timed_out else "closed"
        return status, time.monotonic() - started, data[:300]
    return answer.status, answer.seconds, data[:300]


def _judge_answers(results, report, slow_seconds):
    counts = Counter(status for status, _, _ in results)
    report.note("requests", len(results))
    for name, hundred in {"2xx": 2, "3xx": 3, "4xx": 4}.items():
        report.note(f"answered {name}", sum(counts[s] for s in counts if isinstance(s, int) and s // 100 == hundred))
    report.note("answered 501 or 505, as HTTP prescribes", sum(counts[status] for status in PRESCRIBED))
    report.note("closed without an answer, for what is no HTTP", counts["closed"])
    failed = [result for result in results if _is_failure(result[0])]
    slow = [result for result in results if result[1] > slow_seconds]
    report.require("answered with another 5xx", len(failed), equal=0)
    report.require("never answered", counts["silence"], equal=0)
    report.require("slowest answer, s", max(seconds for _, seconds, _ in results), at_most=slow_seconds)
    for status, seconds, data in (failed + slow)[:SHOWN]:
        report.remark(f"{status} after {seconds:.2f} s: {data!r}")


def _is_failure(status):
    return isinstance(status, int) and status >= 500 and status not in PRESCRIBED
