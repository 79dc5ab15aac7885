"""The admin: a dashboard, an inspector for deliveries and events, sources, channels, rules and notifications."""

from logs.admin import (
    accounts,
    channels,
    deliveries,
    events,
    log_entries,
    notifications,
    rules,
    sign_ins,
    sources,
    tokens,
)

__all__ = [
    "accounts",
    "channels",
    "deliveries",
    "events",
    "log_entries",
    "notifications",
    "rules",
    "sign_ins",
    "sources",
    "tokens",
]
