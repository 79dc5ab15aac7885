"""Formats for dates and times."""
