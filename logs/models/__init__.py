"""The tables of events and deliveries, sources, standings, flakes, rules, notifications, sums, tokens, the watch."""

from logs.models.attempts import Attempt
from logs.models.claims import Claim
from logs.models.counters import CounterProgress, DeliveryCounter, EventCounter
from logs.models.deliveries import Delivery, Outcome
from logs.models.events import Origin, WorkflowEvent
from logs.models.feeds import Feed
from logs.models.flakes import Flake
from logs.models.notifications import (
    Channel,
    Notification,
    NotificationAttempt,
    NotificationKind,
    NotificationState,
    Site,
)
from logs.models.rollups import (
    DailyWorkflow,
    HourlyLag,
    HourlyStatus,
    HourlyWorkflow,
    RollupState,
    SummedDay,
    Workflow,
)
from logs.models.rules import Alarm, AlarmKind, Rule, Subject
from logs.models.sources import Source, SourceState, WebhookSecret
from logs.models.standings import ChangeKind, Standing, StateChange
from logs.models.tokens import ApiToken
from logs.models.watch import WatchTask

__all__ = [
    "Alarm",
    "AlarmKind",
    "ApiToken",
    "Attempt",
    "ChangeKind",
    "Channel",
    "Claim",
    "CounterProgress",
    "DailyWorkflow",
    "Delivery",
    "DeliveryCounter",
    "EventCounter",
    "Feed",
    "Flake",
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
    "Rule",
    "Site",
    "Source",
    "SourceState",
    "Standing",
    "StateChange",
    "Subject",
    "SummedDay",
    "WatchTask",
    "WebhookSecret",
    "Workflow",
    "WorkflowEvent",
]
