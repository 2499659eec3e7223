"""A command that is started again and again: posix_spawn(3), with all that stays the same made only once.

`os.posix_spawn` encodes argv and environment anew for each start, and makes the file actions and attributes anew: for
`/bin/true` with 35 variables that is a fifth of what a start costs us. Both go through vfork, which copies no page
tables.
"""

import ctypes
import os
from collections.abc import Mapping, Sequence
from typing import Any

_libc = ctypes.CDLL(None)
_posix_spawn = _libc.posix_spawn
_posix_spawn.argtypes = [ctypes.c_void_p] * 6
_RESETIDS, _SETSIGDEF, _SETSIGMASK, _SETSID = 0x01, 0x04, 0x08, 0x80  # spawn.h, of glibc and musl alike
_ROOM = 1024  # bytes; no C library's structures for this take more than a third of it

Status = tuple[int, int] | None  # a further descriptor of a process, and which it is there


class Settings:
    """How all processes of one slot are started: in sessions of their own, reading `stdin` (a descriptor, which may be
    another one for each), with no signal ignored or blocked."""

    def __init__(self, stdin: int, reset_ids: bool) -> None:
        """`reset_ids`: their effective user becomes our real one."""
        self.stdin = stdin
        self._attributes = ctypes.create_string_buffer(_ROOM)
        self._actions: Any = None
        self._actions_at = 0
        self._given: tuple[int, int, int, Status] = (-1, -1, -1, None)
        signals = ctypes.create_string_buffer(_ROOM)
        _checked(_libc.posix_spawnattr_init(self._attributes))
        _libc.sigemptyset(signals)
        _checked(_libc.posix_spawnattr_setsigmask(self._attributes, signals))
        # All, not only those that a slot ignores: of each that is not named here, glibc asks before it sets it anyway.
        _libc.sigfillset(signals)
        _checked(_libc.posix_spawnattr_setsigdefault(self._attributes, signals))
        flags = _SETSIGDEF | _SETSIGMASK | _SETSID | (_RESETIDS if reset_ids else 0)
        _checked(_libc.posix_spawnattr_setflags(self._attributes, ctypes.c_short(flags)))
        self.attributes = ctypes.addressof(self._attributes)

    def actions(self, out: int, err: int, status: Status = None) -> int:
        """The address of what gives a process these descriptors. Most have the same as the one before."""
        if self._given != (self.stdin, out, err, status):
            if self._actions is not None:
                _libc.posix_spawn_file_actions_destroy(self._actions)
            self._actions = ctypes.create_string_buffer(_ROOM)
            _checked(_libc.posix_spawn_file_actions_init(self._actions))
            for fd, target in ((self.stdin, 0), (out, 1), (err, 2), *((status,) if status else ())):
                _checked(_libc.posix_spawn_file_actions_adddup2(self._actions, fd, target))
            self._given, self._actions_at = (self.stdin, out, err, status), ctypes.addressof(self._actions)
        return self._actions_at


class Command:
    """`argv` and the environment, to which each start adds at most `room` variables of its own."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], room: int) -> None:
        """Raises ValueError for what no process can be given."""
        self._argv = _array([encoded(text) for text in argv])
        variables = [encoded(f"{_checked_name(name)}={value}") for name, value in env.items()]
        self._env = _array([*variables, *[b""] * room])
        self._own_at = len(variables)
        self._pid = ctypes.c_int()
        self._pid_at, self._argv_at, self._env_at = map(ctypes.addressof, (self._pid, self._argv, self._env))

    def start(
        self,
        program: bytes,
        own: Sequence[bytes],
        words: Sequence[str] | None,
        settings: Settings,
        out: int,
        err: int,
        status: Status = None,
    ) -> int:
        """Start `program`, with these variables of its own (NAME=VALUE), and these words as its arguments; None: those
        of the command. Answers its pid. Raises OSError, ValueError."""
        self._env[self._own_at : self._own_at + len(own) + 1] = (*own, None)
        argv, argv_at = self._argv, self._argv_at
        if words is not None:
            argv = _array([encoded(word) for word in words])
            argv_at = ctypes.addressof(argv)
        actions = settings.actions(out, err, status)
        if code := _posix_spawn(self._pid_at, program, actions, settings.attributes, argv_at, self._env_at):
            raise OSError(code, os.strerror(code))
        return self._pid.value


class CannotStart(Exception):
    """The attempt was not started. `code`: as a shell would put it, None when the command is not at fault.
    `returned`: this machine lacks something for it now."""

    def __init__(self, text: str, code: int | None = None, returned: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.returned = returned


def encoded(text: str) -> bytes:
    """As a process gets it. Raises ValueError."""
    data = os.fsencode(text)
    if b"\0" in data:
        raise ValueError("embedded null byte")
    return data


def _checked_name(name: str) -> str:
    if not name or "=" in name:
        raise ValueError("illegal environment variable name")
    return name


def _array(texts: Sequence[bytes]) -> Any:
    return (ctypes.c_char_p * (len(texts) + 1))(*texts, None)


def _checked(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
