"""Finding what a text names, for the search on every page: its readings, their events, and refused deliveries."""

from logs.reading.finding.events import event_of_id, list_filters
from logs.reading.finding.find import Findings, find

__all__ = ["Findings", "event_of_id", "find", "list_filters"]
