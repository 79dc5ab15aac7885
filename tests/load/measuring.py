"""What processes cost, as the kernel counts it."""

import os
from contextlib import suppress
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
LISTENING = "0A"  # The state of a socket in /proc/net/tcp.


def children(pid):
    """Return the processes that a process has started and that have not ended."""
    # None of the servers starts processes from a thread.
    return [int(child) for child in _text(Path(f"/proc/{pid}/task/{pid}/children")).split()]


def listeners(pid, port):
    """Return the children of a process that accept connections at an IPv4 port: gunicorn's workers but the watch."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # The columns of each row: number, local address, remote address, state, ..., inode at the tenth place.
    listening = {
        f"socket:[{row[9]}]" for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port
    }
    return [child for child in children(pid) if listening & open_files(child)]


def open_files(pid):
    """Return what a process has open, as the kernel names it: paths, and sockets by their inodes."""
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                found.add(str(link.readlink()))
    return found


def family(pid):
    """Return a process and all that descend from it."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def _text(path):
    """Return what the kernel says of a process; nothing where it has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu_seconds(pid):
    """Return the CPU time of a process, of all that descend from it, and of those among them that have ended."""
    return sum(_cpu_ticks(one) for one in family(pid)) / TICKS_PER_SECOND


def _cpu_ticks(pid):
    # Behind the command's name, which may hold spaces: utime, stime, and those of the children that have ended.
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def pss_mib(pid):
    """Return the memory of one process in MiB; of what it shares with others it counts its share."""
    return _memory_mib(pid, "Pss")


def shared_mib(pid):
    """Return the memory of one process in MiB that others share, of what processes have written themselves."""
    return _memory_mib(pid, "Shared_Dirty")


def _memory_mib(pid, kind):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024


def percentile(times, percent):
    """Return the time that so many percent of all times do not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
