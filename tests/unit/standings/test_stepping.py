"""The state of a branch depends on its runs, not on the order in which they arrive."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES, Tone
from logs.standings.stepping import Change, Kind, Run, State, judge, step

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
STATUSES = ["success", "failed", "error", "unauthorized", "canceled", "not_run", "on_hold", "", "nonsense"]


def make_run(pk, status="success", **overrides):
    values = {"pipeline_number": pk, "stopped_at": NOON + timedelta(minutes=pk), "is_proven": True} | overrides
    return Run(pk=pk, status=status, **values)


def facts(state):
    """Return what a standing shows of a state."""
    return state and (state.tone, state.failures, state.first_bad, state.last_good, state.last)


def arrive(runs, *, together=1):
    """Judge runs as they arrive, some at a time; return the last state and all changes."""
    state, changes, arrived = None, [], []
    for start in range(0, len(runs), together):
        arrived += runs[start : start + together]
        state, found = judge(state, arrived, is_whole=True)
        changes += found
    return state, changes


runs_of_a_branch = st.lists(
    st.builds(
        make_run,
        pk=st.integers(1, 1_000),
        status=st.sampled_from(STATUSES),
        pipeline_number=st.integers(0, 6),
        stopped_at=st.none() | st.datetimes(timezones=st.just(UTC)),
        is_proven=st.booleans(),
    ),
    unique_by=lambda run: run.pk,
    max_size=15,
)


@given(runs_of_a_branch, st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_and_repetition_of_runs_gives_the_same_state(runs, random, together):
    expected = facts(arrive(sorted(runs, key=lambda run: run.key))[0])
    shuffled = runs + random.choices(runs, k=5) if runs else []
    random.shuffle(shuffled)
    assert facts(arrive(shuffled, together=together)[0]) == expected


versions_of_few_runs = st.lists(
    st.builds(
        make_run,
        pk=st.integers(1, 4),
        status=st.sampled_from(STATUSES),
        pipeline_number=st.integers(0, 3),
        stopped_at=st.datetimes(timezones=st.just(UTC)),
    ),
    max_size=12,
)


@given(versions_of_few_runs)
def test_new_versions_of_runs_give_the_state_of_the_newest_versions(versions):
    newest, state, kinds = {}, None, []
    for version in versions:
        newest[version.pk] = version
        state, changes = judge(state, newest.values(), is_whole=True)
        kinds += [change.kind for change in changes]
    assert facts(state) == facts(judge(None, newest.values(), is_whole=True)[0])
    assert kinds == [Kind.BROKE, Kind.FIXED] * (len(kinds) // 2) + [Kind.BROKE] * (len(kinds) % 2)
    assert (kinds[-1:] == [Kind.BROKE]) == (state is not None and state.tone is Tone.BAD)


@given(runs_of_a_branch)
def test_judging_the_same_runs_again_changes_nothing(runs):
    state, _ = arrive(runs)
    assert judge(state, runs, is_whole=True) == (state, [])
    assert judge(state, runs, is_whole=False) == (state, [])


@given(runs_of_a_branch)
def test_changes_alternate_and_end_with_the_state(runs):
    state, changes = arrive(sorted(runs, key=lambda run: run.key))
    kinds = [change.kind for change in changes]
    assert kinds == [Kind.BROKE, Kind.FIXED] * (len(kinds) // 2) + [Kind.BROKE] * (len(kinds) % 2)
    assert (kinds[-1:] == [Kind.BROKE]) == (state is not None and state.tone is Tone.BAD)


@given(runs_of_a_branch, st.sampled_from(STATUSES))
def test_a_run_of_an_older_pipeline_or_without_a_verdict_changes_nothing(runs, status):
    state, _ = arrive(runs)
    if state is None:
        return
    older = make_run(0, status, pipeline_number=state.last.pipeline_number - 1, is_proven=state.last.is_proven)
    undecided = make_run(2_000, "canceled", pipeline_number=1_000)
    for run in (older, undecided):
        assert step(state, run) == (state, None)
        again, changes = judge(state, [*runs, run], is_whole=True)
        assert changes == []
        assert (again.tone, again.last) == (state.tone, state.last)


def test_parallel_pipelines_are_judged_by_their_numbers_whatever_arrives_last():
    runs = [make_run(1), make_run(2, "failed"), make_run(3), make_run(4, "failed")]
    for order in permutations(runs):
        state, _ = arrive(order)
        assert facts(state) == (Tone.BAD, 1, runs[3], runs[2], runs[3])


def test_a_rerun_of_the_newest_pipeline_decides():
    failed, rerun = make_run(7, "failed"), make_run(8, pipeline_number=7)
    state, changes = arrive([failed, rerun])
    assert state.tone is Tone.GOOD
    assert changes == [
        Change(kind=Kind.BROKE, run=failed, failures=1, first_bad=failed),
        Change(kind=Kind.FIXED, run=rerun, failures=1, first_bad=failed),
    ]


def test_a_rerun_of_an_older_pipeline_does_not_decide():
    state, changes = arrive([make_run(7, "failed"), make_run(8, "failed"), make_run(9, pipeline_number=7)])
    assert (state.tone, state.failures, [change.kind for change in changes]) == (Tone.BAD, 1, [Kind.BROKE])


def test_a_first_run_that_succeeds_is_no_change():
    assert arrive([make_run(1)])[1] == []


@pytest.mark.parametrize("status", BAD_STATUSES)
def test_every_bad_status_breaks_a_branch(status):
    assert [change.kind for change in arrive([make_run(1), make_run(2, status)])[1]] == [Kind.BROKE]


@pytest.mark.parametrize("status", GOOD_STATUSES)
def test_every_good_status_fixes_a_branch(status):
    assert [change.kind for change in arrive([make_run(1, "failed"), make_run(2, status)])[1]] == [
        Kind.BROKE,
        Kind.FIXED,
    ]


def test_a_new_status_of_the_deciding_run_is_a_change():
    state, _ = arrive([make_run(1), make_run(2)])
    state, changes = judge(state, [make_run(1), make_run(2, "failed")], is_whole=True)
    assert (state.failures, [change.kind for change in changes]) == (1, [Kind.BROKE])
    state, changes = judge(state, [make_run(1), make_run(2, "canceled")], is_whole=True)
    assert (state.tone, state.last.pk, [change.kind for change in changes]) == (Tone.GOOD, 1, [Kind.FIXED])


def test_a_branch_whose_only_failed_run_is_canceled_later_is_fixed_and_has_no_state():
    state, _ = arrive([make_run(1, "failed")])
    canceled = make_run(1, "canceled")
    fixed = Change(kind=Kind.FIXED, run=canceled, failures=1, first_bad=make_run(1))
    assert judge(state, [canceled], is_whole=True) == (None, [fixed])


def later(run, status):
    """Return a newer version of a run, which stopped later."""
    return make_run(run.pk, status, pipeline_number=run.pipeline_number, stopped_at=run.stopped_at + timedelta(hours=1))


@pytest.mark.parametrize(
    ("statuses", "new_status", "kinds"),
    [
        (["success", "failed"], "failed", []),
        (["success", "failed"], "success", [Kind.FIXED]),
        (["success", "failed"], "canceled", [Kind.FIXED]),
        (["failed"], "success", [Kind.FIXED]),
        (["success", "failed", "success"], "failed", [Kind.BROKE]),
    ],
)
def test_a_newer_version_of_the_deciding_run_that_stopped_later_is_one_change_by_that_run(statuses, new_status, kinds):
    runs = [make_run(number, status) for number, status in enumerate(statuses, 1)]
    state, _ = arrive(runs)
    version = later(runs[-1], new_status)
    _, changes = judge(state, [*runs[:-1], version], is_whole=True)
    assert [(change.kind, change.run.pk) for change in changes] == [(kind, version.pk) for kind in kinds]


def test_an_unsigned_run_does_not_outrank_a_signed_one():
    state, changes = arrive([make_run(1, "failed"), make_run(2, pipeline_number=10**18, is_proven=False)])
    assert (state.tone, [change.kind for change in changes]) == (Tone.BAD, [Kind.BROKE])


def test_a_signed_run_outranks_an_unsigned_one():
    state, _ = arrive([make_run(1, pipeline_number=10**18, is_proven=False), make_run(2, "failed")])
    assert state.tone is Tone.BAD


@given(runs_of_a_branch, st.randoms(use_true_random=False))
def test_once_a_proven_run_decides_only_proven_failures_count(runs, random):
    random.shuffle(runs)
    state, _ = arrive(runs)
    if state and state.last.is_proven:
        proven, _ = arrive([run for run in runs if run.is_proven])
        assert (state.tone, state.failures, state.first_bad) == (proven.tone, proven.failures, proven.first_bad)


def test_the_failures_that_were_counted_do_not_count_once_the_last_run_turns_out_to_be_proven():
    runs = [make_run(pk, "failed", is_proven=False) for pk in range(1, 6)]
    state, _ = arrive(runs)
    assert state.failures == 5
    state, changes = judge(state, [make_run(5, "failed")], is_whole=False)
    assert (state.failures, changes) == (1, [])


def failing_for_long(count, *, shown):
    """Return the state of a branch that has failed so often, and the runs that are still shown."""
    runs = [make_run(0), *(make_run(pk, "failed") for pk in range(1, count + 1))]
    state, _ = arrive(runs, together=len(runs))
    return state, runs[-shown:]


def test_a_window_full_of_failures_keeps_the_first_failure_and_counts_on():
    state, shown = failing_for_long(40, shown=30)
    new = make_run(41, "failed")
    state, changes = judge(state, [*shown[1:], state.last_good, state.first_bad, new], is_whole=False)
    assert (state.first_bad.pk, state.last_good.pk, state.failures, changes) == (1, 0, 41, [])


def test_a_late_success_in_a_full_window_moves_the_first_failure():
    state, shown = failing_for_long(40, shown=30)
    late = make_run(100, pipeline_number=20, stopped_at=NOON + timedelta(hours=1))
    state, changes = judge(state, [*shown[1:], state.last_good, state.first_bad, late], is_whole=False)
    assert (state.first_bad.pk, state.last_good, state.failures, changes) == (21, late, 20, [])


def test_runs_that_were_deleted_still_count():
    state, shown = failing_for_long(40, shown=30)
    forgotten = State(last=state.last, last_good=None, first_bad=None, failures=state.failures)
    again, changes = judge(forgotten, shown, is_whole=False)
    assert (again.first_bad, again.failures, changes) == (None, 40, [])
    good, changes = judge(forgotten, [*shown, make_run(41)], is_whole=False)
    assert (good.tone, [(change.kind, change.failures) for change in changes]) == (Tone.GOOD, [(Kind.FIXED, 40)])


def test_a_good_branch_whose_deciding_run_left_the_window_stays_good():
    state = State(last=make_run(50), last_good=make_run(50))
    reruns = [make_run(100 + pk, "failed", pipeline_number=3) for pk in range(30)]
    assert judge(state, [*reruns, state.last], is_whole=False) == (state, [])
