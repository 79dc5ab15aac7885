"""The admin's pages of events."""

from logs.admin.events.admin import WorkflowEventAdmin

__all__ = ["WorkflowEventAdmin"]
