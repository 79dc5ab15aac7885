"""The tables: what arrived and what came of it, and the events that were read from it, and their sums."""

from logs.models.attempts import Attempt
from logs.models.deliveries import Delivery, Outcome
from logs.models.events import WorkflowEvent
from logs.models.rollups import HourlyLag, HourlyStatus, HourlyWorkflow, RollupState, Standing, Workflow
from logs.models.tokens import ApiToken

__all__ = [
    "ApiToken",
    "Attempt",
    "Delivery",
    "HourlyLag",
    "HourlyStatus",
    "HourlyWorkflow",
    "Outcome",
    "RollupState",
    "Standing",
    "Workflow",
    "WorkflowEvent",
]
