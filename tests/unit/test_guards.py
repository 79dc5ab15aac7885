"""The table of guards fits the code, the tests and the documentation; `make guards` shows that each is held."""

import ast
from functools import cache

import pytest

from tests.load.guards.guard import PROJECT
from tests.load.guards.table import GUARDS, documentation

SECTION = "## Every guard is held by a test\n"


@cache
def functions_of(path):
    tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.promise)
def test_a_guard_stands_once_in_its_file_and_can_be_taken_away(guard):
    text = guard.without(PROJECT)
    assert guard.before != guard.after
    if guard.file.endswith(".py"):
        ast.parse(text)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.promise)
def test_a_guard_names_a_test_that_there_is(guard):
    assert guard.test_name in functions_of(guard.test_path)


def test_no_guard_stands_twice_in_the_table():
    assert len({guard.promise for guard in GUARDS}) == len(GUARDS)
    assert len({(guard.file, guard.before, guard.after) for guard in GUARDS}) == len(GUARDS)


def test_the_documentation_lists_every_guard():
    page = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
    section = page.partition(SECTION)[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("|")]
    assert shown == documentation(), "paste what `python -m tests.load.guards --list` prints"
