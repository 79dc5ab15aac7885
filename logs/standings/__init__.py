"""The state of each workflow on each branch, and its changes."""
