"""Read the text of an environment variable into its value, or say what is accepted instead."""

import json
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from environs import EnvError

_PATH_PREFIX = re.compile(r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~-]+)*")
_ORIGIN = re.compile(r"(?!http:.*:80\Z|https:.*:443\Z)https?://[a-z0-9._-]+(:[0-9]{1,5})?")
UNUSABLE = re.compile("[\x00\ud800-\udfff]")  # In a name or a secret: no database and no key could hold them.


def parse_secrets(text: str) -> dict[str, Any]:
    """Read CIRCLECI_WEBHOOK_SECRETS: JSON, from a webhook's name to its secret, a list of secrets, or null.

    To bind a webhook to projects, an object with ``secrets`` and ``projects`` stands in place of the secret.

    Raises:
        EnvError: it is anything else. The message never holds a secret.
    """
    try:
        webhooks = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise EnvError('Not valid JSON; it must look like {"My CircleCI Webhook": "its secret token"}.') from error
    if not isinstance(webhooks, dict):
        raise EnvError('Must be a JSON object such as {"My CircleCI Webhook": "its secret token"}.')
    for name, value in webhooks.items():
        bound = value if isinstance(value, dict) else {"secrets": value, "projects": ["*"]}
        if bound.keys() != {"secrets", "projects"} or not _is_list_of_text(bound["projects"]):
            raise EnvError(f'The object of {name!r} must hold "secrets" and "projects", a list of texts.')
        secret = bound["secrets"]
        if not (secret is None or isinstance(secret, str) or _is_list_of_text(secret)):
            raise EnvError(f"The secret of {name!r} must be a text, a list of texts, or null.")
        if UNUSABLE.search("".join([name, *(secret or [])])):
            raise EnvError(f"{name!r} or its secret holds a NUL or a lone surrogate.")
    return webhooks


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise EnvError(f"A name stands twice: {max(names, key=names.count)!r}.")
    return dict(pairs)


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def parse_number(text: str | int, bounds: tuple[int, int]) -> int:
    """Read a whole number.

    Args:
        text: its digits.
        bounds: the lowest and the highest number accepted.

    Raises:
        EnvError: it is not a whole number within its bounds.
    """
    lowest, highest = bounds
    try:
        number = int(text)
    except ValueError:
        number = lowest - 1
    if not lowest <= number <= highest:
        raise EnvError(f"Must be a whole number from {lowest} to {highest}.")
    return number


def parse_bind_address(text: str) -> str:
    """Read the IP address that the server listens on; ``localhost`` is accepted too.

    Raises:
        EnvError: it is anything else, such as a port or a path.
    """
    try:
        return text if text == "localhost" else str(ip_address(text))
    except ValueError as error:
        raise EnvError(
            "Must be an IP address without a port: 127.0.0.1 for this machine only, 0.0.0.0 or :: for every network."
        ) from error


def parse_networks(value: str) -> list[IPv4Network | IPv6Network]:
    """Read a comma-separated list of addresses and networks in CIDR notation.

    Raises:
        EnvError: an entry is neither.
    """
    try:
        return [ip_network(entry.strip()) for entry in value.split(",") if entry]
    except ValueError as error:
        raise EnvError(f"Must be a comma-separated list of addresses or networks: {error}.") from error


def parse_path_prefix(value: str) -> str:
    """Return a path without a slash at its end; "" for the root.

    Raises:
        EnvError: it is not a path that every part of a URL can hold as it is.
    """
    path = value.rstrip("/")
    if not _PATH_PREFIX.fullmatch(path):
        raise EnvError("Must be a path such as /ci, of letters, digits and . _ ~ - between slashes.")
    return path


def parse_origins(value: str) -> list[str]:
    """Read a comma-separated list of origins, each as browsers write it.

    Raises:
        EnvError: an entry would never be the same as what a browser sends.
    """
    origins = [entry.strip() for entry in value.split(",") if entry.strip()]
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise EnvError(
                f"{origin!r} is no origin, which is a scheme and a host in lower case, with the port unless it is the "
                "scheme's own: https://grafana.example.com."
            )
    return origins
