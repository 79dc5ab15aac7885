"""The two tables: what arrived, and the events that were read from it."""

from logs.models.deliveries import Delivery, Outcome
from logs.models.events import WorkflowEvent

__all__ = ["Delivery", "Outcome", "WorkflowEvent"]
