"""Django's database backend for a PostgreSQL of several hosts, of which one at a time is writable."""
