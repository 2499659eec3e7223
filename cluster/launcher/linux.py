"""What Linux offers and Python does not wrap: a process's death signal, its keyring, an alarm by the boot clock, an
exchange of files."""

import ctypes
import os
import platform
import time

from cluster.launcher.clock import Itimerspec, Timespec

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_MCL_CURRENT, _MCL_FUTURE = 1, 2  # asm-generic/mman.h
_JOIN_SESSION_KEYRING, _READ, _SESSION_KEYRING = map(ctypes.c_long, (1, 11, -3))  # linux/keyctl.h
_KEYCTL = {"x86_64": 250, "aarch64": 219}.get(platform.machine())  # its number among the system calls
_keyctl = ctypes.c_long(_KEYCTL or -1)
_NOTHING = ctypes.c_long(0)
_TIMER_ABSTIME = 1
_RENAME_EXCHANGE = 2

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """From now on orphaned descendants become our children. Raises OSError."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def on_parents_death(number: int) -> None:
    """Send us this signal when our parent dies. Whoever changes its effective user has to ask again. Raises OSError."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0))


def join_new_keyring() -> None:
    """Leave the session keyring that we inherited for an empty one, where the kernel has keyrings and room for it."""
    if _KEYCTL is not None:
        _libc.syscall(_keyctl, _JOIN_SESSION_KEYRING, None)


def renew_keyring() -> None:
    """Leave the session keyring for an empty one, unless it is empty: who had it before may have put keys there, or
    revoked it."""
    if _KEYCTL is not None and _libc.syscall(_keyctl, _READ, _SESSION_KEYRING, None, _NOTHING) != 0:
        join_new_keyring()


def exchange(new: str, old: str, directory: int) -> None:
    """Put each of two files of a directory (descriptor) in the place of the other, in one step; or the new one in that
    of the old, where there is none, or a file system cannot exchange. Raises OSError."""
    if _libc.renameat2(directory, os.fsencode(new), directory, os.fsencode(old), _RENAME_EXCHANGE) != 0:
        os.replace(new, old, src_dir_fd=directory, dst_dir_fd=directory)


def stay_in_memory() -> None:
    """Ask for all our pages to stay there, as far as we may: who must act when a disk hangs reads nothing from one."""
    _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE)


class BootAlarm:
    """SIGALRM at a time of the boot clock (s)."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._timer = ctypes.c_void_p()
        # No sigevent: the kernel then sends SIGALRM.
        _checked(_libc.timer_create(time.CLOCK_BOOTTIME, None, ctypes.byref(self._timer)))

    def set(self, at: float) -> None:
        spec = Itimerspec(Timespec(0, 0), Timespec(int(at), int(at % 1 * 1e9) + 1))
        _checked(_libc.timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(spec), None))


def _checked(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
