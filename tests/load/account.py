"""What the senders know for certain, and whether the log agrees with it."""

import hashlib
import threading
import time
from collections import Counter
from dataclasses import dataclass

from tests.load.engines import DELIVERIES, EVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request with its whole answer, or with none."""

    started: float  # By time.monotonic().
    ended: float
    status: int | None  # None: no whole answer came.
    retry_after: str | None = None

    @property
    def seconds(self):
        """How long it took."""
        return self.ended - self.started


class Account:
    """Every event that was sent, every answer that was read. Threads share it."""

    def __init__(self):
        self._lock = threading.Lock()
        self.sent = {}  # Event id → the digest of its bytes.
        self.acknowledged = set()  # Event ids whose 2xx answer was read to its end.
        self.attempts = []

    def send(self, event, connection):
        """Send an event once; return the answer's status, or None where no whole answer came."""
        with self._lock:
            self.sent[event.event_id] = digest(event.body)
        started = time.monotonic()
        answer = event.post_over(connection)
        attempt = Attempt(
            started=started,
            ended=time.monotonic(),
            status=answer and answer.status,
            retry_after=answer and answer.headers.get("Retry-After"),
        )
        with self._lock:
            self.attempts.append(attempt)
            if answer and 200 <= answer.status < 300:
                self.acknowledged.add(event.event_id)
        return attempt.status

    def statuses(self):
        """Count the answers by status."""
        return Counter(attempt.status for attempt in self.attempts)

    def slowest_seconds(self, *statuses):
        """Return the longest time an answer took, of all or of those with one of the statuses."""
        chosen = (attempt.seconds for attempt in self.attempts if attempt.status in (statuses or {attempt.status}))
        return max(chosen, default=0.0)

    def first_logged_after(self, moment):
        """Return the seconds from a moment until the first 201 to what was sent after it; None before there is one."""
        later = [a.ended for a in list(self.attempts) if a.started >= moment and a.status == 201]
        return min(later) - moment if later else None


def digest(body):
    """Return what stands for a body in the account, so that bodies need not be kept."""
    return hashlib.sha256(body).digest()


def audit(account, database, report):
    """Compare the account with the log: nothing acknowledged may be missing, nothing may stand there twice."""
    logged = Counter(event_id for (event_id,) in database.query(f"SELECT event_id FROM {EVENTS}"))
    kept = {digest(bytes(body)) for (body,) in database.query(f"SELECT body FROM {DELIVERIES}")}
    found = account.sent.keys() & logged.keys()
    statuses = account.statuses()
    report.note("events sent", len(account.sent))
    report.note("requests sent", len(account.attempts))
    report.note("answered 201, logged", statuses[201])
    report.note("answered 200: logged by an earlier request, whose answer was lost", statuses[200])
    report.note("acknowledged events", len(account.acknowledged))
    report.note("found in the log", len(found))
    report.require("lost: acknowledged, but not in the log", len(account.acknowledged - found), equal=0)
    report.require("doubled: more than once in the log", sum(count > 1 for count in logged.values()), equal=0)
    without_bytes = sum(account.sent[event_id] not in kept for event_id in found)
    report.require("half: in the log, but its bytes are in no delivery", without_bytes, equal=0)
    report.require("strange: in the log, but never sent", len(logged.keys() - account.sent.keys()), equal=0)


def require_statuses(account, report, *, allowed):
    """Require that no other status was answered than the allowed ones; None stands for a broken connection."""
    others = {status: count for status, count in account.statuses().items() if status not in allowed}
    words = ", ".join("no answer" if status is None else str(status) for status in sorted(allowed, key=str))
    report.require(f"answers other than {words}", sum(others.values()), equal=0)
    if others:
        report.remark(f"other answers: {others}")
