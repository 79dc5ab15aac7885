"""The project: wires the logs application to its environment, its addresses and its server."""
