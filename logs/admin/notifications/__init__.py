"""The admin's pages for notifications."""

from logs.admin.notifications.admin import NotificationAdmin

__all__ = ["NotificationAdmin"]
