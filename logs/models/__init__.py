"""The tables: deliveries and their attempts, events, standings, rollups, API tokens and the watch's tasks."""

from logs.models.attempts import Attempt
from logs.models.deliveries import Delivery, Outcome
from logs.models.events import Origin, WorkflowEvent
from logs.models.notifications import (
    Channel,
    Notification,
    NotificationAttempt,
    NotificationKind,
    NotificationState,
    Site,
)
from logs.models.rollups import HourlyLag, HourlyStatus, HourlyWorkflow, RollupState, Workflow
from logs.models.standings import ChangeKind, Standing, StateChange
from logs.models.tokens import ApiToken
from logs.models.watch import WatchTask

__all__ = [
    "ApiToken",
    "Attempt",
    "ChangeKind",
    "Channel",
    "Delivery",
    "HourlyLag",
    "HourlyStatus",
    "HourlyWorkflow",
    "Notification",
    "NotificationAttempt",
    "NotificationKind",
    "NotificationState",
    "Origin",
    "Outcome",
    "RollupState",
    "Site",
    "Standing",
    "StateChange",
    "WatchTask",
    "Workflow",
    "WorkflowEvent",
]
