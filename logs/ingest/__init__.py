"""The only writer of deliveries and events."""
