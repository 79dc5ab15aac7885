"""The admin: a dashboard, an inspector for deliveries and events, pipelines, sources, channels, rules, messages."""

from logs.admin import (
    accounts,
    channels,
    deliveries,
    events,
    feeds,
    flaky,
    log_entries,
    notifications,
    pipelines,
    projects,
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
    "feeds",
    "flaky",
    "log_entries",
    "notifications",
    "pipelines",
    "projects",
    "rules",
    "sign_ins",
    "sources",
    "tokens",
]
