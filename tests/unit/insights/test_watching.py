"""What the state of the watch says about the standings."""

import pytest

from logs.insights.watching import FLAKY, FOLLOW, WatchState
from logs.watch.tasks import all_tasks


@pytest.mark.parametrize(
    ("is_running", "has_followed", "errors", "is_following"),
    [
        (True, True, {}, True),
        (True, True, {"rollup": "OperationalError"}, True),
        (True, True, {"follow": "OperationalError"}, False),
        (True, False, {}, False),
        (False, True, {}, False),
    ],
)
@pytest.mark.parametrize("task", ["follow", "flaky"])
def test_standings_and_flakes_are_current_only_if_a_running_watch_follows_the_log(
    is_running, has_followed, errors, is_following, task
):
    state = WatchState(
        is_running=is_running,
        last_started_at=None,
        seen_at=None,
        errors={task if name == "follow" else name: error for name, error in errors.items()},
        has_followed=has_followed if task == "follow" else True,
        has_found_flakes=has_followed if task == "flaky" else True,
    )
    assert (state.is_following if task == "follow" else state.is_finding_flakes) is is_following


def test_tasks_of_the_watch_follow_the_log(settings):
    settings.PRUNE_AT = None
    assert {FOLLOW, FLAKY} <= {task.name for task in all_tasks()}
