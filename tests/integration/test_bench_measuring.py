"""What `make bench` reads of processes that come and go."""

import subprocess
import sys

from tests.load.measuring import cpu_seconds, family, pss_mib

WORK = "import time\nwhile time.process_time() < 0.3: pass\n"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {WORK!r}])
child = subprocess.Popen([sys.executable, "-c", {WORK!r} + "print(flush=True); input()"], stdin=subprocess.PIPE)
sys.stdin.read()
child.communicate(b"end")
"""


def test_counts_the_cpu_of_children_that_live_and_of_those_that_have_ended():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        parent.stdout.readline()
        members, seconds, memory = family(parent.pid), cpu_seconds(parent.pid), pss_mib(parent.pid)
        parent.stdin.close()

    assert len(members) == 2
    assert seconds > 0.5  # Both worked 0.3 s, which the kernel tells in whole hundredths, rounded down four times.
    assert memory > 1


def test_takes_a_process_that_has_just_ended_as_none():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass

    assert family(process.pid) == [process.pid]
    assert cpu_seconds(process.pid) == 0
