"""What all kinds of channels share: their fields, what they send, and what a vendor's response means."""

import json
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from django.utils import timezone

from logs.models.notifications import CHAT_LIFETIME
from logs.notifications.content import CIRCLECI, Content
from logs.notifications.guard import Request, Response
from logs.times import rfc_3339

# The interface for plug-ins, which docs/channels.md describes. A change that breaks plug-ins needs a new number.
INTERFACE = 1
__all__ = [
    "HTTPS_PATTERN",
    "Content",
    "Dead",
    "Field",
    "Later",
    "Message",
    "Outcome",
    "Refused",
    "Request",
    "Response",
    "Sent",
    "Transport",
    "json_request",
    "line",
    "said",
    "web_links",
]
MAX_PAUSE = timedelta(hours=1)
# Control characters, invisible and direction characters, halves of surrogate pairs, and tags.
ACTIVE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\U000e0000-\U000e007f]"
)
# Text in which no vendor finds a link, a mention, an emoji, a command or markup.
PROSE = re.compile(r"[^\W_](?:[^\W_]|[ ,·'()-]|(?<=\d):(?=\d)|[.:…](?!\S))*")
URL = re.compile(r"https?://[\w.~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)
HTTPS_PATTERN = r"https://[^\s/?#@]+/[^\s#]+"
COLORS = {"good": "#2e7d32", "bad": "#c62828"}  # By tone, for channels that accept any colour.
MAX_LINKS, MAX_TITLE, MAX_URL = 5, 75, 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The vendor accepted the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """The vendor could not be reached or is overloaded: the channel pauses."""

    reason: str
    after: timedelta | None = None  # How long the vendor wants to be left alone; None: the channel's own pauses.


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The vendor rejected this message; others may pass."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """The vendor does not know the channel, or its secret is wrong."""

    reason: str
    is_certain: bool = True  # Otherwise only three of them in a row disable the channel.


Outcome = Sent | Later | Refused | Dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A setting of a kind of channel, as the admin's form shows it."""

    name: str
    label: str
    help_text: str = ""
    is_secret: bool = False
    is_required: bool = True
    pattern: str = ""  # A regular expression for the whole value.
    invalid: str = ""  # What to enter if the pattern does not match.
    default: str = ""
    choices: Sequence[tuple[str, str]] = ()
    is_server: bool = False  # The server that gets the secrets: if it changes, they must be entered again.


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A notification with its channel's settings."""

    id: int  # The same in every attempt.
    thread: str  # The same for all messages about a workflow on a branch.
    content: Content
    settings: Mapping[str, str] = field(repr=False)  # The values of the fields, secrets included.


class Transport:
    """A kind of channel that sends one HTTP request per message. A subclass is a file in this package or a plug-in."""

    interface: ClassVar[int]  # Of a plug-in: the INTERFACE for which it was written.
    kind: ClassVar[str]
    title: ClassVar[str]
    fields: ClassVar[Sequence[Field]]
    is_combined: ClassVar[bool] = True  # Whether many waiting messages become one, because people read them.
    opens_incidents: ClassVar[bool] = False  # Whether a message stays open at the vendor until another one ends it.
    is_reminded: ClassVar[bool] = True  # Whether it gets reminders of what stays broken.
    lifetime: ClassVar[timedelta] = CHAT_LIFETIME  # How long a message is worth sending.
    accepted: ClassVar[Container[int]] = range(200, 300)  # The HTTP statuses of a message that was accepted.
    dead: ClassVar[Container[int]] = (410,)  # Those of a channel that does not exist.

    def request(self, message: Message) -> Request:
        """Return the request for a message."""
        raise NotImplementedError

    def outcome(self, response: Response) -> Outcome:
        """Return what a response means."""
        return outcome_of(response, accepted=self.accepted, dead=self.dead)

    def deliver(self, message: Message, send: Callable[[Request], Response]) -> tuple[Outcome, int | None]:
        """Send a message; return the outcome and the response's HTTP status.

        Raises:
            Unreachable: there was no complete response.
        """
        response = send(self.request(message))
        return self.outcome(response), response.status


def outcome_of(response: Response, *, accepted: Container[int], dead: Container[int]) -> Outcome:
    """Return what a response means at most vendors."""
    reason = said(response)
    if response.status in accepted:
        return Sent()
    if response.status in dead:
        return Dead(reason=reason)
    if response.status in (408, 425, 429) or response.status >= 500:
        return Later(reason=reason, after=retry_after(response))
    if 300 <= response.status < 400:
        reason = f"{response.status}: redirects are not followed; enter the URL that it leads to"
        return Dead(reason=reason, is_certain=False)
    # The others are about the channel, and would reject all that waits in it.
    is_about_message = response.status < 300 or response.status in (400, 413, 422)
    return Refused(reason=reason) if is_about_message else Dead(reason=reason, is_certain=False)


def said(response: Response) -> str:
    """Return a response's status and the start of its text, in one line."""
    text = " ".join(plain(response.text).split())[:200]
    return f"{response.status} {text}".strip()


def retry_after(response: Response) -> timedelta | None:
    """Return how long a vendor wants to be left alone, at most MAX_PAUSE; None if it does not say."""
    text = response.headers.get("retry-after", "")
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(timedelta(seconds=int(text)), MAX_PAUSE)
    try:
        until = parsedate_to_datetime(text)
        # An HTTP date is in GMT; "-0000" would make it naive.
        return min(max(until.replace(tzinfo=until.tzinfo or UTC) - timezone.now(), timedelta(0)), MAX_PAUSE)
    except (ValueError, TypeError, OverflowError):
        return None


def plain(text: str) -> str:
    """Return text without control, invisible and direction characters, which could reorder or hide what follows."""
    return ACTIVE.sub("", text)


def cut(text: str, length: int) -> str:
    """Return text of at most a length; a cut text ends in an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def line(text: str, length: int) -> str:
    """Return text in one line of at most a length: a line break could start a header, a list or a false fact."""
    return cut(" ".join(plain(text).split()), length)


def web_links(content: Content) -> list[tuple[str, str]]:
    """Return the titles and URLs of the links that a vendor accepts; a URL that is cut would lead elsewhere."""
    links = [(line(title, MAX_TITLE), url) for title, url in content.links]
    return [(title, url) for title, url in links if title and len(url) <= MAX_URL and URL.fullmatch(url)][:MAX_LINKS]


def run_and_page(content: Content) -> tuple[str, str]:
    """Return the URLs of the run at CircleCI and of its page at this site; "" for none."""
    urls = [url for _, url in web_links(content)]
    run = next((url for url in urls if url.startswith(CIRCLECI)), "")
    return run, next((url for url in urls if not url.startswith(CIRCLECI)), "")


def some_facts(content: Content, count: int) -> list[tuple[str, str]]:
    """Return the first facts of a message; a last one counts the others."""
    more = len(content.facts) - count
    return [*content.facts[:count], *([("And", f"{more} more")] if more > 0 else [])]


def utc(content: Content) -> str:
    """Return when it happened, as most vendors write it: 2026-11-27T16:40:00Z."""
    return rfc_3339(content.time)


def json_request(url: str, document: Any, **headers: str) -> Request:
    """Return a request that posts a JSON document."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Request(url=url, body=body, headers={"Content-Type": "application/json", **headers})
