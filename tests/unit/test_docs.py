"""The documentation says what the code does."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from django.core.management import get_commands

from logs.api.serializers.log import WorkflowEventSerializer
from logs.notifications.channels import base
from webhooklog.env import Environment, read_environment
from webhooklog.env_reader import BOUNDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
INTERNAL = {"to_json", "from_json"}  # How webhooklog stores content.
VARIABLES = [field.name.upper() for field in dataclasses.fields(Environment)]


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def rows_of(name):
    """Return the first two cells of each table row whose first cell is a code word."""
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page(name), re.MULTILINE))


def test_configuration_lists_every_variable_in_the_order_of_the_code():
    assert list(rows_of("docs/configuration.md")) == VARIABLES


def test_configuration_tells_the_defaults(monkeypatch):
    for name in ("CIRCLECI_WEBHOOK_SECRETS", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    environment = read_environment()
    for variable, default in rows_of("docs/configuration.md").items():
        if default.startswith("`") and variable != "DATA_DIR":
            assert default == f"`{getattr(environment, variable.lower())}`", variable


def test_configuration_gives_the_bounds_of_every_number():
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", page("docs/configuration.md"), re.MULTILINE))
    assert [field.name.upper() for field in dataclasses.fields(Environment) if field.type is int] == list(BOUNDS)
    for variable, (lowest, highest) in BOUNDS.items():
        assert rows[variable].endswith(f" From {lowest} to {highest}. "), variable


def test_the_example_environment_holds_every_variable():
    assert re.findall(r"^(\w+)=$", page(".env.example"), re.MULTILINE) == VARIABLES


def test_every_test_that_reliability_names_exists():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page("docs/reliability.md")))
    assert named
    assert named - set(re.findall(r"def (test_\w+)\(", code)) == set()


def test_scaling_shows_the_commands_that_the_failover_scenario_runs():
    text, code = page("docs/scaling.md"), page("tests/load/standby.py")
    statements = re.findall(r"^((?:ALTER|SELECT) .*);$", text, re.MULTILINE)
    commands = re.findall(r"^(?:pg_basebackup|pg_ctl) .*$", text, re.MULTILINE)
    assert (len(statements), len(commands)) == (4, 2)
    assert [statement for statement in statements if f'"{statement}"' not in code] == []
    for command in commands:
        program, *words = command.split()
        assert [option for option in (program, *words) if option[0] == "-" and f'"{option}"' not in code] == []
        assert f'"{program}"' in code


def test_configuration_lists_every_system_check():
    code = page("logs/checks.py") + page("logs/notifications/checks.py")
    documented = re.findall(r"^\| `(logs\.\w+)` \|", page("docs/configuration.md"), re.MULTILINE)
    assert sorted(documented) == sorted(re.findall(r'id="(logs\.\w+)"', code))


def test_channels_shows_the_files_of_the_example_as_they_are():
    folder = ROOT / "docs/examples/webhooklog-paperplane"
    files = {path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.suffix in {".py", ".toml"}}
    shown = re.findall(r"^```(?:toml|python)\n(.*?)^```$", page("docs/channels.md"), re.MULTILINE | re.DOTALL)
    assert len(shown) == 3
    assert set(shown) == files


def test_channels_names_the_whole_interface_for_plugins():
    interface = page("docs/channels.md").partition("## The interface\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)(?:\([^`]*)?`", interface))
    public = {name: getattr(base, name) for name in base.__all__}
    assert public.keys() <= named
    assert f"`INTERFACE` ({base.INTERFACE})" in interface
    for each in public.values():
        if isinstance(each, type):
            assert {name for name in (*each.__annotations__, *vars(each)) if name[0] != "_"} - named <= INTERNAL, each


def test_api_lists_every_name_of_an_event_in_its_order():
    names = list(WorkflowEventSerializer.Meta.fields)
    section = page("docs/api.md").partition("## Event fields\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_inside_the_repository_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_it_names_exists(path):
    text = path.read_text(encoding="utf-8")
    commands = set(re.findall(r"manage\.py (\w+)", text))
    assert commands <= set(get_commands())
    targets = set(re.findall(r"(?:^ {4}|`)make ([\w-]+)", text, re.MULTILINE))
    assert targets <= set(re.findall(r"^([\w-]+):", page("Makefile"), re.MULTILINE))


def test_architecture_shows_the_layers_that_are_enforced():
    (contract,) = [
        each for each in tomllib.loads(page("pyproject.toml"))["tool"]["importlinter"]["contracts"] if "layers" in each
    ]
    shown = re.findall(r"^\| (`\w+`(?: · `\w+`)*) \|", page("docs/architecture.md"), re.MULTILINE)
    assert [set(re.findall(r"\w+", row)) for row in shown] == [set(row.split(" | ")) for row in contract["layers"]]


def test_architecture_names_files_that_exist():
    named = re.findall(r"`([\w/]+(?:\.py|\.md|/))`", page("docs/architecture.md"))
    assert len(named) > 30
    roots = (ROOT, ROOT / "logs", ROOT / "logs/admin", ROOT / "logs/insights")
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []
