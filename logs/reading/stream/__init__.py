"""Deliveries in the order they were stored, and events as they change."""
