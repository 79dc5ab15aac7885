"""The script in docs/notifications.md exports events into a table at Airtable, as it is documented."""

import json
import re
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone
from werkzeug import Response

from logs.models import WorkflowEvent
from tests.unit.notifications.channels.test_airtable import PATH, TOKEN, FakeAirtable

DOCUMENT = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
SECTION = DOCUMENT.partition("#### Export to Airtable\n")[2].partition("\n### ")[0]
[SCRIPT] = re.findall(r"^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


@pytest.fixture
def airtable(httpserver):
    """A table with the fields that the document names; `httpserver` answers for Airtable."""
    needed = re.search(r"The table needs the single line text fields (.*?)\.", SECTION, re.DOTALL)[1]
    fake = FakeAirtable(re.findall("`([^`]+)`", needed))

    def answer(request):
        status, document = fake.answer(request.method, request.path, request.headers, request.data)
        return Response(json.dumps(document), status, content_type="application/json")

    httpserver.expect_request(PATH).respond_with_handler(answer)
    return fake


@pytest.fixture
def export(monkeypatch, live_server, httpserver, django_user_model, settings):
    """Run the script with the variables that the document names."""
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
    django_user_model.objects.create_superuser("admin")
    token = StringIO()
    call_command("create_token", "admin", scope=["events"], name="export", stdout=token, stderr=StringIO())
    values = {
        "SITE": live_server.url,
        "TOKEN": token.getvalue().strip(),
        "AIRTABLE_TOKEN": TOKEN,
        "AIRTABLE_TABLE": httpserver.url_for(PATH),
    }
    for name, value in values.items():
        assert f"{name}=" in SECTION
        monkeypatch.setenv(name, value)
    return lambda: exec(compile(SCRIPT, "docs/notifications.md", "exec"), {})


def add_events(count, age=timedelta(0)):
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(event_id=f"{age.days}-{number}", received_at=timezone.now() - age, verified=True)
        for number in range(count)
    )


@pytest.mark.django_db(transaction=True)
def test_each_event_is_one_record_however_often_the_script_runs(airtable, export):
    add_events(23)
    add_events(1, age=timedelta(days=31))
    for _ in range(2):
        export()
    assert airtable.sizes == [10, 10, 3] * 2
    assert sorted(record["webhooklog id"] for record in airtable.records) == sorted(f"0-{n}" for n in range(23))
    assert set(airtable.records[0]) == airtable.fields


@pytest.mark.django_db(transaction=True)
def test_the_script_waits_if_airtable_is_busy(monkeypatch, httpserver, airtable, export):
    add_events(11)
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    httpserver.expect_oneshot_request(PATH).respond_with_data("", 429)
    export()
    assert (waits, airtable.sizes) == ([30], [10, 1])


@pytest.mark.django_db(transaction=True)
def test_the_script_ends_with_airtables_error(airtable, export):
    add_events(1)
    airtable.fields.remove("branch")
    with pytest.raises(SystemExit, match=r'^422 .*Unknown field name: ."branch'):
        export()
