"""docs/api.md is true: its requests are sent to a server, as they stand there, and their answers compared."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import time_machine
from django.core.management import call_command
from rest_framework import exceptions

from logs.api.errors import BadRequest
from logs.api.schema.answers import NOT_FOUND, READING, RECEIVING
from logs.api.serializers.log import DeliverySerializer
from logs.api.serializers.standings import ChangeSerializer, StandingSerializer
from logs.circleci import samples
from logs.exceptions import InvalidQuery
from logs.ingest.answers import REFUSALS
from logs.models import Delivery, WorkflowEvent
from logs.reading import pages
from logs.reading.filters import DeliveryFilterSet, EventFilterSet
from logs.reading.standing_filters import ChangeFilterSet, StandingFilterSet
from logs.standings.following import Follower
from tests.documented_log import SECRET, arrivals

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)

NOW = datetime(2026, 8, 20, 10, 0, 18, tzinfo=UTC)  # 42 seconds before a minute ends.


def section(title):
    """Return what stands under a heading, up to the next one."""
    return re.search(rf"^##+ {re.escape(title)}$(.*?)(?=^#|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)[1]


def only(language, holding=""):
    """Return the one block of a language that holds a text."""
    (block,) = [block for its_language, block in FENCES if its_language == language and holding in block]
    return block


def behind(block):
    """Return the block that follows another, and its language."""
    return FENCES[[block for _, block in FENCES].index(block) + 1]


# The log that the document reads, and the server that it asks.


@pytest.fixture
def clock():
    """The time of the examples, which stands still."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def log(django_db_reset_sequences, clock, deliver, webhook_secrets):
    """The log of the examples; when the nightly workflow arrived, the settings held another secret than CircleCI."""
    follower, lease = Follower(list), SimpleNamespace(cursor=None, renew=lambda: None)
    for moment, document in arrivals().items():
        clock.move_to(moment)
        list(follower.check(lease))
        is_nightly = document["workflow"]["name"] == "nightly"
        webhook_secrets["My CircleCI Webhook"] = "ABCD123" if is_nightly else SECRET
        deliver(samples.encode(document), secret=SECRET, REMOTE_ADDR="192.0.2.17")
        clock.shift(timedelta(seconds=1))
        list(follower.check(lease))
    Delivery.objects.update(response_seconds=0.004, request_id="5c1d0a3be7f94e2c8d6b7a9f0e1c2d3b")
    clock.move_to(NOW)


@pytest.fixture
def signed_in(log, live_server, settings, django_user_model, monkeypatch):
    """The environment after the document's first block; return what `create_token` has told."""
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
    django_user_model.objects.create_superuser("admin")
    command = re.search(r"TOKEN=\$\(.*manage\.py create_token (.*)\)$", only("sh", "create_token"), re.MULTILINE)
    token, told = StringIO(), StringIO()
    call_command("create_token", *shlex.split(command[1]), stdout=token, stderr=told)
    monkeypatch.setenv("TOKEN", token.getvalue().strip())
    return told.getvalue()


@pytest.fixture
def run(signed_in, live_server, tmp_path):
    """Run a block of the document in a shell, and return what it writes."""
    port = live_server.thread.port
    # curl goes to the server of this test wherever the document names the one of `make run`.
    (tmp_path / ".curlrc").write_text(f'connect-to = "127.0.0.1:8000:127.0.0.1:{port}"\nmax-time = 20\n')
    site = re.search(r"SITE=(\S+)", only("sh", "create_token"))[1]

    def execute(block):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SITE": site, "TOKEN": os.environ["TOKEN"]}
        command = ["bash", "-eo", "pipefail", "-c", block]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        return done.stdout.replace("\r\n", "\n")

    return execute


# What the document shows.


def as_compared(text, language):
    """Return the values of JSON, which the document breaks into lines, and anything else as it is."""
    return json.loads(text) if language == "json" else text


def test_every_request_is_answered_as_shown(run):
    for (kind, request), (language, shown) in pairwise(FENCES):
        if kind == "sh" and "curl" in request:
            assert as_compared(run(request), language) == as_compared(shown, language), request


def test_no_request_stands_outside_of_these_blocks():
    request = re.compile(r".*(?<!`)\bcurl [-\"'$h].*")
    in_blocks = [line for language, block in FENCES if language == "sh" for line in request.findall(block)]
    assert request.findall(DOCUMENT) == in_blocks


def test_the_token_is_made_as_shown(signed_in):
    assert ("text", signed_in) == behind(only("sh", "create_token"))


def test_the_readme_reads_as_this_document_does():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n([^`]*create_token[^`]*)^```$", readme, re.MULTILINE)
    first, second, *_ = [block for language, block in FENCES if language == "sh"]
    assert block == first + second


# Its recipes.


@pytest.mark.parametrize("is_hard", [False, True])
def test_the_recipe_for_python_prints_what_is_shown(
    signed_in, live_server, clock, settings, monkeypatch, capsys, is_hard
):
    """Hard times: pages that end early, an empty one among them, and one request in a minute."""
    waits = []
    monkeypatch.setattr(time, "sleep", lambda seconds: waits.append(seconds) or clock.shift(seconds))
    monkeypatch.setenv("SITE", live_server.url)
    if is_hard:
        settings.API_REQUESTS_PER_MINUTE = 1
        monkeypatch.setattr(pages, "MAX_SCANNED", 1)
    recipe = only("python", "import requests")
    exec(compile(recipe, "docs/api.md", "exec"), {})
    assert ("text", capsys.readouterr().out) == behind(recipe)
    assert bool(waits) == is_hard


@pytest.mark.skipif(find_spec("pandas") is None, reason="pandas is not installed: its recipe was not run")
def test_the_recipe_for_pandas_runs(signed_in, live_server):
    recipe = only("python", "import pandas")
    environment = os.environ | {"SITE": live_server.url}
    done = subprocess.run([sys.executable, "-c", recipe], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "boat-builder" in done.stdout


# What the script finds in Airtable: a table in memory, which takes as many records at a time as Airtable's do.
AIRTABLE = """
const rows = [];
const table = {
  selectRecordsAsync: async () => ({records: rows.map((row) => ({getCellValueAsString: (name) => row[name]}))}),
  createRecordsAsync: async (records) => {
    if (records.length > 50) throw new Error("too many records");
    rows.push(...records.map((record) => record.fields));
  },
};
const base = {getTable: () => table};
const input = {config: () => ({site: process.env.SITE}), secret: () => process.env.TOKEN};
const script = async () => {%s};
script().then(script).then(() => console.log(JSON.stringify(rows)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: the script for Airtable was not run")
def test_the_script_for_airtable_adds_each_event_once(signed_in, live_server):
    others = [f"event-{number}" for number in range(501)]
    WorkflowEvent.objects.bulk_create(WorkflowEvent(event_id=each, received_at=NOW, verified=True) for each in others)
    environment = os.environ | {"SITE": live_server.url}
    command = ["node", "-e", AIRTABLE % only("js", "input.secret")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    added = [row["id"] for row in json.loads(done.stdout)]
    of_a_day = WorkflowEvent.objects.filter(received_at__gte=NOW - timedelta(days=1))
    assert sorted(added) == sorted(of_a_day.values_list("event_id", flat=True))


# Its tables.


LISTS = {
    "Filters": ("/fetch-webhooks-logs", EventFilterSet),
    "Deliveries: `GET /deliveries`": ("/deliveries", DeliveryFilterSet),
    "Changes: `GET /api/changes`": ("/api/changes", ChangeFilterSet),
    "Standings: `GET /api/standings`": ("/api/standings", StandingFilterSet),
}


@pytest.mark.parametrize("title", LISTS)
def test_a_table_holds_every_filter_with_an_example_that_is_understood(admin_client, title):
    path, filters = LISTS[title]
    rows = re.findall(r"^\| `(\w+)=` \|.*\| `(\w+)(=[^`]+)` \|$", section(title), re.MULTILINE)
    assert [name for name, _, _ in rows] == list(filters.base_filters)
    for name, name_in_example, value in rows:
        assert name == name_in_example
        assert admin_client.get(f"{path}?{name}{value}").status_code == 200


def test_it_tells_which_filters_fill_a_page():
    (sentence,) = re.findall(r"^A client that reads only one page(.*?)\n\n", section("Pages"), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`(\w+)`", sentence)) == {*EventFilterSet.RANGE} | EventFilterSet.SELECTIVE | set(
        EventFilterSet.ORDERED
    )


def test_it_tells_every_name_of_a_delivery():
    shown = json.loads(behind(only("sh", "deliveries?outcome"))[1])
    assert [list(delivery) for delivery in shown] == [DeliverySerializer.Meta.fields]
    explained = set(re.findall(r"`(\w+)`", section("Deliveries: `GET /deliveries`")))
    assert set(DeliverySerializer.Meta.fields) <= explained | {"id"}


@pytest.mark.parametrize(
    ("title", "path", "serializer"),
    [
        ("Changes: `GET /api/changes`", "api/changes?", ChangeSerializer),
        ("Standings: `GET /api/standings`", "api/standings?", StandingSerializer),
    ],
)
def test_it_tells_every_name_of_a_change_and_of_a_standing(title, path, serializer):
    for shown in json.loads(behind(only("sh", path))[1]):
        assert list(shown) == serializer.Meta.fields
    assert set(serializer.Meta.fields) <= set(re.findall(r"`(\w+)`", section(title)))


# What REST framework raises where it reads bodies, which no endpoint for readers does.
NEVER = {(400, "invalid"), (400, "parse_error")}


def subclasses(kind):
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def raised_in(path, kinds):
    """Yield the status and the code of each error that a module raises or answers with a code of its own."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match call:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[_, ast.Constant(value=code)]):
                if name in kinds:
                    yield kinds[name].status_code, code
            case ast.Call(func=ast.Name(id="read_whole_number"), keywords=keywords):
                yield from ((400, keyword.value.value) for keyword in keywords if keyword.arg == "code")
            case ast.Call(func=ast.Name(id="JsonResponse"), args=[ast.Dict(keys=keys, values=values)]):
                body = {key.value: value for key, value in zip(keys, values, strict=True)}
                options = {keyword.arg: keyword.value for keyword in call.keywords}
                if "code" in body:
                    yield options["status"].value, body["code"].value


def test_the_table_of_errors_holds_every_status_and_code():
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", section("Errors"), re.MULTILINE)
    documented = {(int(status), code) for status, code in rows}
    kinds = {kind.__name__: kind for kind in subclasses(exceptions.APIException)} | {"InvalidQuery": BadRequest}
    errors = {(kind.status_code, kind.default_code) for kind in kinds.values() if "default_code" in vars(kind)}
    errors.add((400, InvalidQuery("").code))
    errors |= {(status, error.code) for error, (_, status) in REFUSALS.items()}
    for path in (ROOT / "logs").rglob("*.py"):
        errors |= set(raised_in(path, kinds))
    assert documented == errors - NEVER
    assert documented >= {(each.status, code) for each in (*READING, *RECEIVING, NOT_FOUND) for code in each.examples}
