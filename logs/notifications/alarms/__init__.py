"""Alarms: the problems of the log itself. Each check compares the current problems with the open alarms."""

from logs.notifications.alarms.checking import check, delete_old
from logs.notifications.alarms.listing import ShownAlarm, open_alarms, recent_alarms
from logs.notifications.alarms.silence import without_alarm

__all__ = ["ShownAlarm", "check", "delete_old", "open_alarms", "recent_alarms", "without_alarm"]
