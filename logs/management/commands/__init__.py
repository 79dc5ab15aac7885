"""One module for each command; manage.py finds it by its name."""
