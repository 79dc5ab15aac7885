"""The description of the API in OpenAPI 3.1: a table of its operations, and what its code does not tell of itself."""
