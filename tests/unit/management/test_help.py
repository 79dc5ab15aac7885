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


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_argument_gets_one_line_and_the_hint(capsys, name):
    with pytest.raises(SystemExit) as ended:
        load_command_class("logs", name).run_from_argv(["/app/manage.py", name, "--nonsense", "--verbosity=y"])
    assert ended.value.code == 2
    problem, hint = capsys.readouterr().err.splitlines()
    assert problem.startswith(f"manage.py {name}: ")
    assert hint == f"Run manage.py {name} --help for all options."
