"""The directory that the file unpacks itself into, and why it can be trusted.

What lies there is run, with the rights of whoever runs it. So before anything in it is imported, it is certain that
nobody else (but root) could have put it there: the cache directory and the tree are the user's own and nobody else may
write them, no directory above them can be changed by anyone else, and nobody else may even enter the tree.
"""

import os
import stat
import sys
from importlib.machinery import EXTENSION_SUFFIXES

from . import contents

ARCHIVE = os.path.dirname(os.path.dirname(__file__))  # the packed file: this module is ARCHIVE/boot/cache.py
OTHERWISE = "set CLUSTER_CACHE to a directory that only you can change"


class Unusable(Exception):
    """The program cannot start here; the message says why and what to do, in one line."""


def tree() -> str:
    """The path of the unpacked tree that fits this file and this Python, unpacked now if it was not yet."""
    suffix = EXTENSION_SUFFIXES[0]  # such as .cpython-311-x86_64-linux-gnu.so: version, ABI, machine and C library
    if suffix not in contents.SUFFIXES:
        raise Unusable(f"this file is for {contents.MADE_FOR}, but {sys.executable} loads modules named *{suffix}")
    cache = os.path.realpath(location())
    _check_executable(cache)
    place = os.path.join(cache, f"{contents.ID[:16]}{suffix.removesuffix('.so')}")
    if not os.path.isdir(place):
        # Everything made from here on is the user's alone, whatever his umask.
        umask = os.umask(0o077)
        try:
            _fill(cache, place)
        finally:
            os.umask(umask)
    _check(cache)
    _check_own(place, forbidden=0o077)
    return os.path.join(place, "site-packages")


def location() -> str:
    """The cache directory: $CLUSTER_CACHE, or `cluster` in the user's cache directory (XDG)."""
    chosen = os.environ.get("CLUSTER_CACHE")
    if chosen:
        return chosen
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(caches):  # a relative one is to be ignored, says the XDG specification
        caches = os.path.expanduser("~/.cache")
    if not os.path.isabs(caches):
        raise Unusable(f"no home directory is known to unpack into: {OTHERWISE}")
    return os.path.join(caches, "cluster")


def _fill(cache: str, place: str) -> None:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""  # such as "glibc 2.36"
    if tuple(map(int, libc.removeprefix("glibc ").split("."))) < contents.GLIBC:
        raise Unusable(f"this file is for {contents.MADE_FOR}, but this machine has {libc}")
    try:
        os.makedirs(cache, exist_ok=True)
        _check(cache)

        from .unpack import unpack  # only now: a start that finds its tree does without zipfile, lzma and shiv

        unpack(ARCHIVE, place)
    except OSError as problem:
        raise Unusable(f"cannot unpack into {cache}: {problem.strerror or problem}; {OTHERWISE}") from None
    except MemoryError:
        raise Unusable("too little memory is allowed here to unpack this file: see `ulimit -v`") from None
    except ImportError as problem:
        raise Unusable(f"{sys.executable} lacks a part of Python's own library: {problem}") from None


def _check_executable(directory: str) -> None:
    """Raises `Unusable` where the file system that the directory is (to be) on lets no library be loaded from it."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    if os.statvfs(directory).f_flag & os.ST_NOEXEC:
        raise Unusable(f"nothing can be run from {directory} (mounted noexec): {OTHERWISE}, on another file system")


def _check(cache: str) -> None:
    """Raises `Unusable` unless only this user (and root) can change what the path `cache` leads to."""
    _check_own(cache, forbidden=0o022)
    above = os.path.dirname(cache)
    while True:
        found = os.stat(above)
        if found.st_uid not in (0, os.geteuid()):
            raise Unusable(f"{above} belongs to user {found.st_uid}, who could change what runs here: {OTHERWISE}")
        # In a sticky directory such as /tmp others may add entries, but not replace ours.
        if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
            raise Unusable(f"{above} can be changed by other users: run `chmod go-w {above}`, or {OTHERWISE}")
        if above == os.path.dirname(above):
            return
        above = os.path.dirname(above)


def _check_own(directory: str, forbidden: int) -> None:
    """Raises `Unusable` unless the directory is this user's and gives others none of the `forbidden` rights."""
    found = os.lstat(directory)
    if found.st_uid != os.geteuid():
        raise Unusable(f"{directory} belongs to user {found.st_uid}, not to you: remove it, or {OTHERWISE}")
    if found.st_mode & forbidden:
        raise Unusable(
            f"{directory} is open to other users (mode {stat.S_IMODE(found.st_mode):o}), "
            f"who may have changed what runs here: remove it, or {OTHERWISE}"
        )
