"""The receiving endpoint and the REST API; the only package that uses REST framework."""
