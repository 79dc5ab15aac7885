"""How rows are chosen and read by pages, for the API and the admin alike."""
