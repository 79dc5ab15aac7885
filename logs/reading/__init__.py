"""Filter rows and read them page by page, for both the API and the admin."""
