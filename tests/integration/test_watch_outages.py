"""The watch outlives errors of its database, and does not write a traceback about an outage."""

import logging
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError

from logs.models import WatchTask
from logs.standings import following
from logs.standings.following import Follower
from logs.watch.leases import Lease
from logs.watch.loop import Job
from logs.watch.tasks import Task
from tests.integration.rollup_history import log_run

pytestmark = pytest.mark.django_db(transaction=True)  # The watch closes connections that it cannot trust.


def job_that_raises(*errors):
    """Return a job of which each run but the last raises an error, and the list of the runs that did not."""
    left, done = list(errors), []

    def run(lease):
        if left:
            raise left.pop(0)
        done.append(lease)
        yield

    return Job(Task(name="follow", run=run, interval=timedelta(0))), done


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OperationalError("server at db.internal closed the connection"), "OperationalError"),
        (InterfaceError("the connection to db.internal is closed"), "InterfaceError"),
        (ProgrammingError("no such table at db.internal"), "ProgrammingError"),
        (ValueError("a defect"), "ValueError: a defect"),
    ],
)
def test_an_error_ends_one_run_and_is_shown_without_the_databases_words(caplog, error, shown):
    job, done = job_that_raises(error)
    assert job.advance() is False
    job.advance()
    assert WatchTask.objects.get().last_error == shown
    assert len(done) == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(error) in caplog.text
    assert ("Traceback" in caplog.text) is not isinstance(error, OperationalError | InterfaceError)


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("the connection is closed")])
def test_a_lost_connection_is_not_taken_for_a_branch_that_cannot_be_judged(monkeypatch, error):
    def judge_branch(*args, **options):
        raise error

    log_run("new", pipeline_number=1)
    monkeypatch.setattr(following, "judge_branch", judge_branch)
    with pytest.raises(type(error)):
        list(Follower(list).check(Lease("follow")))


def test_a_lost_connection_does_not_keep_the_watch_from_ending(monkeypatch, caplog):
    job, _ = job_that_raises()
    job.advance()

    def release():
        raise InterfaceError("the connection is closed")

    monkeypatch.setattr(job.lease, "release", release)
    job.release()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
