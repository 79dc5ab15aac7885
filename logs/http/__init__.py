"""What every request meets before the application: its client, its id, probes, error pages."""
