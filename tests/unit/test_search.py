"""What a search looks for."""

import pytest

from logs.models.search import words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Mend the gate", ["Mend", "the", "gate"]),
        ("feature/login_v1.2", ["feature", "login", "v1", "2"]),
        ("öffne 工程", ["öffne", "工程"]),
        ("gate fence GATE gate", ["gate", "fence"]),
        ("-- ?", []),
    ],
)
def test_words_are_runs_of_letters_and_digits_each_once(text, words):
    assert words_of(text) == words
