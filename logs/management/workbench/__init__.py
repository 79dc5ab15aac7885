"""Modules shared by the commands that send, forward and export deliveries."""
