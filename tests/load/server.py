"""Run gunicorn as it runs in production, and end it as roughly as a scenario asks for."""

import os
import re
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.load.measuring import children, listeners
from tests.load.wire import Broken, Connection, free_port, wait_until

PROJECT = Path(__file__).resolve().parents[2]
WORKERS = 2  # That serve requests.
THREADS = 8  # Of each worker.


class Server:
    """A gunicorn master with its workers, of which one runs the watch unless WATCH=off, on a port of its own."""

    def __init__(self, folder, environment, project=PROJECT):
        self.project = project  # The folder of the code that the next start runs.
        self.port = free_port()
        self.log_path = folder / "server.log"
        self.environment = environment | {
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(WORKERS),
            "WEB_THREADS": str(THREADS),
            # The access log would be most of what is written here; the other lines are what a failure needs.
            "LOG_LEVEL": "WARNING",
        }
        self.process = None

    def command(self):
        """Return what starts the server."""
        has_asgi = (self.project / "webhooklog" / "asgi.py").exists()  # Not in the first releases.
        application = "webhooklog.asgi:application" if has_asgi else "webhooklog.wsgi"
        return [sys.executable, "-m", "gunicorn", "-c", "docker/gunicorn.conf.py", application]

    def start(self):
        """Start the server; it serves a moment later."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.project,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                # A process group of its own, so that one signal reaches the master and the workers at once.
                start_new_session=True,
            )

    def wait_until_serving(self):
        """Wait for the first answer.

        Raises:
            RuntimeError: the server ended instead.
        """
        wait_until(self._is_serving, "the server answers")

    def _is_serving(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with status {self.process.returncode}:\n{self.log[-2000:]}")
        with suppress(Broken), Connection(self.port, timeout_seconds=5) as connection:
            return connection.get("/healthz").status == 200
        return False

    @property
    def log(self):
        """What the server has written so far."""
        return self.log_path.read_text(errors="replace")

    def tracebacks(self):
        """Return the last line of each traceback that the server has written.

        Without DisallowedHost: Django writes one whenever ALLOWED_HOSTS refuses a request, and answers it well.
        """
        # LOG_FORMAT=line indents them.
        ends = re.findall(r"^( *)Traceback .*\n(?:\1 .*\n| *\n)*\1(\S.*)", self.log, re.MULTILINE)
        return [end for _, end in ends if "DisallowedHost" not in end]

    def worker_pids(self):
        """Return the process ids of all workers, also of the one that runs the watch."""
        return children(self.process.pid)

    def serving_pids(self):
        """Return the process ids of the workers that accept connections; a new watch is one of them until it runs."""
        return listeners(self.process.pid, self.port)

    def worker_memory_mib(self):
        """Return the resident memory of each worker, also of the watch, in MiB, by its process id."""
        return {pid: _resident_bytes(pid) / 2**20 for pid in self.worker_pids()}

    def limit_file_size(self, limit_bytes):
        """Make all writes beyond so many bytes of a file fail, as on a full disk; None gives room again."""
        for pid in self.worker_pids():
            soft = resource.RLIM_INFINITY if limit_bytes is None else limit_bytes
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    def kill_worker(self, random):
        """Kill one worker, which may be the watch, with SIGKILL; the master starts another."""
        # The worker may be gone between being listed and being killed, when another one has just died.
        with suppress(ProcessLookupError):
            os.kill(random.choice(self.worker_pids() or [self.process.pid]), signal.SIGKILL)

    def kill(self):
        """Kill master and workers with SIGKILL, as the kernel does when memory runs out."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Stop the server as systemd does, and wait until it has answered what it had accepted."""
        self.process.terminate()
        self.process.wait(timeout=60)

    def end(self):
        """End the server, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()


def _resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
