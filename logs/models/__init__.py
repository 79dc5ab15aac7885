"""The tables: what arrived and what came of it, and the events that were read from it."""

from logs.models.attempts import Attempt
from logs.models.deliveries import Delivery, Outcome
from logs.models.events import WorkflowEvent

__all__ = ["Attempt", "Delivery", "Outcome", "WorkflowEvent"]
