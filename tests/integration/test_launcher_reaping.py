"""How a slot waits for what it has started."""

import subprocess
import sys
import textwrap

# In a process of its own: pytest's has children of others.
_HEAD = """
import os, resource, signal, sys, time
from cluster.launcher.reaping import Reaper

def child(code):
    pid = os.fork()
    if not pid:
        os._exit(code())
    return pid

reaper = Reaper()
"""


def _run(script: str) -> str:
    line = [sys.executable, "-c", _HEAD + textwrap.dedent(script)]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout


def test_who_ends_before_is_reaped_too_and_what_is_told_is_of_the_one_that_was_asked_for() -> None:
    assert _run("""
        other = child(lambda: 3)
        os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
        asked = child(lambda: 7)  # of two that have ended, the kernel tells of the older one first
        status, _, _ = reaper.wait_for(asked)
        print(os.waitstatus_to_exitcode(status), reaper.look())
    """) == "7 None\n"  # fmt: skip


def test_a_signal_while_it_waits_is_handled_and_it_waits_on() -> None:
    assert _run("""
        reader, writer = os.pipe()
        asked = child(lambda: len(os.read(reader, 1)))
        def on_alarm(*_):
            print("heard")
            os.write(writer, b"x")
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        status, _, _ = reaper.wait_for(asked)
        print(os.waitstatus_to_exitcode(status))
    """) == "heard\n1\n"  # fmt: skip


def test_time_and_memory_are_those_that_the_kernel_counts() -> None:
    assert _run("""
        def busy():
            kept = bytearray(40 << 20)
            while time.process_time() < 0.2:
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        status, cpu_us, peak = reaper.wait_for(child(busy))
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(os.waitstatus_to_exitcode(status), peak == usage.ru_maxrss, cpu_us >= 200_000)
        print(abs(cpu_us - (usage.ru_utime + usage.ru_stime) * 1e6) < 2)
    """) == "-9 True True\nTrue\n"  # fmt: skip


def test_the_time_of_what_outlives_the_leader_is_counted_once() -> None:
    assert _run("""
        def busy():
            while time.process_time() < 0.1:
                pass
            return 0
        for reap in (reaper.wait, lambda: os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT) and reaper.look()):
            child(busy)
            reap()
            print(reaper.take_left() >= 100_000, reaper.take_left(), reaper.look())
        reaper.wait()
    """) == "True 0 None\nTrue 0 None\n"  # fmt: skip


def test_who_has_no_child_is_told_so() -> None:
    assert _run("""
        print(reaper.look())
        try:
            reaper.wait_for(1)
        except ChildProcessError:
            print("none")
    """) == "None\nnone\n"  # fmt: skip


def test_a_look_waits_for_nobody() -> None:
    assert _run("""
        reader, writer = os.pipe()
        def last():
            os.close(writer)
            return len(os.read(reader, 1))
        asked = child(last)
        print(reaper.look())
        os.close(writer)
        reaper.wait_for(asked)
    """) == "0\n"  # fmt: skip
