"""The admin: an inspector of deliveries and events."""

from django.contrib import admin

from logs.admin.deliveries import DeliveryAdmin
from logs.admin.events import WorkflowEventAdmin
from logs.admin.tokens import ApiTokenAdmin

__all__ = ["ApiTokenAdmin", "DeliveryAdmin", "WorkflowEventAdmin"]

admin.site.site_header = "webhooklog"
admin.site.site_title = "webhooklog"
admin.site.index_title = "CircleCI webhooks"
# The tables need its room.
admin.site.enable_nav_sidebar = False
