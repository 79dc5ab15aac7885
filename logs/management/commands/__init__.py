"""One module per verb, found by manage.py through its name."""
