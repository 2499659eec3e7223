"""Jobs that hide, resist, multiply and fight, one for each shape of a process tree. A job runs this file by itself:

    python -I -S tree_shapes.py SHAPE READY GATE

It builds the shape, opens the fifo READY for writing, waits until something was written into the fifo GATE, and exits.
Nothing of a shape ends by itself, what it starts has an empty environment, and ignores what can be ignored.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
MACHINE = os.uname().machine
SYS_CLONE, SYS_EXIT = {"aarch64": (220, 93)}.get(MACHINE, (56, 60))
CLONE_VFORK, CLONE_PARENT = 0x4000, 0x8000
SLEEP = ("sleep", "777")
NGINX = """
worker_processes 2; pid {0}/pid; error_log /dev/null;
events {{}}
http {{
  access_log off; server {{ listen unix:{0}/socket; }}
  client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};
}}
"""


def stay() -> None:
    """Ignore every signal that can be ignored, and go on for ever."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    while True:
        signal.pause()


def fork(*steps: Callable[[], object]) -> int:
    """A child that does these and ends; it is there when this returns."""
    pid = os.fork()
    if pid == 0:
        try:
            for step in steps:
                step()
        finally:
            os._exit(0)
    return pid


def start(*argv: str) -> None:
    """A child with an empty environment, in a session of its own."""
    subprocess.Popen(argv, env={"PATH": os.environ["PATH"]}, start_new_session=True)


def double_fork() -> None:
    def daemon() -> None:
        os.setsid()
        fork(lambda: os.closerange(0, 1024), stay)

    os.waitpid(fork(daemon), 0)


def new_session() -> None:
    fork(os.setsid, stay)


def cleared_environment() -> None:
    subprocess.run(
        ["env", "-i", shutil.which("setsid") or "setsid", "-f", shutil.which("sleep") or "sleep", "777"], check=True
    )


def forged_environment() -> None:
    forged = {"CLUSTER_ATTEMPT": "999.1#1", "CLUSTER_LAUNCHER": "fe00-1", "PATH": os.environ["PATH"]}
    subprocess.run(["setsid", "-f", *SLEEP], env=forged, check=True)


def leader_ignores_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    new_session()


def stopped() -> None:
    def stop_itself() -> None:
        os.setsid()
        fork(lambda: os.kill(os.getpid(), signal.SIGSTOP))
        os.kill(os.getpid(), signal.SIGSTOP)

    os.waitpid(fork(stop_itself), os.WUNTRACED)


def _nginx(*options: str) -> None:
    os.mkdir(str(os.getpid()))
    os.chdir(str(os.getpid()))
    configuration = os.path.join(os.getcwd(), "nginx.conf")
    with open(configuration, "w") as file:
        file.write(NGINX.format(os.getcwd()))
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    command = (nginx, "-e", "/dev/null", "-p", os.getcwd(), "-c", configuration)
    if options:
        start(*command, *options)
    else:
        subprocess.run(command, env={}, check=True, stderr=subprocess.DEVNULL)


def nginx() -> None:
    _nginx("-g", "daemon off;")


def nginx_daemon() -> None:
    _nginx()


def bomb() -> None:
    for _ in range(300):
        fork(os.setsid, stay)


def runaway() -> None:
    """Every generation forks the next and dies: by the time a pid is read it is gone."""
    told, tell = os.pipe()

    def run() -> None:
        os.setsid()
        os.closerange(3, tell)
        os.write(tell, b"!")
        while True:
            if os.fork():
                os._exit(0)

    fork(run)
    os.read(told, 1)


def child_of_a_thread() -> None:
    thread = threading.Thread(target=new_session)
    thread.start()
    thread.join()

    def start_and_stay() -> None:
        start(*SLEEP)
        threading.Event().wait()

    def parent() -> None:
        os.setsid()
        threading.Thread(target=start_and_stay).start()
        stay()

    fork(parent)


def _leave_to_a_thread() -> None:
    """The first thread of this process ends, the other goes on: the process looks like a zombie and is none."""
    threading.Thread(target=stay_in_thread).start()
    LIBC.syscall(SYS_EXIT, 0)


def stay_in_thread() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Event().wait()


def without_its_first_thread() -> None:
    fork(os.setsid, _leave_to_a_thread)


def vforked() -> None:
    def parent() -> None:
        os.setsid()
        LIBC.syscall(SYS_CLONE, CLONE_VFORK | signal.SIGCHLD, 0, 0, 0, 0)  # goes on in the child alone, until that ends
        stay()

    fork(parent)


def sibling_of_its_parent() -> None:
    if LIBC.syscall(SYS_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os.setsid()
        stay()


def own_subreaper() -> None:
    def reaper() -> None:
        os.setsid()
        LIBC.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        double_fork()
        stay()

    fork(reaper)


def traced() -> None:
    def tracee() -> None:
        LIBC.ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
        os.kill(os.getpid(), signal.SIGSTOP)

    def tracer() -> None:
        os.setsid()
        os.waitpid(fork(tracee), os.WUNTRACED)
        stay()

    fork(tracer)


def chain() -> None:
    def link(more: int) -> None:
        os.setsid()
        if more:
            fork(lambda: link(more - 1))
        stay()

    fork(lambda: link(50))


def _unshare(*options: str) -> tuple[str, ...]:
    return ("unshare", *(() if os.geteuid() == 0 else ("-Ur",)), *options)


def pid_namespace() -> None:
    start(*_unshare("-pf", "--mount-proc"), "sh", "-c", "trap '' TERM; setsid -f sleep 777; sleep 777 & wait")


def kills_all_in_its_namespace() -> None:
    script = "(sleep 777 & trap '' TERM; kill -9 -1; while :; do sleep 777; done) & trap '' TERM; wait; sleep 777"
    start(*_unshare("-pf", "--mount-proc"), "sh", "-c", script)


def other_root() -> None:
    start(*(_unshare() if os.geteuid() else ()), "chroot", "/", "setsid", "-f", *SLEEP)


def other_cgroup() -> None:
    """Wherever it may, in groups that whoever runs the test has made ready."""
    for group in os.environ["GROUPS_TO_ENTER"].split(":"):
        with contextlib.suppress(OSError), open(f"{group}/cgroup.procs", "w") as file:
            file.write("0")
    new_session()


def signal_slot(number: int) -> None:
    """Where it is of the same user."""
    with contextlib.suppress(PermissionError):
        os.kill(os.getppid(), number)


def stops_its_slot() -> None:
    new_session()
    signal_slot(signal.SIGSTOP)


def kills_its_slot() -> None:
    double_fork()
    bomb()
    signal_slot(signal.SIGKILL)


def main(shape: str, ready: str, gate: str) -> None:
    SHAPES[shape]()
    with open(ready, "w"):
        pass
    with open(gate) as file:
        file.read()
    os._exit(0)


SHAPES: dict[str, Callable[[], None]] = {
    f.__name__: f
    for f in (
        double_fork,
        new_session,
        cleared_environment,
        forged_environment,
        leader_ignores_signals,
        stopped,
        nginx,
        nginx_daemon,
        bomb,
        runaway,
        child_of_a_thread,
        without_its_first_thread,
        vforked,
        sibling_of_its_parent,
        own_subreaper,
        traced,
        chain,
        pid_namespace,
        kills_all_in_its_namespace,
        other_root,
        other_cgroup,
        stops_its_slot,
        kills_its_slot,
    )
}

if __name__ == "__main__":
    main(*sys.argv[1:])
