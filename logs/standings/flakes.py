"""Find flakes: jobs and workflows that both failed and succeeded on one commit.

Each check compares the runs of the commits that have new events with the stored flakes, so a second check of the same
events changes nothing.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Any

from django.db.models import CharField, Min
from django.db.models.functions import Cast
from django.utils import timezone

from logs.circleci.vocabulary import EventType, Tone, tone_of
from logs.models import Flake, Source, WorkflowEvent
from logs.standings.following import Lease
from logs.standings.judging import is_proven
from logs.standings.overlapping import Version, Written
from logs.transactions import delete_in_steps, durable_transaction

STORED_FOR = timedelta(days=14)  # After the last run. The first check of a log reads the events written since then.
# How many events of a commit a check reads: scheduled pipelines can run on one commit for months.
MOST_READ = 5_000
BATCH_SIZE = 20  # Commits per transaction.
DELETED_TOGETHER = 1_000
_HASH = re.compile("[0-9a-f]{7,64}")  # With a longer revision, the key might not fit into PostgreSQL's index.
KEY = ("revision", "project_slug", "workflow", "job")
COMPARED = ("project", "branch", "is_proven", "failures", "failed_id", "succeeded_id", "first_failed_at", "seen_at")
COLUMNS = ("pk", *KEY, "event_type", "status", "project", "branch", "verified", "origin", "received_at")
TYPES = (EventType.WORKFLOW_COMPLETED, EventType.JOB_COMPLETED)  # Of events without and with a job.

Key = tuple[str, str, str, str]  # The values of KEY.
Row = Any  # An event's COLUMNS, by name.

ARRIVAL = attrgetter("received_at", "pk")


class FlakeFinder:
    """Checks the log for flakes repeatedly."""

    def __init__(self) -> None:
        self._written = Written(_written_between)

    def check(self, lease: Lease) -> Iterator[None]:
        """Judge the commits of all events written since the last check; yield after each batch."""
        started = timezone.now()
        since = datetime.fromisoformat(lease.cursor["until"]) if lease.cursor else _first_written(started)
        for versions, until in self._written.since(since, started):
            yield from _judge_commits(versions, lease)
            lease.cursor = {"until": until.isoformat()}


def judge(runs: Sequence[Row], known: Flake | None, *, gone: Collection[int], is_whole: bool) -> Flake | None:
    """Return the flake that the runs of a job on a commit make; None if they have not both failed and succeeded.

    Once there are proven runs, others do not count. Runs that retention has deleted still count if `known` refers to
    them.

    Args:
        runs: the events of the job on the commit, each in its newest version.
        known: the stored flake; None if there is none.
        gone: the events that `known` refers to and that have been deleted.
        is_whole: whether no other runs of the job on the commit are stored.
    """
    proven = bool(known and known.is_proven) or any(map(is_proven, runs))
    if known and known.is_proven != proven:
        known = None
    counted = sorted((run for run in runs if is_proven(run) is proven), key=ARRIVAL)
    good, bad = ([run for run in counted if tone_of(run.status) is tone] for tone in (Tone.GOOD, Tone.BAD))
    failed = _last(bad, known.failed_id if known else None, gone)
    succeeded = _last(good, known.succeeded_id if known else None, gone)
    if failed is None or succeeded is None:
        return None
    if not (good or bad):
        return known
    newest = max(good[-1:] + bad[-1:], key=ARRIVAL)
    # Only the stored flake has counted the runs that are missing here.
    before = [known] if known and (not is_whole or {known.failed_id, known.succeeded_id} & set(gone)) else []
    return Flake(
        **{name: getattr(newest, name) for name in (*KEY, "project", "branch")},
        is_proven=proven,
        failures=max([len(bad), *(each.failures for each in before)]),
        failed_id=failed,
        succeeded_id=succeeded,
        first_failed_at=min([run.received_at for run in bad[:1]] + [each.first_failed_at for each in before]),
        seen_at=max([newest.received_at, *(each.seen_at for each in before)]),
        noted_at=timezone.now(),
    )


def _last(runs: Sequence[Row], known: int | None, gone: Collection[int]) -> int | None:
    return runs[-1].pk if runs else known if known in gone else None


def drop_old_flakes() -> Iterator[int]:
    """Remove the flakes without a run for STORED_FOR; yield per batch."""
    old = Flake.objects.filter(seen_at__lt=timezone.now() - STORED_FOR).order_by("seen_at")
    yield from delete_in_steps(old, size=DELETED_TOGETHER)


def _first_written(now: datetime) -> datetime:
    """Return when the first of the events was written that the first check reads."""
    recent = WorkflowEvent.objects.filter(changed_at__gte=now - STORED_FOR)
    return min(recent.aggregate(first=Min("changed_at"))["first"] or now, now)


def _written_between(since: datetime, until: datetime | None) -> dict[int, Version]:
    """Return the events of commits written in a slice of time, by primary key; the times of their changes stay text."""
    written = WorkflowEvent.objects.filter(changed_at__gte=since, event_type__in=TYPES)
    if until:
        written = written.filter(changed_at__lt=until)
    versions = written.exclude(revision="").order_by().values_list("pk", Cast("changed_at", CharField()), "revision")
    return {version[0]: version for version in versions}


def _judge_commits(versions: Sequence[Version], lease: Lease) -> Iterator[None]:
    """Judge the commits of some events in batches, each with one transaction; yield after each, and if there is none.

    Each commit is read on its own: a commit with very many events must not displace the others.
    """
    written: defaultdict[str, set[int]] = defaultdict(set)
    for pk, _, revision in versions:
        if _HASH.fullmatch(revision):
            written[revision].add(pk)
    remaining = iter(written.items())
    while batch := list(islice(remaining, BATCH_SIZE)):
        _write([pair for revision, keys in batch for pair in _judge_commit(revision, keys)], lease)
        yield
    yield


def _judge_commit(revision: str, written: set[int]) -> list[tuple[Flake | None, Flake | None]]:
    """Return the stored and the new flake of each job of a commit for which they differ."""
    known = {_key_of(flake): flake for flake in Flake.objects.filter(revision=revision)[:MOST_READ]}
    links = {pk for flake in known.values() for pk in (flake.failed_id, flake.succeeded_id) if pk is not None}
    rows = {row.pk: row for row in _rows(revision)[:MOST_READ]}
    is_whole = len(rows) < MOST_READ
    if not is_whole:
        rows |= {row.pk: row for row in _rows(revision).filter(pk__in=(written | links) - rows.keys())}
    runs: dict[Key, list[Row]] = {key: [] for key in known}
    for row in rows.values():
        if row.project_slug and row.event_type == TYPES[bool(row.job)]:
            runs.setdefault(_key_of(row), []).append(row)
    gone = links - rows.keys()
    flakes = {key: judge(of_job, known.get(key), gone=gone, is_whole=is_whole) for key, of_job in runs.items()}
    for key in _invented(flakes):
        flakes[key] = None
    return [(known.get(key), new) for key, new in flakes.items() if _compared(known.get(key)) != _compared(new)]


def _invented(flakes: Mapping[Key, Flake | None]) -> list[Key]:
    """Return the unproven flakes of projects with a signed source: any client can invent runs, and their commit."""
    unproven = {key: flake.project_slug for key, flake in flakes.items() if flake and not flake.is_proven}
    if not unproven:
        return []
    sources = Source.objects.filter(project_slug__in=set(unproven.values()))
    signed = set(sources.values_list("project_slug", flat=True))
    return [key for key, slug in unproven.items() if slug in signed]


def _rows(revision: str) -> Any:
    return WorkflowEvent.objects.filter(revision=revision).order_by().values_list(*COLUMNS, named=True)


def _key_of(row: Row) -> Key:
    return row.revision, row.project_slug, row.workflow, row.job


def _compared(flake: Flake | None) -> list[Any]:
    return [getattr(flake, name) for name in COMPARED] if flake else []


def _write(pairs: list[tuple[Flake | None, Flake | None]], lease: Lease) -> None:
    if not pairs:
        return
    with durable_transaction():
        lease.renew()  # First: if the lease is lost, another process may have judged later runs.
        Flake.objects.filter(pk__in=[old.pk for old, new in pairs if old and not new]).delete()
        Flake.objects.bulk_create(
            (new for _, new in pairs if new),
            update_conflicts=True,
            unique_fields=KEY,
            update_fields=COMPARED,  # Not `noted_at`, which stays.
        )
