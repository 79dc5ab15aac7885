"""An export's file is named after its filters."""

from datetime import UTC, datetime

import pytest
import time_machine

from logs.api.file_names import MAX_LENGTH, name_after_filters

BEGIN, END = datetime(2026, 11, 22, 10, tzinfo=UTC), datetime(2026, 11, 29, tzinfo=UTC)


# fmt: off
NAMES = [
    ({},                                                              "events-2026-11-29"),
    ({"status": ["failed"], "project": "press", "received_after": BEGIN}, "events-failed-press-since-2026-11-22"),
    ({"status": ["failed", "error"], "branch": "release/*"},          "events-failed-error-release-2026-11-29"),
    ({"happened_after": BEGIN, "received_before": END},
                                                "events-happened-since-2026-11-22-before-2026-11-29"),
    ({"pipeline": 4711, "verified": False, "min_duration": 1.5},
                                              "events-pipeline-4711-verified-false-min-duration-1-5-2026-11-29"),
    ({"author": "Ada Östberg", "q": ["apple", "修正"]},                "events-ada-ostberg-apple-2026-11-29"),
    ({"branch": '../"; a\r\nb=<c>%00.csv'},                           "events-a-b-c-00-csv-2026-11-29"),
    ({"branch": "修正"},                                               "events-2026-11-29"),
    ({"branch": "x" * 500},                                           f"events-{'x' * 40}-2026-11-29"),
]
# fmt: on


@pytest.mark.parametrize(("given", "name"), NAMES)
def test_names_the_filters(given, name):
    with time_machine.travel(END):
        assert name_after_filters("events", given) == name


def test_a_name_is_not_longer_than_a_file_system_allows():
    given = dict.fromkeys(("project", "workflow", "job", "branch"), "x" * 500)
    assert len(name_after_filters("events", given)) == MAX_LENGTH
