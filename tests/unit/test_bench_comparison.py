"""The tables of `make bench`."""

from tests.load.comparison import Results, ratio
from tests.load.measuring import percentile


def test_compares_figures_of_the_same_round():
    slow_machine_in_round_two = [100, 50, 120], [200, 100, 150]

    assert ratio(*slow_machine_in_round_two) == "**0.50** (0.50–0.80), 100 : 150"


def test_leaves_out_the_spread_of_a_single_round():
    assert ratio([1.5], [3]) == "**0.50**, 1.50 : 3.00"


def test_shows_a_pair_only_under_headings_where_both_were_measured():
    results = Results()
    results.add("ours", "connections: 32", {"requests/s": 300, "CPU": 20})
    results.add("limit", "connections: 32", {"requests/s": 400})
    results.add("other", "connections: 1", {"requests/s": 10})

    table = results.table("connections: 32", ["requests/s", "CPU"], [("ours", "limit"), ("ours", "other")])

    assert table.splitlines() == [
        "| connections: 32 | requests/s | CPU |",
        "|---|---|---|",
        "| ours : limit | **0.75**, 300 : 400 | – |",
    ]


def test_takes_a_percentile_from_the_slow_end():
    assert percentile(range(1, 1001), 99) == 991
    assert percentile([7], 99) == 7
