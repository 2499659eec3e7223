"""Reading and signalling the process table. Real processes, in process."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.cli import processes
from cluster.launcher import tree
from cluster.launcher.tree import ProcessStat
from tests.faults import no_descriptor_left

pytestmark = pytest.mark.slow

SLEEP = shutil.which("sleep") or "sleep"
# The first thread of this process ends, and another goes on, which tells so.
LEAVE_TO_A_THREAD = """
import ctypes, os, sys, threading

def go_on():
    main = threading.main_thread().native_id
    while open(f"/proc/self/task/{main}/stat").read().rpartition(")")[2].split()[0] != "Z":
        pass
    open(sys.argv[1], "w").close()
    threading.Event().wait()

threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall({"aarch64": 93}.get(os.uname().machine, 60), 0)
"""


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([SLEEP, "1000"]) as process:
        yield process
        process.kill()


def test_a_process_is_read(sleeper: "subprocess.Popen[bytes]") -> None:
    process = tree.read_process(sleeper.pid)
    assert process is not None
    assert (process.pid, process.parent, process.session) == (sleeper.pid, os.getpid(), os.getsid(0))
    assert tree.read_all()[sleeper.pid].start == process.start


# Starts a program, and does not wait for it, as a slot does that has not come to it yet; tells its pid when it has
# ended, or at once.
HAS_A_CHILD = """
import os, sys, threading

child = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
if sys.argv[1].endswith("true"):
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
print(child, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize(("program", "reached"), [((SLEEP, "1000"), True), ((shutil.which("true") or "true",), False)])
def test_who_has_ended_before_a_signal_was_not_reached_by_it(program: tuple[str, ...], reached: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", HAS_A_CHILD, *program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        try:
            child = int(parent.stdout.readline())
            assert tree.signal_below(parent.pid, signal.SIGTERM, child) is reached
            assert not tree.signal_below(parent.pid, signal.SIGTERM, os.getpid()), "it is somebody else's"
        finally:
            parent.kill()


def test_a_name_that_looks_like_fields_confuses_nothing(tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to(SLEEP)
    with subprocess.Popen([str(odd), "1000"]) as process:
        found = tree.read_process(process.pid)
        process.kill()
    assert found is not None
    assert found.parent == os.getpid()


def test_what_has_ended_is_not_there(sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert sleeper.pid not in tree.read_all()  # a zombie runs no more
    sleeper.wait()
    assert tree.read_process(sleeper.pid) is None


def test_a_pid_that_was_used_again_is_not_signalled(sleeper: "subprocess.Popen[bytes]") -> None:
    process = tree.read_process(sleeper.pid)
    assert process is not None
    assert tree.send(process._replace(start=process.start - 1), signal.SIGKILL)
    assert sleeper.poll() is None
    assert tree.send(process, signal.SIGKILL)
    assert sleeper.wait() == -signal.SIGKILL


def test_a_number_that_is_a_threads_by_now_is_nobody_to_be_signalled() -> None:
    """It looks like a process in /proc, and pidfd_open has an error of its own for it, which would end a launcher."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert thread.native_id
        found = tree.read_process(thread.native_id)
        assert found
        assert tree.send(found, signal.SIGCONT)
        process = processes.find(thread.native_id)
        assert process
        assert processes.stop(process, 0.0)
        assert processes.wait_for_end(process, 0.0)
        assert thread.is_alive()
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(("early", "killed"), [(0, 1), (tree.LATEST_START - 1, 1), (tree.LATEST_START + 1, 0), (-1, 0)])
def test_a_leader_that_hides_is_known_by_when_it_was_begun(early: float, killed: int) -> None:
    """The journal is written before the start, which may take a while; what started at another time is another's."""
    with subprocess.Popen([SLEEP, "1000"], start_new_session=True) as process:
        found = tree.read_process(process.pid)
        assert found is not None
        begun = found.start / os.sysconf("SC_CLK_TCK") - early
        assert tree.kill_orphans("of no launcher", [(process.pid, begun)]) == killed
        process.kill()


def test_descendants_are_found_below_each_root() -> None:
    parents = {2: 1, 3: 2, 4: 3, 5: 1, 6: 5}
    table = {pid: ProcessStat(pid, "S", parent, 1, 0) for pid, parent in parents.items()}
    assert set(tree.descendants([3, 5, 99], table)) == {3, 4, 5, 6}


def test_what_is_below_a_process_is_found_without_the_kernels_list(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    process = tree.read_process(sleeper.pid)
    assert process is not None
    assert tree.below(os.getpid())[sleeper.pid].start == process.start
    monkeypatch.setattr(tree, "_children", lambda pid: None)
    for found in (tree.below(os.getpid()), tree.children_of(os.getpid())):
        # Its state may be another by now: it has only just begun.
        assert found[sleeper.pid]._replace(state="") == process._replace(state="")


def test_children_of_every_thread_are_found() -> None:
    """The kernel lists a child with the thread that started it."""
    script = """if True:
        import subprocess, sys, threading
        def start():
            child = subprocess.Popen(["sleep", "1000"])
            print(child.pid, flush=True)
            threading.Event().wait()
        threading.Thread(target=start).start()
    """
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        found = tree.below(parent.pid)
        killed, refused = tree.kill_all(lambda: tree.below(os.getpid()))
    assert child in found
    assert {process.pid for process in killed} == {parent.pid, child}
    assert not refused


def test_a_number_that_was_used_again_brings_no_stranger_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """4 was listed as a child, and another's when it was read; so was 3, once it was known, when its list was."""
    processes = {pid: ProcessStat(pid, "S", parent, 1, 7) for pid, parent in {2: 1, 3: 2, 4: 9, 5: 3}.items()}
    lists = {2: [3, 4], 3: [5]}

    def children(pid: int) -> list[int]:
        if pid == 3:
            processes[3] = ProcessStat(3, "S", 9, 1, 8)
        return lists.get(pid, [])

    monkeypatch.setattr(tree, "_children", children)
    monkeypatch.setattr(tree, "read_process", processes.get)
    assert set(tree.below(2)) == {3}


def test_nothing_is_below_a_process_whose_number_is_anothers() -> None:
    us = tree.read_own()
    stranger = us._replace(start=us.start - 1)  # had our number before
    with subprocess.Popen(["sleep", "1000"]) as child:
        try:
            assert child.pid in tree.below(us.pid, us.start)
            assert not tree.below(stranger.pid, stranger.start)
            tree.kill_children(stranger, set())
            assert child.poll() is None
        finally:
            tree.kill_children(us, set())


def test_who_cannot_look_does_not_say_that_nobody_is_there(sleeper: "subprocess.Popen[bytes]") -> None:
    """Else what is to be killed would count as gone, and run on after its lease."""
    process = tree.read_process(sleeper.pid)
    assert process is not None
    with no_descriptor_left():
        for look in (
            lambda: tree.read_process(sleeper.pid),
            lambda: tree.read_environment(sleeper.pid, "PATH"),
            lambda: tree.send(process, signal.SIGKILL),
            tree.read_all,
        ):
            with pytest.raises(OSError, match="Too many open files"):
                look()


def test_processes_that_hang_in_the_kernel_keep_a_launcher_waiting_no_longer_than_one(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each for itself, a hundred would keep the watchdog, and then the next launcher, for a quarter of an hour."""
    clock = [0.0]

    class Poll:
        def register(self, *_: int) -> None:
            pass

        def poll(self, milliseconds: float) -> None:
            clock[0] += milliseconds / 1000

    hanging = {process for process in map(tree.read_process, (sleeper.pid, os.getpid())) if process}
    monkeypatch.setattr(tree, "kill_all", lambda find: (hanging, set()))
    monkeypatch.setattr(tree, "select", SimpleNamespace(poll=Poll, POLLIN=1))
    monkeypatch.setattr(tree, "time", SimpleNamespace(monotonic=lambda: clock[0]), raising=False)
    assert tree.kill_orphans("nobody's", []) == 2
    assert clock[0] == tree.LONGEST_DEATH


def test_a_process_whose_first_thread_has_ended_is_alive(tmp_path: Path) -> None:
    """The kernel lists it as a zombie. Taken for one, it would be left alone, and waited for by who keeps looking."""
    told = tmp_path / "told"
    os.mkfifo(told)
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", LEAVE_TO_A_THREAD, str(told)]) as process:
        try:
            told.read_text()
            found = tree.below(os.getpid())[process.pid]
            assert tree.kill_all(lambda: tree.below(os.getpid())) == ({found}, set())
        finally:
            process.kill()


def test_what_appears_while_the_rest_is_killed_is_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees again to what a slot leaves when it dies with its launcher."""
    found = [{ProcessStat(pid, "S", 1, 1, pid)} for pid in range(2, 6)]
    rounds = iter([*found, found[-1]])  # that one takes long to die
    monkeypatch.setattr(tree, "kill_all", lambda find: (next(rounds), set()))
    assert tree.kill_for_good(dict) == (set().union(*found), set())
