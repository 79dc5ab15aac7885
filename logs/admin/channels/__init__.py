"""The admin's pages for channels."""

from logs.admin.channels.admin import ChannelAdmin

__all__ = ["ChannelAdmin"]
