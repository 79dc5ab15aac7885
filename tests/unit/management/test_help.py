"""What each command tells of itself."""

import re
from pathlib import Path

import pytest
from django.core.management import load_command_class

import logs.management.commands

COMMANDS = sorted(path.stem for path in Path(logs.management.commands.__path__[0]).glob("[a-z]*.py"))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_and_exit_codes(name):
    told = load_command_class("logs", name).create_parser("manage.py", name).format_help()
    assert re.search(rf"^examples:\n(  .*\n)*  .*manage\.py {name}\b", told, re.MULTILINE)
    assert re.search(r"^exit codes: \d[ ,]", told, re.MULTILINE)
