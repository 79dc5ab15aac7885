"""Airtable: one record per breakage, alarm, run or job, in a table of the operator's.

Sources (read 2026-11-29):
    https://airtable.com/developers/web/api/update-multiple-records (upsert, typecast, at most 10 records)
    https://support.airtable.com/docs/managing-api-call-limits-in-airtable (5 requests a second; 30 seconds after a 429)
    https://support.airtable.com/docs/airtable-api-common-troubleshooting (401, 403, 404, 422)
    https://airtable.com/developers/scripting/api/cell_values (mention tokens in long text)
"""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

from logs.models.notifications import LIFETIME, NotificationKind
from logs.notifications.channels.base import (
    Field,
    Later,
    Message,
    Outcome,
    Refused,
    Transport,
    cut,
    json_request,
    line,
    plain,
    run_and_page,
    said,
    some_facts,
    utc,
)
from logs.notifications.content import Content
from logs.notifications.guard import Request, Response

BASE_URL = "https://api.airtable.com"
ID = "webhooklog id"  # The field by which Airtable recognises a record.
FIELDS = (
    *(ID, "Message", "Status", "Project", "Workflow", "Branch", "Began at", "Ended at", "Details", "Resolution"),
    *("CircleCI URL", "webhooklog URL"),
)
STATUSES = {
    NotificationKind.BROKE.value: "broken",
    NotificationKind.REMINDER.value: "broken",
    NotificationKind.FIXED.value: "fixed",
    NotificationKind.ALARM.value: "open",
    NotificationKind.ALARM_OVER.value: "closed",
    NotificationKind.TEST.value: "test",
}
BEGINNINGS = (NotificationKind.BROKE, NotificationKind.REMINDER, NotificationKind.ALARM)
ENDS = (NotificationKind.FIXED, NotificationKind.ALARM_OVER)
EVENTS = (NotificationKind.RUN, NotificationKind.JOB)
PAUSE = timedelta(seconds=30)  # Requests within 30 seconds after a 429 are rejected, too.
MENTION = re.compile("<(?=/?airtable:)", re.IGNORECASE)
MAX_FACTS, MAX_NAME, MAX_VALUE, MAX_SAID = 20, 100, 1_000, 120


class AirtableTransport(Transport):
    """Creates or updates one record per message. A test has a record of its own in the table."""

    kind = "airtable"
    title = "Airtable"
    is_combined = False
    lifetime = LIFETIME
    accepted = (200,)
    dead = (401, 403, 404, 410)
    fields = [
        Field(
            name="token",
            label="Personal access token",
            help_text="At airtable.com/create/tokens, with the scope data.records:write and access to the base.",
            is_secret=True,
            pattern=r"pat[A-Za-z0-9.]{20,200}",
            invalid="Enter a personal access token: pat….…",
        ),
        Field(
            name="base_id",
            label="Base ID",
            help_text="The part of the table's URL that begins with app.",
            pattern=r"app[A-Za-z0-9]{14}",
            invalid="Enter the ID of a base: app and 14 letters and digits.",
        ),
        Field(
            name="table_id",
            label="Table ID",
            help_text=(
                "The part of the table's URL that begins with tbl. The table needs the fields that "
                "docs/notifications.md lists."
            ),
            pattern=r"tbl[A-Za-z0-9]{14}",
            invalid="Enter the ID of a table: tbl and 14 letters and digits.",
        ),
    ]

    def request(self, message: Message) -> Request:
        """Return the request that creates or updates the record."""
        settings = message.settings
        url = f"{BASE_URL}/v0/{settings['base_id']}/{settings['table_id']}"
        document = {
            "performUpsert": {"fieldsToMergeOn": [ID]},
            "typecast": True,  # Otherwise a status that is not an option of the column yet would be rejected.
            "records": [{"fields": _fields(message)}],
        }
        return replace(json_request(url, document, Authorization=f"Bearer {settings['token']}"), method="PATCH")

    def outcome(self, response: Response) -> Outcome:
        """Return what a response means."""
        outcome = super().outcome(response)
        if response.status == 429 and isinstance(outcome, Later) and outcome.after is None:
            return replace(outcome, after=PAUSE)
        if response.status == 422 and "UNKNOWN_FIELD_NAME" in response.text:
            return Refused(reason=f"{cut(said(response), MAX_SAID)} The table needs the fields {', '.join(FIELDS)}.")
        return outcome


def _fields(message: Message) -> dict[str, Any]:
    """Return the cells of a record; the others keep their values."""
    content = message.content
    run, page = run_and_page(content)
    facts = [f"{_inert(name, MAX_NAME)}: {_inert(value, MAX_VALUE)}" for name, value in some_facts(content, MAX_FACTS)]
    cells: dict[str, Any] = {
        ID: _record_id(message),
        "Message": _inert(content.subject, MAX_VALUE),
        "Status": STATUSES.get(content.kind) or _inert(str(content.data.get("status", "")), MAX_NAME),
        "Project": _inert(content.project, MAX_VALUE),
        "Workflow": _inert(content.workflow, MAX_VALUE),
        "Branch": _inert(content.branch, MAX_VALUE),
        "Began at" if content.kind in BEGINNINGS or _is_resting(content) else "Ended at": utc(content),
        "Resolution" if content.kind in ENDS else "Details": "\n".join(facts),
        "CircleCI URL": run,
        "webhooklog URL": page,
    }
    cells = {name: value for name, value in cells.items() if value}
    # A branch that rested and fails again has the same record.
    return cells | {"Ended at": None, "Resolution": None} if content.kind == NotificationKind.BROKE else cells


def _is_resting(content: Content) -> bool:
    """Return whether a message ends a breakage that was not fixed; its time is that of the breakage."""
    return content.kind == NotificationKind.FIXED and content.data.get("id", "") == content.data.get("breakage_id")


def _inert(text: str, length: int) -> str:
    """Return one line of text without mentions of users."""
    return line(MENTION.sub("< ", plain(text)), length)


def _record_id(message: Message) -> str:
    """Return what identifies the record: the same for a breakage, its reminders and its fix."""
    content = message.content
    if content.kind == NotificationKind.TEST:
        return message.thread
    number = content.data.get("breakage_id") or content.data.get("id") or message.id
    # Runs and jobs are numbered independently of breakages, and share their thread.
    return f"{message.thread}-{content.kind}-{number}" if content.kind in EVENTS else f"{message.thread}-{number}"
