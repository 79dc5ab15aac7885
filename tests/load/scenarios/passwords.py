"""Guess passwords over many connections, by HTTP Basic and by the login form: honest deliveries stay quick."""

import re
import threading
import time
from base64 import b64encode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from urllib.parse import urlencode

from tests.load.account import audit, require_statuses
from tests.load.engines import manage
from tests.load.senders import Load
from tests.load.wire import Broken, Connection, request_bytes

GUESSERS = 60  # Half of them by HTTP Basic, half by the login form.
HONEST_CONNECTIONS = 4
HONEST_MAX_SECONDS = 2.0
ADDRESSES = 20_000  # Of the guessers: a lockout would spare the server the hashing.
NAME, PASSWORD = "operator", "a-password-of-the-torture-only"
SHARE_OF_RIGHT_PASSWORDS = 0.2
BASIC_PATH, LOGIN_PATH = "/fetch-webhooks-logs?limit=1", "/admin/login/"


def run(stage):
    """Guess while honest senders go on."""
    seconds, report = stage.choose(short=5, full=60), stage.report
    with stage.site(TRUSTED_PROXIES="127.0.0.1") as site:
        environment = site.server.environment | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        manage(environment, "createsuperuser", "--noinput", f"--username={NAME}", "--email=")
        port = site.server.port
        honest = Load(port, connections=HONEST_CONNECTIONS, seed=stage.seed, pause_seconds=0.2, retry=False)
        stage.tell(f"{GUESSERS} connections guess passwords for {seconds} seconds")
        with _guessing(stage, port) as answers, honest as load:
            time.sleep(seconds)
        _report_guesses(report, answers)
        require_statuses(load.account, report, allowed={201})
        report.require("slowest honest answer, s", load.account.slowest_seconds(), at_most=HONEST_MAX_SECONDS)
        audit(load.account, site.database, report)
        report.require("tracebacks in the server's log", len(site.server.tracebacks()), equal=0)


@contextmanager
def _guessing(stage, port):
    """Guess over all connections until the block ends; give a Counter of the answers, complete after the block."""
    stop, answers, by_form = threading.Event(), Counter(), _by_form(port)
    with ThreadPoolExecutor(GUESSERS) as pool:
        guessers = [
            pool.submit(_guess, stage, port, number, by_form if number % 2 else _by_basic, stop)
            for number in range(GUESSERS)
        ]
        try:
            yield answers
        finally:
            stop.set()
    for guesser in guessers:
        answers.update(guesser.result())


def _guess(stage, port, number, make_request, stop):
    """Send guesses over one connection; return the answers, counted by way, status and whether they say to wait."""
    random, answers, way = stage.random(f"guesser {number}"), Counter(), "form" if number % 2 else "Basic"
    with Connection(port) as connection:
        while not stop.is_set():
            password = PASSWORD if random.random() < SHARE_OF_RIGHT_PASSWORDS else f"guess-{random.random()}"
            address = {"x-forwarded-for": str(IPv4Address("10.0.0.0") + random.randrange(ADDRESSES))}
            answer = None
            with suppress(Broken):
                answer = connection.exchange(make_request(password, address))
            answers[way, answer and answer.status, bool(answer and answer.headers["Retry-After"])] += 1
    return answers


def _by_basic(password, headers):
    credentials = b64encode(f"{NAME}:{password}".encode()).decode()
    return request_bytes("GET", BASIC_PATH, headers | {"authorization": f"Basic {credentials}"})


def _by_form(port):
    """Return what makes requests of the login form, after reading its page."""
    with Connection(port) as connection:
        page = connection.get(LOGIN_PATH)
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode())
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    own = {"cookie": cookie, "content-type": "application/x-www-form-urlencoded"}

    def make_request(password, headers):
        fields = {"csrfmiddlewaretoken": token, "username": NAME, "password": password, "next": "/admin/"}
        body = urlencode(fields).encode()
        return request_bytes("POST", LOGIN_PATH, headers | own | {"content-length": str(len(body))}, body)

    return make_request


def _report_guesses(report, answers):
    report.note("guesses", answers.total())
    for (way, status, says_when), count in sorted(answers.items(), key=str):
        report.note(f"guesses by {way}: {status or 'no answer'}{' with Retry-After' if says_when else ''}", count)
    failed = sum(count for (_, status, _), count in answers.items() if status is None or status >= 500)
    report.require("guesses without an answer, or answered 5xx", failed, equal=0)
    for way in ("Basic", "form"):
        # Otherwise the flood would have proved nothing about the limit.
        report.require(f"guesses by {way}: 429 with Retry-After, at least", answers[way, 429, True], at_least=1)
