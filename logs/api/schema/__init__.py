"""The OpenAPI 3.1 document: a table of operations, and the parts that drf-spectacular cannot derive from the code."""
