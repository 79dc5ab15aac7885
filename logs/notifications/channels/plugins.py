"""Load the kinds of channels that other packages offer, and send through them.

A fault in such a package must neither stop the site nor delay other channels.
"""

import re
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import entry_points
from threading import Thread
from typing import Any

from logs.notifications.channels.base import INTERFACE, MAX_PAUSE, Dead, Later, Message, Outcome, Sent, Transport
from logs.notifications.guard import DEADLINE_SECONDS, Request, Response, Unreachable

GROUP = "webhooklog.channels"  # Of entry points; the name of each is the kind that it offers.
# Longer than a request may take (guard.py): a slow vendor must not count as a plug-in that hangs.
PATIENCE_SECONDS: float = DEADLINE_SECONDS + 1


class Unusable(Exception):
    """A plug-in cannot be used; the message gives the reason."""


def load_plugins(names: Iterable[str], built_in: Collection[str]) -> tuple[dict[str, Transport], list[str]]:
    """Return the plug-ins with these names by kind, and a sentence about each one that cannot be used.

    No other plug-in is imported.
    """
    plugins: dict[str, Transport] = {}
    problems = []
    for name in dict.fromkeys(names):
        try:
            plugins[name] = _load(name, built_in)
        except Unusable as error:
            reason = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the site must start without it
            reason = f"which cannot be loaded: {type(error).__name__}: {error}".rstrip(".")
        if name not in plugins:
            accepted = ", ".join(sorted(entry_points(group=GROUP).names - set(built_in))) or "none"
            problems.append(f"CHANNEL_PLUGINS names {name!r}, {reason}. Installed plug-ins: {accepted}.")
    return plugins, problems


def deliver_in_time(
    transport: Transport, message: Message, send: Callable[[Request], Response]
) -> tuple[Outcome, int | None]:
    """Send a message through a plug-in, as `Transport.deliver` does, and abandon it after PATIENCE_SECONDS.

    Its thread cannot be ended, but sends nothing any more.

    Raises:
        Exception: any that the plug-in raises, or TypeError if it returns no outcome.
    """
    answer: Future[tuple[Outcome, int | None]] = Future()

    def send_in_time(request: Request) -> Response:
        if answer.cancelled():  # The message may have been sent in another attempt meanwhile.
            raise Unreachable("the message was abandoned")
        return send(request)

    def run() -> None:
        with suppress(InvalidStateError):  # It was abandoned.
            try:
                answer.set_result(_checked(*transport.deliver(message, send_in_time)))
            except Exception as error:  # noqa: BLE001 - the sender raises it
                answer.set_exception(error)
            except BaseException as error:  # noqa: BLE001 - SystemExit would end the sender
                answer.set_exception(RuntimeError(type(error).__name__))

    # A daemon, which does not keep the process from ending.
    Thread(target=run, name=f"plugin-{transport.kind}", daemon=True).start()
    if not wait([answer], PATIENCE_SECONDS).done and answer.cancel():
        return Dead(reason=f"the plug-in did not answer within {DEADLINE_SECONDS} seconds", is_certain=False), None
    return answer.result()


def _load(name: str, built_in: Collection[str]) -> Transport:
    """Import a plug-in.

    Raises:
        Unusable: there is no such plug-in, or it does not have the interface.
        Exception: any that its code raises.
    """
    if name in built_in:
        raise Unusable("which is a built-in kind")
    offers = list(entry_points(group=GROUP, name=name))
    if not offers:
        raise Unusable("which no installed package offers")
    if len(offers) > 1:
        raise Unusable(f"which {len(offers)} installed packages offer")
    kind = offers[0].load()
    if not (isinstance(kind, type) and issubclass(kind, Transport)):
        raise Unusable("which is not a subclass of Transport")
    version = getattr(kind, "interface", None)
    if version != INTERFACE:
        raise Unusable(f"which has interface {version} instead of {INTERFACE}")
    transport = kind()
    _check(transport, name)
    return transport


def _check(transport: Transport, name: str) -> None:
    """Check what pages and the outbox read.

    Raises:
        Unusable: an attribute has a wrong value.
        Exception: an attribute is missing or has the wrong type.
    """
    if transport.kind != name:
        raise Unusable(f"which offers the kind {transport.kind!r} instead")
    if not (isinstance(transport.title, str) and isinstance(transport.lifetime, timedelta)):
        raise Unusable("whose title must be text, and whose lifetime a timedelta")
    for field in transport.fields:
        re.compile(field.pattern)


def _checked(outcome: Any, status: Any) -> tuple[Outcome, int | None]:
    """Return the answer of a plug-in; the channel pauses at most MAX_PAUSE.

    Raises:
        TypeError: it cannot be stored.
    """
    if not isinstance(outcome, Outcome) or not (status is None or status in range(1_000)):
        raise TypeError
    if not isinstance(outcome, Sent) and not (outcome.reason and isinstance(outcome.reason, str)):
        raise TypeError
    if isinstance(outcome, Later) and outcome.after is not None:
        outcome = replace(outcome, after=min(max(outcome.after, timedelta(0)), MAX_PAUSE))
    return outcome, status
