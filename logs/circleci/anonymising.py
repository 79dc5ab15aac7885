"""Anonymise payloads for tests and bug reports.

Every string is replaced unless its key is known to hold a term from CircleCI or the project's configuration.
Fields that CircleCI adds later are therefore replaced too. Equal strings get the same replacement, even within URLs and
across payloads anonymised with the same key.
"""

import hmac
import json
import re
from uuid import UUID

from logs.circleci.strict_json import parse_payload
from logs.circleci.vocabulary import PROVIDER_SPELLINGS
from logs.timestamps import read_timestamp

# fmt: off
KEPT_KEYS = {
    "type", "status", "event_type", "trigger_type", "provider_name", "forced",
    "branch", "default_branch", "tag", "ref", "full_ref",
}
# fmt: on
KEPT_PATHS = {"workflow.name", "job.name"}
# The fixed parts of CircleCI's URLs and slugs.
KEPT_PARTS = {"", ".", *PROVIDER_SPELLINGS, "gitlab", "pipelines", "workflows", "jobs"}

_NAIVE_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:[\d.]+")
_TRUTH_OR_NUMBER = re.compile(r"true|false|\d+(\.\d+)?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s/:]+")
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/]+(?P<path>/\S*)?|(?P<user>[^@\s]+@)[^/:\s]+:(?P<file>\S+)")
_SEPARATORS = re.compile(r"([/?&=#])")


def anonymised(body: bytes, key: str) -> bytes:
    """Return a payload with the same shape and types, but without personal data.

    Names, e-mail addresses, URLs, commits, ids and other strings are replaced, as are numbers in URLs except pipeline
    and job numbers. Branches, tags, workflow and job names, times, statuses and numbers other than ids are kept. A
    number of 19 digits or more becomes a string.

    Args:
        body: a payload.
        key: a secret; without it, guessing names cannot reveal what was replaced.

    Raises:
        PayloadMalformed: the body is not a JSON object.
    """
    document = _Anonymiser(key).node(parse_payload(body), "")
    # ASCII, because UTF-8 cannot encode the lone surrogates that an unchanged text may contain.
    return json.dumps(document, separators=(",", ":")).encode("ascii")


class _Anonymiser:
    """Replaces each string with a word derived from the string and a key."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def node(self, node: object, path: str) -> object:
        """Return an anonymised copy of the JSON value at a dotted path."""
        if isinstance(node, dict):
            return {key: self.node(value, f"{path}.{key}".lstrip(".")) for key, value in node.items()}
        if isinstance(node, list):
            return [self.node(value, path) for value in node]
        if isinstance(node, str):
            return self._text(node, path)
        if isinstance(node, int) and not isinstance(node, bool) and _is_id(path):
            return int(self._number(str(node)))
        return node

    def _text(self, text: str, path: str) -> str:
        if path in KEPT_PATHS or path.rpartition(".")[2] in KEPT_KEYS:
            return text
        # Checked before timestamps, because the digits of an id can look like seconds since 1970.
        if _TRUTH_OR_NUMBER.fullmatch(text):
            return self._number(text) if _is_id(path) else text
        if _NAIVE_TIME.fullmatch(text) or read_timestamp(text):
            return text
        if url := _URL.fullmatch(text):
            return self._url(url)
        if path.endswith("slug"):
            return self._parts(text)
        return "\n".join(map(self._word, text.split("\n")))

    def _url(self, url: re.Match[str]) -> str:
        if url["user"]:
            return f"git@example.com:{self._parts(url['file'])}"
        return f"{url['scheme']}example.com{self._parts(url['path'] or '')}"

    def _parts(self, path: str) -> str:
        """Replace each part of a path separately: a repository gets the same name in every path."""
        pieces = _SEPARATORS.split(path)
        parts, separators = pieces[::2], [*pieces[1::2], ""]
        replaced = map(self._part, parts, ["", *parts], [*parts[1:], ""])
        return "".join(part + separator for part, separator in zip(replaced, separators, strict=True))

    def _part(self, part: str, before: str, after: str) -> str:
        if part in KEPT_PARTS:
            return part
        if part.isdecimal():  # Pipeline and job numbers are in columns too; other numbers may identify an organization.
            return part if before == "jobs" or after == "workflows" else self._number(part)
        name = part.removesuffix(".git")
        return self._word(name) + part.removeprefix(name)

    def _word(self, text: str) -> str:
        """Return a replacement of the same kind; blank text is left as it is."""
        if not text.strip():
            return text
        digest = self._digest(text)
        if _UUID.fullmatch(text):
            return str(UUID(hex=digest[:32], version=4))
        if _COMMIT.fullmatch(text):
            return digest[:40]
        return f"{digest[:10]}@example.com" if _EMAIL.fullmatch(text) else f"anon-{digest[:10]}"

    def _number(self, digits: str) -> str:
        # JSON does not allow a leading zero.
        return "1" + f"{int(self._digest(digits), 16):d}"[: len(digits) - 1]

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


def _is_id(path: str) -> bool:
    return path.endswith(("_id", "_ids", ".id", ".ids")) or path == "id"
