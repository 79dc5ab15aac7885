"""The admin's pages for rules."""

from logs.admin.rules.admin import RuleAdmin

__all__ = ["RuleAdmin"]
