"""The admin's pages for API tokens."""

from logs.admin.tokens.admin import ApiTokenAdmin

__all__ = ["ApiTokenAdmin"]
