"""`manage.py watch` ends at SIGTERM and Ctrl-C."""

import signal

import pytest
from django.core.management import call_command

from logs.management.commands import watch

NUMBERS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def bounded():
    """Fail after some seconds instead of waiting forever, and put the handlers back."""

    def fail(*_):
        raise TimeoutError

    before = {number: signal.getsignal(number) for number in (*NUMBERS, signal.SIGALRM)}
    signal.signal(signal.SIGALRM, fail)
    signal.alarm(10)
    yield
    signal.alarm(0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_stops_the_loop_even_where_it_interrupts_the_loops_own_pause(monkeypatch, number):
    def run(*, beat, stopping):
        beat()
        # As `wait` does at its beginning and at its end.
        with stopping._cond:  # noqa: SLF001 - it has no public name
            signal.raise_signal(number)
        assert stopping.wait(5)

    monkeypatch.setattr(watch, "run", run)
    call_command("watch")
