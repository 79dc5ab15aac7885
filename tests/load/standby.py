"""A primary and its synchronous standby: two PostgreSQL servers whose roles a scenario swaps."""

import shutil
import subprocess
from contextlib import suppress

import psycopg

from tests.load.engines import PostgreSQLDatabase
from tests.load.wire import HOST, free_port, wait_until

USER = "postgres"
DATABASE = "webhooklog"
STANDBY_SQL = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"


class Node:
    """One of the two servers: a folder and a port of its own, at which it is started again and again."""

    def __init__(self, folder, programs, system_user):
        self.folder = folder
        self.port = free_port()
        self._programs, self._system_user = programs, system_user

    def url(self, database):
        """Return the URL of one of its databases."""
        return f"postgresql://{USER}@{HOST}:{self.port}/{database}"

    def run(self, program, *arguments):
        """Run one of PostgreSQL's programs as the user that the servers run as."""
        command = [str(self._programs / program), *map(str, arguments)]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            subprocess.run(command, user=self._system_user, cwd="/", stdout=log, stderr=log, check=True, timeout=60)

    def control(self, action, *arguments):
        """Run pg_ctl and wait until it has done it."""
        self.run("pg_ctl", action, "-w", "-D", self.folder, *arguments)

    def start(self):
        """Start the server, on this machine's loopback only."""
        # A process that is killed loses nothing that the kernel has, so neither servers nor copies wait for the disk.
        options = f"-h {HOST} -p {self.port} -k '' -c fsync=off"
        self.control("start", "-l", self.folder.parent / f"{self.folder.name}.server.log", "-o", options)

    def kill(self):
        """End all of its processes at once, without finishing anything."""
        self.control("stop", "-m", "immediate")

    def copy_from(self, primary):
        """Become a new standby of another server."""
        shutil.rmtree(self.folder, ignore_errors=True)
        source = f"host={HOST} port={primary.port} user={USER} application_name=standby"
        arguments = ["-D", self.folder, "-d", source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self.run("pg_basebackup", *arguments)
        self.start()

    def execute(self, *statements, database="postgres"):
        """Run statements, each in a transaction of its own, and return the last one's rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None


class Pair:
    """Two servers, of which one is the primary and the other its standby; takes the place of a stage's engine."""

    name = "PostgreSQL"

    def __init__(self, folder, engine):
        if engine.system_user:
            shutil.chown(folder, engine.system_user)
        self.primary, self.standby = (
            Node(folder / name, engine.programs, engine.system_user) for name in ("one", "two")
        )
        self.url = (
            f"postgresql://{USER}@{HOST}:{self.primary.port},{HOST}:{self.standby.port}/{DATABASE}"
            "?target_session_attrs=read-write"
        )
        self.primary.run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", USER, "-D", folder / "one")
        self.primary.start()
        self.primary.execute(f"CREATE DATABASE {DATABASE}")
        self.primary.run("pg_dump", "--file", folder / "dump", engine.template_url)
        self.primary.run("psql", "--quiet", "--file", folder / "dump", self.primary.url(DATABASE))
        self.add_standby()

    def new_database(self, data_dir):
        """Return the only database: a scenario that swaps servers has one site."""
        return PostgreSQLDatabase(self.url)

    def add_standby(self):
        """Build the standby from the primary, and let each commit wait for it from then on."""
        self.standby.copy_from(self.primary)
        wait_until(lambda: self.primary.execute(STANDBY_SQL), "the standby streams")
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()")
        wait_until(lambda: self.primary.execute(STANDBY_SQL) == [("sync",)], "the standby is synchronous")

    def promote(self):
        """Make the standby the primary, which waits for no standby; the other server must be dead."""
        self.primary, self.standby = self.standby, self.primary
        self.primary.control("promote")
        self.primary.execute("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")

    def close(self):
        """Stop both servers."""
        for node in (self.primary, self.standby):
            with suppress(subprocess.CalledProcessError):
                node.kill()
