"""Forward deliveries as they arrive, for example to a laptop: ``manage.py listen``."""

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
from logs.management.arguments import http_url, nonempty_text, time_or_age
from logs.management.examples import CommandWithExamples
from logs.management.filtering import require_known_words
from logs.management.terminal import printable
from logs.management.workbench import resending
from logs.management.workbench.forwarding import CursorFile, default_cursor_path, require_private
from logs.management.workbench.keys import key_actions
from logs.management.workbench.sending import Answer, Failure, Message, WebhookClient
from logs.management.workbench.sources import LocalLog, Outage, Site, Source, SourceDelivery, Unrecoverable, retrying
from logs.models import Outcome
from logs.models.deliveries import REFUSED
from logs.reading.stream.cursors import NOW, START

TOKEN_VARIABLE = "WEBHOOKLOG_TOKEN"  # noqa: S105 - a name
FILTERS = ("project", "workflow", "job", "status", "event_type", "branch", "tag", "author", "webhook", "outcome")
ACCEPTED = ",".join(outcome for outcome in Outcome.values if outcome not in REFUSED)
ANSWER_TIMEOUT_SECONDS = 30  # Three times as long as CircleCI waits, because the receiver may stop in a debugger.
REPEAT_TIMEOUT_SECONDS = 5  # Other keys wait for this response.
MAX_BROKEN_OFF = 3  # How many times a delivery is sent if the connection breaks each time.
FAILURES = {Failure.TIMEOUT: "no answer", Failure.BROKEN_OFF: "broken off", Failure.UNREACHABLE: "not there"}

EXAMPLES = f"""
{TOKEN_VARIABLE}=whl_... manage.py listen --from https://ci-log.example.org --to http://localhost:1337/webhooks
manage.py listen --to http://localhost:8000/log-circleci-webhook --status failed,error --branch main
manage.py listen --to http://localhost:8000/log-circleci-webhook --since 24h | tee forwarded.txt
"""
NOTES = "keys in a terminal: r sends the last delivery again, o opens its workflow in the browser, d shows it, q quits"


class Stopping:
    """Handler for Ctrl-C and SIGTERM: the first signal does not interrupt a `held` block, but a second signal does."""

    def __init__(self) -> None:
        self.exit_code: int | None = None  # None: continue.
        self.is_quit = False  # Whether the q key ended the command, which is not a failure.
        self._held = False

    def __call__(self, signal_number: int, frame: object) -> None:
        """Handle the signal."""
        is_first, self.exit_code = self.exit_code is None, self.exit_code or 128 + signal_number
        if not (self._held and is_first):
            raise KeyboardInterrupt

    def quit(self) -> None:
        """End the command successfully; to be called from a thread other than the main thread."""
        self.is_quit = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Delay the first signal until the end of the block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self.exit_code is not None:
                raise KeyboardInterrupt


class Command(CommandWithExamples):
    """Follow deliveries and post each to a URL, until the command is stopped."""

    help = (
        "Follow the deliveries of a deployed webhooklog, or of this installation, and post each to a URL with the "
        "bytes and headers that CircleCI sent, signature included. Each run continues where the last one stopped."
    )

    examples = EXAMPLES
    notes = NOTES
    exit_codes = "0 after q, 1 after an error, 2 for invalid arguments, 130 after Ctrl-C, 143 after SIGTERM"

    _stopping: Stopping
    _sender: WebhookClient
    _repeater: WebhookClient
    _last: SourceDelivery | None = None
    _count = 0

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the source, target, position and filters."""
        parser.add_argument("--from", dest="site", type=http_url, metavar="URL", help="default: this installation")
        parser.add_argument("--to", required=True, type=http_url, metavar="URL", help="where to post deliveries")
        parser.add_argument("--token", type=nonempty_text, help=f"API token for that site (default: {TOKEN_VARIABLE})")
        parser.add_argument(
            "--since",
            type=_since,
            metavar="WHEN",
            help="now, start, 24h or 2026-05-04T10:00Z (default: the saved position)",
        )
        parser.add_argument("--state", type=Path, metavar="FILE", help="file for the position (default: in DATA_DIR)")
        parser.add_argument("--allow-public", action="store_true", help="allow a URL on the internet")
        for name in FILTERS:
            about = "default: all accepted deliveries" if name == "outcome" else "as in the API"
            parser.add_argument(f"--{name.replace('_', '-')}", type=nonempty_text, help=about)

    def handle(self, *args: Any, **options: Any) -> None:
        """Follow the deliveries and post each of them.

        Raises:
            CommandError: an argument, the token, the source or the target must be changed.
        """
        self._stopping = Stopping()
        previous = {each: signal.signal(each, self._stopping) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._run(options)
        except Unrecoverable as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self._report(f"{self._count} forwarded; the next run continues after the last delivery")
            raise SystemExit(0 if self._stopping.is_quit else self._stopping.exit_code) from None
        except BrokenPipeError:  # The reader of the output has exited, as `| head` does.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)

    def _run(self, options: dict[str, Any]) -> None:
        if not options["allow_public"]:
            require_private(options["to"])
        filters = _filters(options)
        source = _source(options, filters)
        to, allow_public = options["to"], options["allow_public"]
        self._sender = WebhookClient(to, timeout_seconds=ANSWER_TIMEOUT_SECONDS, allow_public=allow_public)
        self._repeater = WebhookClient(to, timeout_seconds=REPEAT_TIMEOUT_SECONDS, allow_public=allow_public)
        default = default_cursor_path(settings.DATA_DIR, options["site"] or "", options["to"], filters)
        cursor_file = CursorFile(options["state"] or default)
        with cursor_file.locked():
            after = options["since"] or cursor_file.cursor or NOW
            self._report(f"listening to {options['site'] or 'this installation'}, posting to {options['to']}")
            actions = {"r": self._repeat, "o": self._open, "d": self._show, "q": self._stopping.quit}
            with key_actions(actions):
                while True:
                    after = self._forward_batch(source, after, cursor_file)

    def _forward_batch(self, source: Source, after: str, cursor_file: CursorFile) -> str:
        """Forward the deliveries after a cursor, and return the next cursor."""
        batch = retrying(partial(source.poll, after), self._report)
        for delivery in batch.deliveries:
            retrying(partial(self._forward, delivery, cursor_file, count(1)), self._report)
        cursor_file.save(batch.cursor)
        time.sleep(batch.pause_seconds)
        return batch.cursor

    def _forward(self, delivery: SourceDelivery, cursor_file: CursorFile, broken_off: Iterator[int]) -> None:
        with self._stopping.held():
            answer = self._sender.send(_message(delivery))
            is_broken_off = answer.failure is Failure.BROKEN_OFF
            if answer.failure is Failure.UNREACHABLE or (is_broken_off and next(broken_off) < MAX_BROKEN_OFF):
                raise Outage(answer.reason)
            cursor_file.save(delivery.cursor)
            self._last, self._count = delivery, self._count + 1
            self._line(delivery, answer)
            if is_broken_off:
                self._report(f"delivery {delivery.id} was broken off {MAX_BROKEN_OFF} times and is not sent again")

    def _line(self, delivery: SourceDelivery, answer: Answer) -> None:
        event, status = delivery.event, str(delivery.event.get("status") or "-")
        kind = event.get("event_type") or delivery.headers.get(EVENT_TYPE_HEADER, "-")
        subject = " / ".join(filter(None, [event.get("workflow"), event.get("job")])) or "-"
        answered = FAILURES[answer.failure] if answer.failure else str(answer.http_status)
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

    def _report(self, message: str) -> None:
        self.stderr.write(message, style_func=str)
        self.stderr.flush()

    def _repeat(self) -> None:
        if self._last:
            answer = self._repeater.send(_message(self._last))
            self._line(self._last, answer)
            if answer.failure:
                self._report(answer.reason)

    def _open(self) -> None:
        url = str((self._last.event.get("url") if self._last else "") or "")
        if url.startswith(("https://", "http://")):
            webbrowser.open(url)

    def _show(self) -> None:
        if self._last:
            headers = "".join(f"{name}: {printable(value)}\n" for name, value in self._last.headers.items())
            self._report(f"delivery {self._last.id}\n{headers}\n{_readable(self._last.body)}")


def _since(text: str) -> str:
    return text if text in (NOW, START) else time_or_age(text).isoformat()


def _message(delivery: SourceDelivery) -> Message:
    return resending.message(delivery.id, delivery.body, delivery.headers)


def _filters(options: dict[str, Any]) -> dict[str, str]:
    return {"outcome": ACCEPTED} | {name: options[name] for name in FILTERS if options[name]}


def _source(options: dict[str, Any], filters: dict[str, str]) -> Source:
    if not options["site"]:
        require_known_words(filters)
        return LocalLog(filters)
    token = options["token"] or os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise CommandError(f"--from needs an API token for that site: set {TOKEN_VARIABLE} or use --token")
    return Site(options["site"], token, filters)


def _readable(body: bytes) -> str:
    """Return a body as text that is safe for a terminal: indented ASCII if it is JSON."""
    try:
        return json.dumps(json.loads(body), indent=2)
    except (ValueError, RecursionError):
        return printable(body.decode(errors="replace"))
