"""The console script's list, and which commands show the warnings of system checks."""

import pytest
from django.core.management import get_commands
from django.core.management.base import SystemCheckError

from webhooklog.__main__ import COMMANDS, listing, main
from webhooklog.command_line import SHOWS_WARNINGS, _Commands

OWN = sorted(name for name, app in get_commands().items() if app == "logs")


def test_lists_each_command_of_webhooklog_and_no_other():
    assert sorted(name for group in COMMANDS.values() for name in group) == OWN
    lines = listing().splitlines()
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == OWN
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"], ["-h"]])
def test_without_a_command_it_lists_them(monkeypatch, capsys, arguments):
    monkeypatch.setattr("sys.argv", ["webhooklog", *arguments])
    main()
    assert capsys.readouterr().out == listing()


@pytest.mark.parametrize("name", [*OWN, "createsuperuser", "check", "migrate", "runserver"])
def test_few_commands_show_warnings(settings, capsys, name):
    settings.CIRCLECI_WEBHOOK_SECRETS = {}
    _Commands(["manage.py", name]).fetch_command(name).check()
    assert ("logs.W001" in capsys.readouterr().err) is (name in {"check", "migrate", "runserver"})


@pytest.mark.parametrize("name", [*sorted(SHOWS_WARNINGS), "tail", "createsuperuser"])
def test_errors_stop_every_command(settings, name):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"orchard": ""}
    with pytest.raises(SystemCheckError, match=r"logs\.E001"):
        _Commands(["manage.py", name]).fetch_command(name).check()


def test_a_command_writes_its_own_errors_after_the_checks(settings, capsys):
    settings.CIRCLECI_WEBHOOK_SECRETS = {}
    command = _Commands(["manage.py", "tail"]).fetch_command("tail")
    command.check()
    command.stderr.write("seen")
    assert "seen" in capsys.readouterr().err
