"""The admin: a dashboard, and an inspector of deliveries and events."""

from logs.admin.accounts import AccountAdmin, RoleAdmin
from logs.admin.deliveries import DeliveryAdmin
from logs.admin.events import WorkflowEventAdmin
from logs.admin.log_entries import LogEntryAdmin
from logs.admin.tokens import ApiTokenAdmin

__all__ = ["AccountAdmin", "ApiTokenAdmin", "DeliveryAdmin", "LogEntryAdmin", "RoleAdmin", "WorkflowEventAdmin"]
