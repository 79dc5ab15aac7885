"""The project: connects the logs application to its environment, URLs and server."""
