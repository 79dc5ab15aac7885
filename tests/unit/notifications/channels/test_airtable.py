"""Records in Airtable, in a fake that enforces what Airtable documents.

Limits (read 2026-11-29): a request has at most 10 records and merges on one to three fields; a value that several
records have is rejected (https://airtable.com/developers/web/api/update-multiple-records); after a 429, requests are
rejected for 30 seconds (https://support.airtable.com/docs/managing-api-call-limits-in-airtable).
"""

import json
import re
from datetime import datetime, timedelta

import pytest

from logs.models.notifications import LIFETIME, MAX_REASON_LENGTH
from logs.notifications.channels.airtable import FIELDS
from logs.notifications.channels.base import Dead, Later, Refused, Sent
from logs.notifications.guard import Response
from tests.unit.notifications.channels.contract import (
    ID,
    PAGE_URL,
    RUN_URL,
    THREAD,
    HttpContract,
    change,
    make_content,
    make_response,
)

TOKEN = f"pat{'A1b2C3d4E5f6G7'}.{'0' * 64}"
SETTINGS = {"token": TOKEN, "base_id": "app0A1b2C3d4E5f6g", "table_id": "tbl0A1b2C3d4E5f6g"}
PATH = f"/v0/{SETTINGS['base_id']}/{SETTINGS['table_id']}"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
MAX_TEXT = 100_000


class FakeAirtable:
    """A table, which `answer` updates. It has the given fields."""

    def __init__(self, fields=FIELDS):
        self.fields = set(fields)
        self.records = []
        self.sizes = []  # How many records each request had.

    def __call__(self, request):
        """Answer a request of a channel."""
        assert request.url.startswith("https://api.airtable.com/")
        status, document = self.answer(
            request.method, request.url.removeprefix("https://api.airtable.com"), request.headers, request.body
        )
        return Response(status=status, headers={}, body=json.dumps(document).encode())

    def answer(self, method, path, headers, body):
        """Return the status and the document with which Airtable responds."""
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, error("AUTHENTICATION_REQUIRED", "Authentication required")
        if path != PATH:
            return 403, error("INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", "Invalid permissions, or model was not found")
        assert (method, headers["Content-Type"]) == ("PATCH", "application/json")
        document = json.loads(body)
        merge_on, records = document["performUpsert"]["fieldsToMergeOn"], document["records"]
        self.sizes.append(len(records))
        if not 1 <= len(records) <= 10 or not 1 <= len(merge_on) <= 3:
            return 422, error("INVALID_RECORDS", "You can only update up to 10 records at a time")
        for name in {*merge_on, *(name for record in records for name in record["fields"])} - self.fields:
            return 422, error("UNKNOWN_FIELD_NAME", f'Unknown field name: "{name}"')
        for record in records:
            values = [record["fields"][name] for name in merge_on]
            matches = [each for each in self.records if [each.get(name) for name in merge_on] == values]
            if len(matches) > 1:
                return 422, error("INVALID_RECORDS", "Several records match")
            if not matches:
                matches = [{}]
                self.records.append(matches[0])
            matches[0].update(record["fields"])
        return 200, {"records": [], "updatedRecords": [], "createdRecords": []}


def error(kind, message):
    return {"error": {"type": kind, "message": message}}


@pytest.fixture
def airtable():
    return FakeAirtable()


class TestAirtable(HttpContract):
    kind = "airtable"
    settings = SETTINGS
    accepted = {200}
    dead = {401, 403, 404, 410}

    def cells(self, wire):
        [record] = json.loads(wire)["records"]
        assert set(record) == {"fields"}
        return record["fields"]

    def urls(self, wire):
        cells = self.cells(wire)
        return [cells[name] for name in ("CircleCI URL", "webhooklog URL") if name in cells]

    def check_limits(self, wire):
        assert FakeAirtable().answer("PATCH", PATH, HEADERS, wire)[0] == 200
        for value in self.cells(wire).values():
            assert value is None or 0 < len(value) <= MAX_TEXT

    def check_inert(self, wire):
        for name, value in self.cells(wire).items():
            assert "<airtable:" not in (value or "")
            assert "\n" not in (value or "") or name in ("Details", "Resolution")
            if name.endswith(" at") and value:
                assert datetime.fromisoformat(value)

    def send(self, airtable, kind="broke", *, data=None, **overrides):
        content = make_content(kind) if data is None else make_content(kind, data=data)
        return self.transport.deliver(self.make_message(content, **overrides), airtable)

    def test_posts_json(self):
        _, request = self.deliver(make_response(200))
        assert (request.method, request.headers["Content-Type"]) == ("PATCH", "application/json")
        assert request.url == f"https://api.airtable.com{PATH}"
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"

    @pytest.mark.parametrize("text", ["", "soon", "-1"])
    def test_ignores_a_retry_after_that_is_neither(self, text):
        assert self.deliver(make_response(429, retry_after=text))[0].after == timedelta(seconds=30)
        assert self.deliver(make_response(503, retry_after=text))[0].after is None

    def test_waits_30_seconds_after_too_many_requests(self):
        outcome, _ = self.deliver(make_response(429, '{"errors": [{"error": "RATE_LIMIT_REACHED"}]}'))
        assert isinstance(outcome, Later)
        assert outcome.after == timedelta(seconds=30)

    def test_a_breakage_has_these_cells(self):
        document = json.loads(self.wire(self.make_message()))
        assert document == {
            "performUpsert": {"fieldsToMergeOn": ["webhooklog id"]},
            "typecast": True,
            "records": [
                {
                    "fields": {
                        "webhooklog id": f"{THREAD}-733",
                        "Message": "acme/orchard: build broke on main",
                        "Status": "broken",
                        "Project": "acme/orchard",
                        "Workflow": "build",
                        "Branch": "main",
                        "Began at": "2026-11-27T16:40:00Z",
                        "Ended at": None,
                        "Details": "Project: acme/orchard\nFailed jobs: lint, test\n"
                        "First failing commit: 1a2b3c4 Prune the apple trees <3\nAuthor: Ada\n"
                        "State: Failing since 2026-11-27 16:40 UTC",
                        "Resolution": None,
                        "CircleCI URL": RUN_URL,
                        "webhooklog URL": PAGE_URL,
                    }
                }
            ],
        }

    def test_a_breakage_its_reminder_and_its_fix_are_one_record(self, airtable):
        for number, kind in enumerate(["broke", "reminder", "fixed"]):
            assert self.send(airtable, kind, id=ID + number) == (Sent(), 200)
        [record] = airtable.records
        assert (record["Status"], record["Began at"]) == ("fixed", "2026-11-27T16:40:00Z")
        assert record["Details"].startswith("Project: acme/orchard")
        assert "After 2 h 14 min and 3 failed runs" in record["Resolution"]

    def test_the_next_breakage_of_a_branch_is_another_record(self, airtable):
        self.send(airtable)
        self.send(airtable, id=ID + 1, data=change(id=741, breakage_id=741))
        assert len(airtable.records) == 2

    def test_a_branch_that_rested_and_fails_again_is_open_again(self, airtable):
        for kind in ("broke", "fixed", "broke"):
            self.send(airtable, kind)
        [record] = airtable.records
        assert (record["Status"], record["Ended at"], record["Resolution"]) == ("broken", None, None)

    def test_a_branch_that_rests_has_no_time_at_which_it_was_fixed(self, airtable):
        self.send(airtable)
        self.send(airtable, "fixed", id=ID + 1, data=change(id=733))
        [record] = airtable.records
        assert (record["Status"], record["Ended at"]) == ("fixed", None)
        assert record["Resolution"]

    def test_each_run_and_job_is_a_record(self, airtable):
        for kind in ("run", "job", "broke"):
            for _ in range(2):
                self.send(airtable, kind, data=change(id=733, status="failed"))
        assert [record["webhooklog id"] for record in airtable.records] == [
            f"{THREAD}-run-733",
            f"{THREAD}-job-733",
            f"{THREAD}-733",
        ]
        assert [record["Status"] for record in airtable.records] == ["failed", "failed", "broken"]

    def test_an_alarm_and_its_end_are_one_record(self, airtable):
        for kind in ("alarm", "alarm_over"):
            self.send(airtable, kind)
        [record] = airtable.records
        assert (record["webhooklog id"], record["Status"]) == (f"{THREAD}-5", "closed")

    def test_a_repeated_test_is_one_record(self, airtable):
        for number in range(2):
            self.send(airtable, "test", id=ID + number)
        assert [record["Status"] for record in airtable.records] == ["test"]

    def test_a_message_without_details_is_a_record_of_its_own(self, airtable):
        for number in range(2):
            self.send(airtable, "fixed", id=ID + number, data={})
        assert len(airtable.records) == 2

    def test_mentions_no_user(self):
        text = '<airtable:mention id="menE1i9oBaGX3DseR">@Ada</airtable:mention>'
        wire = self.wire(self.make_message(make_content(facts=[("Author", text)], branch=f"<\u200b{text}")))
        self.check_inert(wire)
        assert "@Ada" in self.cells(wire)["Details"]

    @pytest.mark.parametrize("missing", FIELDS)
    def test_a_missing_field_is_refused_with_the_names_of_all(self, missing):
        outcome, status = self.send(FakeAirtable(set(FIELDS) - {missing}))
        assert (type(outcome), status) == (Refused, 422)
        assert outcome.reason.startswith("422 ")
        assert f"The table needs the fields {', '.join(FIELDS)}." in outcome.reason
        assert len(outcome.reason) <= MAX_REASON_LENGTH

    @pytest.mark.parametrize("name", ["token", "base_id", "table_id"])
    def test_a_wrong_token_base_or_table_is_dead(self, airtable, name):
        outcome, _ = self.send(airtable, settings=SETTINGS | {name: SETTINGS[name].replace("1", "2")})
        assert isinstance(outcome, Dead)
        assert outcome.is_certain

    @pytest.mark.parametrize("value", ["Builds", "../app", "tbl0A1b2C3d4E5f6g/x", "tbl0A1b2C3d4E5f6g?x=1"])
    def test_a_table_is_an_id(self, value):
        [field] = [field for field in self.transport.fields if field.name == "table_id"]
        assert not re.fullmatch(field.pattern, value)

    def test_is_never_combined_and_gets_runs_and_reminders(self):
        assert not self.transport.is_combined
        assert not self.transport.opens_incidents
        assert self.transport.is_reminded
        assert self.transport.lifetime == LIFETIME
