"""What SQLite reports: whether it may heal, and in words for people."""

import os
import sqlite3
from pathlib import Path

# Kinds of errors that go away: with room, with a better disk, when another process lets go.
_PASSING = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
)
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_NEVER = (sqlite3.SQLITE_IOERR_CORRUPTFS,)


def lacks_room(error: sqlite3.Error) -> bool:
    """Whether that is what it may be: SQLite calls it an I/O error where a file that is mapped cannot grow, and where
    no file can be made it cannot open one."""
    return _kind(getattr(error, "sqlite_errorcode", 0)) in _NO_ROOM


def may_heal(error: sqlite3.Error, path: Path) -> bool:
    code = getattr(error, "sqlite_errorcode", 0)
    return _kind(code) in _PASSING and code not in _NEVER and not _is_read_only(path)


def _kind(code: int) -> int:
    return code & 0xFF  # the low byte; the rest is its detail


def _is_read_only(path: Path) -> bool:
    """Whether the file system was mounted so, as the kernel does with one whose disk reports errors."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def explain(error: sqlite3.Error, path: Path, patience: float) -> str:
    """SQLite's words for people, with what to do. `patience`: seconds that another process was waited for."""
    if _is_read_only(path):
        return "its file system is mounted read-only; mount it writable, if its disk is well, and start again"
    match _kind(getattr(error, "sqlite_errorcode", 0)):
        case sqlite3.SQLITE_FULL:
            return "the disk is full; make room"
        case sqlite3.SQLITE_IOERR:
            return f"the disk reports an error ({error.sqlite_errorname})"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return f"it is damaged ({error}); bring it back from a backup, or move it away to start empty"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"another process has held it for {patience:g} s"
        case _:
            return str(error)
