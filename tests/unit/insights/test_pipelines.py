"""The verdict on a pipeline, and its events as workflows with their jobs."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from logs.insights.pipelines import State, group_by_workflow, judge
from logs.models import WorkflowEvent

START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
STATUSES = {"ok": "success", "bad": "failed", "cut": "canceled", "hold": "on_hold", "odd": "never-heard-of"}


def at(minute):
    return None if minute is None else START + timedelta(minutes=minute)


def make(words, *, minute=None, **columns):
    """Return an event written as ``workflow status minute`` or ``workflow/job status minute``.

    A workflow that runs again has a number: ``build#2``.
    """
    name, status, *rest = words.split()
    run, _, job = name.partition("/")
    workflow = run.partition("#")[0].strip("-")
    stopped = int(rest[0]) if rest else minute
    options = {
        "event_id": words,
        "event_type": "job-completed" if job else "workflow-completed",
        "workflow": workflow,
        "workflow_id": "" if run == "-" else run,
        "job": job,
        "status": STATUSES[status],
        "stopped_at": at(stopped),
        "received_at": START + timedelta(days=1),
        "verified": True,
    }
    return WorkflowEvent(**options | columns)


# What arrived, the verdict, how often a workflow ran again, and the failed jobs of the worst run that decides.
# fmt: off
VERDICTS = {
    "a success":                        ("build ok 5",                                     "succeeded",  0, []),
    "a failure":                        ("build/lint bad 3; build/unit ok 4; build bad 5", "failed",     0, ["lint"]),
    "a failure without a failed job":   ("build/lint ok 3; build bad 5",                   "failed",     0, []),
    "rerun from failed":                ("build/unit bad 4; build bad 5; build#2 ok 9",     "succeeded",  1, []),
    "rerun, failed again":              ("build bad 5; build#2/lint bad 8; build#2 bad 9", "failed",     1, ["lint"]),
    "rerun of a success fails":         ("build ok 5; build#2 bad 9",                      "failed",     1, []),
    "rerun twice":                      ("build bad 5; build#2 bad 9; build#3 ok 12",      "succeeded",  2, []),
    "rerun goes on":                    ("build bad 5; build#2/unit ok 8",                 "unfinished", 1, []),
    "rerun goes on and fails":          ("build ok 5; build#2/unit bad 8",                 "failing",    1, ["unit"]),
    "the first run's end is lost":      ("build/unit bad 4; build#2 ok 9",                 "succeeded",  1, []),
    "canceled, then rerun":             ("build cut 5; build#2 ok 9",                      "succeeded",  1, []),
    "rerun, then canceled":             ("build bad 5; build#2 cut 9",                     "canceled",   1, []),
    "one workflow failed, one did not": ("build ok 5; deploy/ship bad 6; deploy bad 7",    "failed",     0, ["ship"]),
    "rerun of one of two workflows":    ("build ok 5; deploy bad 7; deploy#2 ok 9",        "succeeded",  1, []),
    "a rerun mends its own workflow":   ("build bad 5; deploy bad 7; deploy#2 ok 9",       "failed",     1, []),
    "one workflow goes on":             ("build ok 5; deploy/ship ok 6",                   "unfinished", 0, []),
    "a failure outweighs what goes on": ("build bad 5; deploy/ship ok 6",                  "failed",     0, []),
    "canceled":                         ("build ok 5; deploy cut 6",                       "canceled",   0, []),
    "on hold":                          ("build ok 5; deploy hold 6",                      "on_hold",    0, []),
    "an unknown status":                ("build ok 5; deploy odd 6",                       "unknown",    0, []),
    "only jobs so far":                 ("build/lint ok 3; build/unit ok 4",               "unfinished", 0, []),
    "only jobs, and one failed":        ("build/lint bad 3; build/unit ok 4",              "failing",    0, ["lint"]),
    "jobs without a workflow":          ("-/lint ok 3; -/unit ok 4",                       "succeeded",  0, []),
    "failed jobs without a workflow":   ("-/lint ok 3; -/unit bad 4",                      "failed",     0, ["unit"]),
    "the same stop, failure last":      ("build ok 5; build#2 bad 5",                      "failed",     1, []),
    "the same stop, failure first":     ("build bad 5; build#2 ok 5",                      "failed",     1, []),
}
# fmt: on


@pytest.mark.parametrize(("arrived", "state", "reruns", "failed_jobs"), VERDICTS.values(), ids=VERDICTS)
def test_the_verdict_is_the_same_in_any_order_of_arrival(arrived, state, reruns, failed_jobs):
    chance = random.Random(1)
    for _ in range(10):
        events = [make(words) for words in arrived.split("; ")]
        chance.shuffle(events)
        for seconds, event in enumerate(events):
            event.pk, event.received_at = seconds, START + timedelta(days=1, seconds=seconds)
        pipeline = judge(events)
        assert (pipeline.state, pipeline.reruns) == (state, reruns)
        assert pipeline.deciding[0].failed_jobs == failed_jobs


def test_the_worst_run_decides_and_only_notable_ones_are_named():
    pipeline = judge([make("lint ok 1"), make("deploy/ship ok 2"), make("build cut 3"), make("test bad 4")])
    assert [run.name for run in pipeline.deciding] == ["test", "deploy", "build", "lint"]
    assert [run.name for run in pipeline.notable] == ["test", "deploy", "build"]
    assert [run.name for run in judge([make("b ok 1"), make("a ok 2")]).notable] == ["a", "b"]


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_tone(state):
    assert (state.tone == "bad") == (state in ("failed", "failing"))
    assert (state.tone == "good") == (state == "succeeded")


@pytest.mark.parametrize(
    ("unsigned", "state"), [("build#2 ok 9", "failed"), ("other bad 9", "failed"), ("build#2/unit ok 9", "failed")]
)
def test_an_unsigned_event_changes_nothing_about_signed_ones(unsigned, state):
    events = [make("build bad 5", branch="main"), make(unsigned, verified=False, branch="evil")]
    pipeline = judge(events)
    assert (pipeline.state, pipeline.reruns, len(pipeline.deciding)) == (state, 0, 1)
    assert (pipeline.about.branch, pipeline.is_proven) == ("main", True)
    assert len(pipeline.runs) == 2  # It is shown.


def test_unsigned_events_alone_decide_and_the_api_proves():
    assert judge([make("build bad 5", verified=False)]).state == "failed"
    assert not judge([make("build bad 5", verified=False)]).is_proven
    read = make("build ok 9", verified=False, origin="api")
    assert judge([make("other bad 5", verified=False), read]).state == "succeeded"


def test_an_event_of_another_type_ends_no_workflow():
    assert judge([make("build ok 5", event_type="workflow-started")]).state == "unfinished"


def test_without_a_stop_the_time_of_the_event_counts():
    first = make("build bad", happened_at=at(5))
    again = make("build#2 ok", received_at=at(9))
    assert judge([again, first]).state == "succeeded"


def test_a_workflow_that_was_sent_twice_is_no_rerun():
    twice = [make("build cut 5"), make("build bad 6", event_id="another")]
    assert (judge(twice).state, judge(twice).reruns) == ("failed", 0)


def test_jobs_stand_below_their_workflow_in_the_order_of_time():
    end, test, lint = make("build ok 5"), make("build/test ok 4"), make("build/lint ok 3")
    (run,) = group_by_workflow([end, test, lint])
    assert (run.ends, run.jobs, run.name, run.is_rerun) == ([end], [lint, test], "build", False)


def test_a_workflow_of_the_same_name_again_is_a_rerun():
    events = [make("build#2 ok 9"), make("build ok 5"), make("deploy ok 6"), make("build#2/test ok 8")]
    assert [(run.name, run.is_rerun) for run in group_by_workflow(events)] == [
        ("build", False),
        ("deploy", False),
        ("build", True),
    ]


def test_jobs_without_a_workflow_are_no_reruns_of_each_other():
    events = [make("-/a ok 1"), make("x/b ok 2", workflow=""), make("y/c ok 3", workflow="")]
    assert [(run.name, run.is_rerun) for run in group_by_workflow(events)] == [("", False)] * 3
    assert judge(events).reruns == 0
