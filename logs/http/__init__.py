"""HTTP handling outside the views: the client's IP address, request ids, probes and error responses."""
