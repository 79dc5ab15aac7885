"""Pass on deliveries as they arrive, to a laptop say: ``manage.py listen``."""

import json
import os
import signal
import sys
import threading
import time
import webbrowser
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from logs.circleci.vocabulary import EVENT_TYPE_HEADER, Tone, tone_of
from logs.management.arguments import filled_text, moment, web_address
from logs.management.examples import CommandWithExamples
from logs.management.terminal import printable
from logs.management.workbench import resending
from logs.management.workbench.forwarding import Progress, progress_path, refuse_public
from logs.management.workbench.keys import reacting
from logs.management.workbench.sending import Answer, Lack, Message, Sender
from logs.management.workbench.sources import Followed, Outage, OwnLog, Refused, Site, Source, persistently
from logs.models import Outcome
from logs.models.deliveries import REFUSED
from logs.reading.stream.cursors import NOW, START

TOKEN_VARIABLE = "WEBHOOKLOG_TOKEN"  # noqa: S105 - its name
FILTERS = ("project", "workflow", "job", "status", "event_type", "branch", "tag", "author", "webhook", "outcome")
ACCEPTED = ",".join(outcome for outcome in Outcome.values if outcome not in REFUSED)
ANSWER_TIMEOUT_SECONDS = 30  # Three times as patient as CircleCI, since somebody may be looking at it in a debugger.
REPEAT_TIMEOUT_SECONDS = 5  # Other keys wait for the answer too.
MAX_BROKEN_OFF = 3  # So often a delivery is sent to an address that breaks off each answer.
LACKS = {Lack.LATE: "no answer", Lack.BROKEN_OFF: "broken off", Lack.UNREACHED: "not there"}

EXAMPLES = f"""
{TOKEN_VARIABLE}=whl_... manage.py listen --from https://ci-log.example.org --to http://localhost:1337/webhooks
manage.py listen --to http://localhost:8000/log-circleci-webhook --status failed,error --branch main
manage.py listen --to http://localhost:8000/log-circleci-webhook --since 24h | tee forwarded.txt
"""
NOTES = "keys, in a terminal: r sends the last delivery again, o opens its workflow in the browser, d shows it, q quits"


class Stopping:
    """Ctrl-C and SIGTERM: they end the command at once, but only the second one between an answer and its note."""

    def __init__(self) -> None:
        self.exit_code: int | None = None  # None: go on.
        self.wanted = False  # By a key: no failure.
        self._held = False

    def __call__(self, signal_number: int, frame: object) -> None:
        """Handle the signal."""
        is_first, self.exit_code = self.exit_code is None, self.exit_code or 128 + signal_number
        if not (self._held and is_first):
            raise KeyboardInterrupt

    def quit(self) -> None:
        """End the command as somebody wishes; from another thread than the main one."""
        self.wanted = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Put off the end until the block has ended."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self.exit_code is not None:
                raise KeyboardInterrupt


class Command(CommandWithExamples):
    """Follow deliveries and post each to an address, until somebody ends it."""

    help = (
        "Follow the deliveries of a deployed webhooklog, or of this one's own database, and post each to an address "
        "with the bytes and the headers that CircleCI sent, the signature among them. It goes on where it stopped."
    )

    examples = EXAMPLES
    notes = NOTES
    exit_codes = (
        "0 after q, 1 when something must be changed, 2 for wrong arguments, 130 after Ctrl-C, 143 after SIGTERM"
    )

    _stopping: Stopping
    _sender: Sender
    _repeater: Sender
    _last: Followed | None = None
    _count = 0

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare from where, to where, and what."""
        parser.add_argument("--from", dest="site", type=web_address, metavar="URL", help="default: the own database")
        parser.add_argument("--to", required=True, type=web_address, metavar="URL", help="where to post deliveries")
        parser.add_argument("--token", type=filled_text, help=f"of the API (default: the variable {TOKEN_VARIABLE})")
        parser.add_argument(
            "--since",
            type=_since,
            metavar="WHEN",
            help="now, start, 24h or 2026-05-04T10:00Z (default: where it stopped)",
        )
        parser.add_argument("--state", type=Path, metavar="FILE", help="where that is noted (default: in DATA_DIR)")
        parser.add_argument("--allow-public", action="store_true", help="post to an address on the internet too")
        for name in FILTERS:
            words = "default: all that were accepted" if name == "outcome" else "as in the API"
            parser.add_argument(f"--{name.replace('_', '-')}", type=filled_text, help=words)

    def handle(self, *args: Any, **options: Any) -> None:
        """Follow and post.

        Raises:
            CommandError: something must be changed.
        """
        self._stopping = Stopping()
        previous = {each: signal.signal(each, self._stopping) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._run(options)
        except Refused as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self._tell(f"{self._count} forwarded; the next time it goes on behind the last of them")
            raise SystemExit(0 if self._stopping.wanted else self._stopping.exit_code) from None
        except BrokenPipeError:  # Whoever read the lines, `head` say, has read enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)

    def _run(self, options: dict[str, Any]) -> None:
        if not options["allow_public"]:
            refuse_public(options["to"])
        filters = _filters(options)
        source = _source(options, filters)
        to, allow_public = options["to"], options["allow_public"]
        self._sender = Sender(to, timeout_seconds=ANSWER_TIMEOUT_SECONDS, allow_public=allow_public)
        self._repeater = Sender(to, timeout_seconds=REPEAT_TIMEOUT_SECONDS, allow_public=allow_public)
        default = progress_path(settings.DATA_DIR, options["site"] or "", options["to"], filters)
        progress = Progress(options["state"] or default)
        with progress.held():
            after = options["since"] or progress.cursor or NOW
            self._tell(f"listening to {options['site'] or 'the own database'}, posting to {options['to']}")
            actions = {"r": self._repeat, "o": self._open, "d": self._show, "q": self._stopping.quit}
            with reacting(actions):
                while True:
                    after = self._pass_on(source, after, progress)

    def _pass_on(self, source: Source, after: str, progress: Progress) -> str:
        """Forward what has come behind a cursor, and return where to read on."""
        following = persistently(partial(source.following, after), self._tell)
        for delivery in following.deliveries:
            persistently(partial(self._forward, delivery, progress, count(1)), self._tell)
        progress.keep(following.cursor)
        time.sleep(following.pause_seconds)
        return following.cursor

    def _forward(self, delivery: Followed, progress: Progress, broken_off: Iterator[int]) -> None:
        with self._stopping.held():
            answer = self._sender.send(_message(delivery))
            is_broken_off = answer.lack is Lack.BROKEN_OFF
            if answer.lack is Lack.UNREACHED or (is_broken_off and next(broken_off) < MAX_BROKEN_OFF):
                raise Outage(answer.reason)
            progress.keep(delivery.cursor)
            self._last, self._count = delivery, self._count + 1
            self._line(delivery, answer)
            if is_broken_off:
                self._tell(f"delivery {delivery.id} was broken off {MAX_BROKEN_OFF} times, and is not sent again")

    def _line(self, delivery: Followed, answer: Answer) -> None:
        event, status = delivery.event, str(delivery.event.get("status") or "-")
        kind = event.get("event_type") or delivery.headers.get(EVENT_TYPE_HEADER, "-")
        subject = " / ".join(filter(None, [event.get("workflow"), event.get("job")])) or "-"
        answered = LACKS[answer.lack] if answer.lack else str(answer.http_status)
        tone = Tone.GOOD if answer.accepted else Tone.BAD
        self.stdout.write(
            f"{delivery.received_at.astimezone():%H:%M:%S}  {printable(kind):<18}  "
            f"{printable(event.get('project') or '-'):<20}  {printable(subject):<34}  "
            f"{self._coloured(f'{printable(status):<10}', tone_of(status))}  "
            f"{self._coloured(f'{answered:<10}', tone)}  {answer.milliseconds:6.0f} ms"
        )
        self.stdout.flush()

    def _coloured(self, text: str, tone: Tone) -> str:
        styles = {Tone.GOOD: self.style.SUCCESS, Tone.BAD: self.style.ERROR, Tone.STOPPED: self.style.WARNING}
        return str(styles.get(tone, str)(text))

    def _tell(self, words: str) -> None:
        self.stderr.write(words, style_func=str)
        self.stderr.flush()

    def _repeat(self) -> None:
        if self._last:
            answer = self._repeater.send(_message(self._last))
            self._line(self._last, answer)
            if answer.lack:
                self._tell(answer.reason)

    def _open(self) -> None:
        url = str((self._last.event.get("url") if self._last else "") or "")
        if url.startswith(("https://", "http://")):
            webbrowser.open(url)

    def _show(self) -> None:
        if self._last:
            headers = "".join(f"{name}: {printable(value)}\n" for name, value in self._last.headers.items())
            self._tell(f"delivery {self._last.id}\n{headers}\n{_readable(self._last.body)}")


def _since(text: str) -> str:
    return text if text in (NOW, START) else moment(text).isoformat()


def _message(delivery: Followed) -> Message:
    return resending.message(delivery.id, delivery.body, delivery.headers)


def _filters(options: dict[str, Any]) -> dict[str, str]:
    return {"outcome": ACCEPTED} | {name: options[name] for name in FILTERS if options[name]}


def _source(options: dict[str, Any], filters: dict[str, str]) -> Source:
    if not options["site"]:
        return OwnLog(filters)
    token = options["token"] or os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise CommandError(f"--from needs a token of that site: --token, or better the variable {TOKEN_VARIABLE}")
    return Site(options["site"], token, filters)


def _readable(body: bytes) -> str:
    """Return a body fit for a terminal: JSON in lines, with nothing in it but ASCII."""
    try:
        return json.dumps(json.loads(body), indent=2)
    except (ValueError, RecursionError):
        return printable(body.decode(errors="replace"))
