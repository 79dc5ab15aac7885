"""The receiving endpoint and the REST API; the only package that knows REST framework."""
