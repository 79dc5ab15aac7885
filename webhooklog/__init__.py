"""The Django project, which connects the logs application to its environment, URLs and server."""
