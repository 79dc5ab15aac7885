"""Django's database backend for a replica: its statements have a deadline."""
