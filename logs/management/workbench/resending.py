"""Kept deliveries as messages to send again, and as files that do so by curl."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from logs.circleci.curl import SENT_HEADERS, curl_with_file
from logs.management.workbench.sending import Message
from logs.models import Delivery


def kept(delivery_ids: Iterable[int]) -> Iterator[Delivery | None]:
    """Yield the deliveries one by one, None for each that cannot be sent again.

    Retention may have removed one meanwhile; of one that was refused only a beginning may have been kept.
    """
    for delivery_id in delivery_ids:
        delivery = Delivery.objects.filter(pk=delivery_id).first()
        yield delivery if delivery and delivery.is_whole else None


def message(number: int, body: bytes, headers: Mapping[str, str]) -> Message:
    """Return a delivery as CircleCI sent it: its bytes, and those of its headers that prove and describe them."""
    sent = {name: headers[name] for name in SENT_HEADERS if headers.get(name)}
    return Message(label=f"delivery {number}", body=body, headers=sent)


def save(delivery: Delivery, directory: Path, url: str) -> Path:
    """Write a delivery's bytes, and a script beside them that posts them to an address; return the script."""
    body, script = directory / f"{delivery.pk}.body", directory / f"{delivery.pk}.sh"
    body.write_bytes(bytes(delivery.body))
    lines = [
        "#!/bin/sh",
        f"# Delivery {delivery.pk}, received {delivery.received_at:%Y-%m-%d %H:%M:%S} UTC, {delivery.outcome}.",
        'cd "$(dirname "$0")" || exit',
        curl_with_file(url, delivery.headers, body.name),
    ]
    # The address is the operator's, in whatever letters, also such as were no UTF-8 on the command line.
    script.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    script.chmod(0o755)
    return script
