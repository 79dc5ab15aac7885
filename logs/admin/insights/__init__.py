"""Insights in the admin: a table of workflows, and a page for each."""

from logs.admin.insights import table, workflow

__all__ = ["table", "workflow"]
