"""Report state changes over channels."""
