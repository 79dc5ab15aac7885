"""Figures about what the log holds: sums kept by the hour, and what the dashboard reads from them."""
