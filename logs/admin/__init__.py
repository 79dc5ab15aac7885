"""The admin: a dashboard, and an inspector for deliveries and events."""

from logs.admin import accounts, deliveries, events, log_entries, sign_ins, tokens

__all__ = ["accounts", "deliveries", "events", "log_entries", "sign_ins", "tokens"]
