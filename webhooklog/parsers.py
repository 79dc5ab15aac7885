"""Parse the text of an environment variable, or report which values are accepted."""

import json
import re
from datetime import time
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from environs import EnvError

_PATH_PREFIX = re.compile(r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~-]+)*")
LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"\*|\.?{LABEL}(\.{LABEL})*", re.ASCII | re.IGNORECASE)
# Text that git rejects in a branch name (git-check-ref-format), and the quotes and brackets of a JSON list.
_NO_BRANCH = re.compile(r"""[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^["'/-]|^refs/|["'\]/.]$|\.lock$""")
_CLOCK_TIME = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]")
_BRANCH_WILDCARD = re.compile("[*?]")
_PLUGIN = re.compile("[a-z0-9][a-z0-9_-]{0,19}")  # A kind of channel; its column holds 20 characters.
_PROJECTS = re.compile(r"[^\s:\[\]\"']+")
_METRICS_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")  # A Bearer token (RFC 6750) that is hard to guess.
UNUSABLE = re.compile("[\x00\ud800-\udfff]")  # In a name or a secret: database columns and keys cannot hold these.


def parse_secrets(text: str) -> dict[str, Any]:
    """Read CIRCLECI_WEBHOOK_SECRETS: JSON that maps a webhook's name to its secret, a list of secrets, or null.

    An object with ``secrets`` and ``projects`` in place of the secret binds the webhook to those projects.

    Raises:
        EnvError: the text is anything else. The message never contains a secret.
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
            raise EnvError(f'The object of {name!r} must hold "secrets" and "projects", a list of strings.')
        secret = bound["secrets"]
        if not (secret is None or isinstance(secret, str) or _is_list_of_text(secret)):
            raise EnvError(f"The secret of {name!r} must be a string, a list of strings, or null.")
        if UNUSABLE.search("".join([name, *(secret or [])])):
            raise EnvError(f"{name!r} or its secret contains a NUL or a lone surrogate.")
    return webhooks


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise EnvError(f"Duplicate name: {max(names, key=names.count)!r}.")
    return dict(pairs)


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def parse_hosts(text: str) -> list[str]:
    """Read a comma-separated list of host names, in the form that Django's ALLOWED_HOSTS uses.

    Raises:
        EnvError: an entry can never match a request's host, or the list is empty.
    """
    hosts = split_list(text)
    for host in hosts or [text]:
        if not (_HOST.fullmatch(host) or _is_bracketed_ipv6(host)):
            raise EnvError(
                f"{host!r} is not a host name. Separate names with commas, and write them without scheme, port, path, "
                "list brackets or final dot: hooks.example.com,.example.org,203.0.113.7,[2001:db8::7]. A dot at the "
                "start includes all subdomains; * alone accepts every host."
            )
    return hosts


def _is_bracketed_ipv6(host: str) -> bool:
    try:
        return "%" not in host and host.lower() == f"[{IPv6Address(host[1:-1])}]"
    except ValueError:
        return False


def parse_number(text: str | int, bounds: tuple[int, int]) -> int:
    """Read a whole number.

    Args:
        text: the number's digits.
        bounds: the lowest and the highest number accepted.

    Raises:
        EnvError: the text is not a whole number within the bounds.
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
        EnvError: the text is anything else, such as a port or a path.
    """
    try:
        return text if text == "localhost" else str(ip_address(text))
    except ValueError as error:
        raise EnvError(
            "Must be an IP address without a port: 127.0.0.1 for this machine only, 0.0.0.0 or :: for every network."
        ) from error


def parse_metrics_token(text: str) -> str:
    """Read the token for /metrics; "" if there is none.

    Raises:
        EnvError: no client could send the text as a Bearer token, or it is short enough to guess.
    """
    if text and not _METRICS_TOKEN.fullmatch(text):
        raise EnvError("Must be at least 16 letters, digits or -._~+/; generate it with `openssl rand -hex 32`.")
    return text


def parse_networks(value: str) -> list[IPv4Network | IPv6Network]:
    """Read a comma-separated list of IP addresses and CIDR networks.

    Raises:
        EnvError: an entry is neither an IP address nor a CIDR network.
    """
    try:
        networks = [ip_network(entry) for entry in split_list(value)]
    except ValueError as error:
        raise EnvError(f"Must be a comma-separated list of IP addresses or networks: {error}.") from error
    for network in networks:
        mapped = isinstance(network, IPv6Network) and network.network_address.ipv4_mapped
        if mapped:
            raise EnvError(f"{network} never matches: write the IPv4 address {mapped} instead.")
    return networks


def parse_path_prefix(value: str) -> str:
    """Return a path without its final slash; "" for the root.

    Raises:
        EnvError: the value is not a path, or contains characters that a URL would have to encode.
    """
    path = value.rstrip("/")
    if not _PATH_PREFIX.fullmatch(path):
        raise EnvError("Must be a path such as /ci. Use only letters, digits and . _ ~ - between slashes.")
    return path


def parse_secret_keys(text: str) -> list[str]:
    """Read earlier values of SECRET_KEY: a comma-separated list, or a JSON list, which can hold any value.

    Raises:
        EnvError: the JSON list is invalid, or another value contains a line break. The message never contains a key.
    """
    if text.startswith("["):
        return _parse_json_keys(text)
    keys = split_list(text)
    if any(len(key.splitlines()) > 1 for key in keys):
        raise EnvError("Must be earlier values of SECRET_KEY, separated by commas instead of line breaks.")
    return keys


def _parse_json_keys(text: str) -> list[str]:
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError):
        keys = None
    if keys != [] and not _is_list_of_text(keys):
        raise EnvError('Must be a JSON list of strings if it starts with "[": ["old key", "older key"].')
    if not all(keys) or UNUSABLE.search("".join(keys)):
        raise EnvError("A key is empty, or contains a NUL or a lone surrogate.")
    return list(keys)


def parse_sender(text: str) -> str:
    """Read the sender's address of e-mails, with or without a name; "" for none.

    Raises:
        EnvError: the text is not one line with an address.
    """
    if text and (text.splitlines() != [text] or "@" not in text):
        raise EnvError("Must be an e-mail address in one line: webhooklog@example.com, or webhooklog <ci@example.com>.")
    return text


def parse_channel_plugins(text: str) -> list[str]:
    """Read a comma-separated list of names of channel plug-ins.

    Raises:
        EnvError: an entry is not such a name.
    """
    names = split_list(text)
    for name in names:
        if not _PLUGIN.fullmatch(name):
            raise EnvError(
                f"{name!r} is not a plug-in. Write the kinds of plug-ins, not the names of their packages: at most 20 "
                "lower-case letters, digits, - and _, separated by commas: paperplane."
            )
    return names


def parse_branches(text: str) -> list[str]:
    """Read a comma-separated list of patterns of branches, each with or without a pattern of project slugs before it.

    Raises:
        EnvError: an entry has neither form, or cannot match a branch because git rejects such names.
    """
    entries = split_list(text)
    for entry in entries:
        projects, colon, branches = entry.rpartition(":")
        is_branch = branches and not _NO_BRANCH.search(_BRANCH_WILDCARD.sub("x", branches))
        if not is_branch or (colon and not _PROJECTS.fullmatch(projects)):
            raise EnvError(
                f"{entry!r} is not a branch name. Write names or patterns, separated by commas: main,release/*. "
                "For some projects only, write github/acme/legacy-*:develop."
            )
    return entries


def parse_clock_time(text: str) -> time | None:
    """Read a time of day such as 03:30, in UTC; return None for "".

    Raises:
        EnvError: the text is not a time of day.
    """
    if not text:
        return None
    if not _CLOCK_TIME.fullmatch(text):
        raise EnvError(f"{text!r} is not a time of day. Write hours and minutes in UTC: 03:30.")
    return time.fromisoformat(text)


def split_list(text: str) -> list[str]:
    """Return the items of a comma-separated list, without empty ones."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]
