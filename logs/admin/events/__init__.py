"""The admin's pages for events."""

from logs.admin.events.admin import WorkflowEventAdmin

__all__ = ["WorkflowEventAdmin"]
