"""Which breakages were fixed before they were reported."""

import pytest

from logs.models.notifications import Notification
from logs.notifications.outbox import recovered


def waiting(text):
    """Return notifications: "B1" broke in thread 1, "b1" did and was tried, "F1" was fixed; keys count from 1."""
    kinds = {"B": "broke", "b": "broke", "F": "fixed", "T": "test"}
    return [
        Notification(pk=key, kind=kinds[word[0]], thread=word[1:], attempts_made=word[0] == "b")
        for key, word in enumerate(text.split(), start=1)
    ]


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("", set()),
        ("B1 F1", {1, 2}),
        ("B1 F2", set()),
        ("F1 B1", set()),
        ("b1 F1", set()),
        ("B1 F1 B1", {1, 2}),
        ("B1 F1 B1 F1", {1, 2, 3, 4}),
        ("b1 F1 B1 F1", {3, 4}),
        ("B1 B2 F2 F1", {1, 2, 3, 4}),
        ("B1 F1 F1", {1, 2}),
        ("T1 F1", set()),
    ],
)
def test_a_breakage_and_its_end(words, keys):
    assert recovered(waiting(words)) == keys
