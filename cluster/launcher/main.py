"""Entry of the launcher process: take the directory's lock, start the watchdog, say `ready` on stdout, run."""

import fcntl
import os
import resource
import sys
from contextlib import suppress

from cluster.launcher.driver import LauncherDriver
from cluster.launcher.leashes import Leashes
from cluster.launcher.log import log
from cluster.launcher.signals import undo_inherited
from cluster.launcher.watchdog import Watchdog

USAGE = "usage: python -m cluster.launcher DIRECTORY MILLICPUS [FILES]"
MOST_FILES = 65_536  # open in a launcher, which needs two for each slot


def main(argv: list[str]) -> int:
    """Run a launcher in `DIRECTORY` (made 0700 if missing), whose jobs may open so many `FILES` (as it may, if that is
    not said). Prints `ready` once it listens and `taken` (exit code 0) when another launcher lives there. Exit code 1
    and a line on stderr when the directory cannot be used.
    """
    if len(argv) not in (2, 3) or not all(word.lstrip("-").isdigit() for word in argv[1:]):
        print(USAGE, file=sys.stderr)
        return 2
    directory = os.path.abspath(argv[0])
    os.umask(0o077)
    jobs_files = _allow_many_files(int(argv[2]) if argv[2:] else None)
    undo_inherited()
    try:
        _enter(directory)
        if _lock() is None:
            print("taken", flush=True)
            return 0
        leashes = Leashes.make()
        watchdog = Watchdog(directory, leashes)  # before there is much to fork, and before anything could be left
        launcher = LauncherDriver(directory, int(argv[1]), jobs_files, watchdog, leashes)
    except OSError as e:
        log(f"cannot start in {directory}: {e}")
        return 1
    print("ready", flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever started it waits for the end of this pipe
    launcher.run()
    return 0


def _enter(directory: str) -> None:
    """Make it the current directory. Raises OSError, also when others could write into it."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chdir(directory)
    st = os.stat(".")
    if st.st_uid != os.geteuid() or st.st_mode & 0o077:
        raise PermissionError("it must be ours and closed to others (chmod 700)")


def _lock() -> int | None:
    """Hold launcher.lock for as long as this process lives. None when another one does."""
    fd = os.open("launcher.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    with suppress(OSError):  # it only tells people who we are
        os.pwrite(fd, b"%-19d\n" % os.getpid(), 0)  # in the place of the last one: a full disk has room for that
    return fd


def _allow_many_files(wished: int | None) -> int:
    """Raise our own limit as far as we may. Answers that of jobs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return soft if wished is None else wished
