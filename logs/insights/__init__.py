"""Figures about the log: hourly sums, and the dashboard's figures derived from them."""
