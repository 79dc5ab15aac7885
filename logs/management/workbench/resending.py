"""Stored deliveries as messages to send again, and as curl scripts."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from logs.circleci.curl import SENT_HEADERS, curl_with_file
from logs.management.workbench.sending import Message
from logs.models import Delivery


def whole_deliveries(delivery_ids: Iterable[int]) -> Iterator[Delivery | None]:
    """Yield each delivery; None if retention has removed the delivery, or if only part of its body is stored."""
    for delivery_id in delivery_ids:
        delivery = Delivery.objects.filter(pk=delivery_id).first()
        yield delivery if delivery and delivery.is_whole else None


def message(number: int, body: bytes, headers: Mapping[str, str]) -> Message:
    """Return a delivery as CircleCI sent it: its body, and the headers that sign and describe the body."""
    sent = {name: headers[name] for name in SENT_HEADERS if headers.get(name)}
    return Message(label=f"delivery {number}", body=body, headers=sent)


def save(delivery: Delivery, directory: Path, url: str) -> Path:
    """Write a delivery's body and a script that posts the body to the URL; return the script's path."""
    body, script = directory / f"{delivery.pk}.body", directory / f"{delivery.pk}.sh"
    body.write_bytes(bytes(delivery.body))
    lines = [
        "#!/bin/sh",
        f"# Delivery {delivery.pk}, received {delivery.received_at:%Y-%m-%d %H:%M:%S} UTC, {delivery.outcome}.",
        'cd "$(dirname "$0")" || exit',
        curl_with_file(url, delivery.headers, body.name),
    ]
    # The URL comes from the command line, where it may contain bytes that are not UTF-8.
    script.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    script.chmod(0o755)
    return script
