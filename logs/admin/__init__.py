"""The admin: a dashboard, an inspector for deliveries and events, and channels."""

from logs.admin import accounts, channels, deliveries, events, log_entries, sign_ins, tokens

__all__ = ["accounts", "channels", "deliveries", "events", "log_entries", "sign_ins", "tokens"]
