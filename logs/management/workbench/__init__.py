"""What the commands for sending, listening, forwarding and fixtures share."""
