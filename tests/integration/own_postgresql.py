"""A PostgreSQL role and a database of its own, for tests that start a site or run commands outside of Django's test."""

import secrets

import psycopg
from django.db import connection


class OwnDatabase:
    """A role and a database, both with a name that the server does not have yet."""

    def __init__(self):
        parameters = connection.get_connection_params()
        self._server = {name: parameters.get(name) for name in ("host", "port", "user", "password")}
        self.host, self.port = self._server["host"], self._server["port"] or 5432
        self.name, self.password = f"webhooklog_{secrets.token_hex(4)}", secrets.token_hex(8)
        self.administer(f"CREATE ROLE {self.name} LOGIN CREATEDB PASSWORD '{self.password}'", "postgres")
        self.administer(f"CREATE DATABASE {self.name} OWNER {self.name}", "postgres")

    @property
    def url(self):
        """What DATABASE_URL is for it."""
        return f"postgresql://{self.name}:{self.password}@:{self.port}/{self.name}?host={self.host}"

    def connect(self, database=None):
        """Open a connection to the database, or to another one, with the rights of the tests' own user."""
        return psycopg.connect(**self._server, dbname=database or self.name, autocommit=True)

    def administer(self, sql, database=None):
        """Run a statement with these rights, and return its rows."""
        with self.connect(database) as server:
            cursor = server.execute(sql)
            return cursor.fetchall() if cursor.description else None

    def drop(self):
        """Remove the database and the role."""
        self.administer(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)", "postgres")
        self.administer(f"DROP ROLE {self.name}", "postgres")
