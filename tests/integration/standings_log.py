"""Logs of runs whose branches break and are fixed, and the lease of a watch that follows them."""

import random
from datetime import UTC, datetime, timedelta

from logs.circleci import samples
from logs.exceptions import SignatureRefused
from logs.ingest.pipeline import Arrival, authenticate, keep_refused, record
from logs.models import Delivery, StateChange
from logs.standings.following import Follower

SECRET = "a-secret-of-the-tests"
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class FakeLease:
    """A lease that no other process wants."""

    def __init__(self, cursor=None):
        self.cursor = cursor

    def renew(self):
        pass


class Watch:
    """A follower with its lease."""

    def __init__(self, *, is_new=False):
        self.lease = FakeLease()
        self.reported = []
        self.follower = Follower(self._report)
        if not is_new:
            self.check()

    def _report(self, judgements):
        self.reported.extend(change for judgement in judgements for change in judgement.changes)

    def check(self):
        """Check the log once."""
        for _ in self.follower.check(self.lease):
            pass

    def restart(self):
        """Go on in another process."""
        self.follower = Follower(self._report)
        self.lease = FakeLease(self.lease.cursor)


def arrival_of(number, status, *, ended=timedelta(0), workflow_id=None, webhook_slug="", **options):
    """Return the arrival of a run of pipeline `number` that ended so long ago."""
    document = samples.workflow_completed(
        random=random.Random(f"{number} {status} {options}"),
        status=status,
        pipeline=number,
        happened_at=datetime.now(UTC) - ended,
        workflow_id=workflow_id,
        **options,
    )
    if number is None:
        del document["pipeline"]["number"]
    body = samples.encode(document)
    return Arrival(
        received_at=datetime.now(UTC),
        webhook_slug=webhook_slug,
        headers=samples.headers(body, document, SECRET),
        client_address=None,
        body=body,
    )


def log_run(number, status="success", **options):
    """Log a run of pipeline `number`, and return its event."""
    arrival = arrival_of(number, status, **options)
    return record(arrival, authenticate(arrival)).event_id


def refuse_run(number, status, **options):
    """Refuse a run as if its secret had been wrong; return the delivery."""
    keep_refused(arrival_of(number, status, **options), SignatureRefused("the secret was wrong"))
    return Delivery.objects.latest("pk")


def noted():
    """Return the changes as (kind, pipeline number, reason), oldest first."""
    return list(StateChange.objects.order_by("pk").values_list("kind", "pipeline_number", "quiet_reason"))
