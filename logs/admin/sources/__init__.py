"""The admin's page for sources."""

from logs.admin.sources.admin import SourceAdmin

__all__ = ["SourceAdmin"]
