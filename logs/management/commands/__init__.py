"""One module per command; manage.py finds each module by its name."""
