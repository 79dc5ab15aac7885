"""The admin: a dashboard, a search, an inspector of events, pipelines, sources, channels, rules and messages."""

from logs.admin import (
    accounts,
    channels,
    deliveries,
    events,
    feeds,
    finding,
    flaky,
    insights,
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
    "finding",
    "flaky",
    "insights",
    "log_entries",
    "notifications",
    "pipelines",
    "projects",
    "rules",
    "sign_ins",
    "sources",
    "tokens",
]
