"""Break what an export depends on while clients read it: what looks complete has every row, the rest is noticed."""

import time
from collections import Counter

from tests.load import exports, nginx


def run(stage):
    """Export in every way, undisturbed and with each failure, and account for what each client received."""
    random, failures = stage.random("failures"), exports.failures_of(stage.engine)
    with stage.site(API_REQUESTS_PER_MINUTE="0") as site:
        token, rows = exports.token_of(site), stage.choose(short=10_000, full=30_000)
        exports.fill(site, rows, random)
        found, longest = Counter(), 0.0
        with exports.ways_to(site) as ways:
            for number in range(stage.choose(short=1, full=5)):
                for way in ways:
                    stage.tell(f"round {number + 1}, {way.name}")
                    form = random.choice(exports.FORMATS)
                    began = time.monotonic()
                    _count(found, exports.export(way, token, form), rows, None)
                    longest = max(longest, time.monotonic() - began)
                    for failure in failures.values():
                        _export_under(failure, stage, site, way, token, form, rows, found, random)
        _report(stage.report, found, len(ways), failures, rows, longest)


def _export_under(failure, stage, site, way, token, form, rows, found, random):
    """Export while something fails, soon after the first bytes, and mend it."""
    begun = []

    def fail():
        time.sleep(random.uniform(0, 0.2))
        begun.append(failure)
        failure.begin(site, stage.engine)

    try:
        received = exports.export(way, token, form, during=fail)
    finally:
        if begun:
            failure.end(site, stage.engine)
    _count(found, received, rows, failure)


def _count(found, received, rows, failure):
    """Sort an export by what its client saw, and compare that with the log."""
    found["exports"] += 1
    found["failures"] += failure is not None
    if received.status == 426:
        found["refused"] += 1
    elif not received.looks_complete:
        found["noticed" if failure else "undisturbed, but broken"] += 1
    else:
        ids = received.ids()
        is_whole = len(ids) == len(set(ids)) == rows
        found["complete" if is_whole else "short"] += 1


def _report(report, found, ways, failures, rows, longest):
    report.note("events in the log", rows)
    report.note("ways to the site, formats, kinds of failures", f"{ways}, {len(exports.FORMATS)}, {len(failures)}")
    report.note("exports asked for", found["exports"])
    report.note("of them with a failure", found["failures"])
    report.note("slowest undisturbed export, s", longest)
    report.require("refused over HTTP/1.0", found["refused"], at_least=1)
    report.require("seen as complete, with every row", found["complete"], at_least=1)
    report.require("broken, and noticed by the client", found["noticed"], at_least=1)
    report.require("seen as complete, with rows missing or doubled", found["short"], equal=0)
    report.require("undisturbed, but broken", found["undisturbed, but broken"], equal=0)
    if nginx.executable() is None:
        report.remark("SKIPPED behind nginx, which is not installed (apt-get install nginx)")
