"""What the state of the watch says about the standings."""

import pytest

from logs.insights.watching import FOLLOW, WatchState
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
def test_standings_are_current_only_if_a_running_watch_follows_the_log(is_running, has_followed, errors, is_following):
    state = WatchState(is_running=is_running, last_started_at=None, errors=errors, has_followed=has_followed)
    assert state.is_following is is_following


def test_a_task_of_the_watch_follows_the_log(settings):
    settings.PRUNE_AT = None
    assert FOLLOW in {task.name for task in all_tasks()}
