"""Words that commands accept, and what they suggest in place of others."""

from argparse import ArgumentTypeError

import pytest

from logs.management.arguments import one_of, positive_integer

WORDS = ["workflow-completed", "job-completed", "failed", "canceled"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("faild", "'faild' is unknown: did you mean failed?"),
        ("cancelled", "'cancelled' is unknown: did you mean canceled?"),
        ("job", "'job' is unknown: did you mean job-completed?"),
        ("xyz", "'xyz' is unknown: use workflow-completed, job-completed, failed, canceled"),
        ("", "'' is unknown: use workflow-completed, job-completed, failed, canceled"),
        ("Failed", "'Failed' is unknown: did you mean failed?"),
        ("\x1b[2J", r"'\x1b[2J' is unknown: use workflow-completed, job-completed, failed, canceled"),
    ],
)
def test_suggests_a_word_that_is_alike(text, told):
    with pytest.raises(ArgumentTypeError) as raised:
        one_of(WORDS)(text)
    assert str(raised.value) == told


def test_accepts_the_words_themselves():
    assert [one_of(WORDS)(word) for word in WORDS] == WORDS


def test_a_number_fits_into_the_database():
    assert positive_integer(str(2**63 - 1)) == 2**63 - 1
    with pytest.raises(ArgumentTypeError, match="is too large"):
        positive_integer(str(2**63))
