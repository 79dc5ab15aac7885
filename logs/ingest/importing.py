"""Import events from another log: a few unverified strings per event."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils import timezone

from logs import conf
from logs.circleci.vocabulary import EventType
from logs.ingest.pipeline import record
from logs.ingest.records import Arrival, Sender, Verdict
from logs.models import Origin

NAMES = ("name", "project", "workflow", "status")  # In the tutorial's array and in this log's.
TIMES = ("happened_at", "created_at", "createdAt")
UNKNOWN_SENDER = Sender(webhook=conf.Webhook(name="", secrets=()), secret_fingerprint="", origin=Origin.IMPORT)


def payloads(entries: Iterable[object]) -> Iterator[bytes | None]:
    """Yield a payload for each entry of an array; None for an entry that has none of the known names.

    The event's id is derived from the entry and, if several entries are equal, its position among them. Importing a
    longer array later therefore logs only its new entries, wherever they are in the array.
    """
    seen: Counter[str] = Counter()
    for entry in entries:
        texts = _texts(entry)
        if not any(name in texts for name in NAMES):
            yield None
            continue
        canonical = json.dumps(entry, sort_keys=True)
        seen[canonical] += 1
        digest = hashlib.sha256(f"{seen[canonical]} {canonical}".encode()).hexdigest()
        yield json.dumps(_payload(f"imported-{digest}", texts)).encode()


def log_import(payload: bytes) -> Verdict:
    """Log a payload durably as unverified, with a delivery; logging it again yields a duplicate verdict."""
    arrival = Arrival(received_at=timezone.now(), webhook_slug="", headers={}, client_address=None, body=payload)
    return record(arrival, UNKNOWN_SENDER)


def _texts(entry: object) -> dict[str, str]:
    items = entry.items() if isinstance(entry, dict) else ()
    return {name: value for name, value in items if isinstance(value, str) and value}


def _payload(event_id: str, texts: dict[str, str]) -> dict[str, Any]:
    return {
        "type": EventType.WORKFLOW_COMPLETED,
        "id": event_id,
        "happened_at": next((texts[name] for name in TIMES if name in texts), None),
        "webhook": {"name": texts.get("name")},
        "project": {"name": texts.get("project")},
        "workflow": {"name": texts.get("workflow"), "status": texts.get("status")},
        "pipeline": {"trigger": {"type": "import"}},
    }
