"""The endpoints for readers."""
