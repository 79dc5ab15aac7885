"""Receive, verify, log and show CircleCI's outbound webhooks."""
