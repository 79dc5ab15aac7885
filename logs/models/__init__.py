"""The tables: deliveries and their attempts, events, rollups and API tokens."""

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
