"""Management commands and the modules they share."""
