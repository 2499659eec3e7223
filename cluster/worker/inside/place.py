"""Where jobs find the program and the socket: a directory that the jobs' user reaches, and that only we may change.

bin/cluster   the command line, first on the PATH of each attempt
cluster, cache/   where jobs run as another user: a copy of the packed file, and what it unpacks itself into for them
jobs.sock     what it calls
"""

import logging
import os
import secrets
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cluster.domain.base.errors import ClusterError
from cluster.domain.launcher.attempt_tokens import SECRET_BYTES, key_of_job
from cluster.domain.launcher.slots import User
from cluster.pki.files import write_private

logger = logging.getLogger(__name__)

SOCKET, SECRET = "jobs.sock", "attempts.key"


@dataclass(frozen=True, slots=True)
class Inside:
    """`directory`: that place. `secret`: what the tokens of attempts are made from."""

    directory: Path
    secret: bytes

    def environment(self, path: str) -> dict[str, str]:
        """What each attempt finds there, whose PATH would be that."""
        words = (str(self.directory / "bin"), *([path] if path else ()))
        return {"PATH": os.pathsep.join(words), "CLUSTER_SOCKET": str(self.directory / SOCKET)}

    def token_key(self, job: int) -> str:
        """For a template of that job."""
        return key_of_job(self.secret, job).hex()

    def leave(self, work: Path) -> None:
        """We end: where the place lies among the directories of jobs, it goes with the last of these."""
        with suppress(OSError):
            if self.directory.parent == work and os.listdir(work) == [self.directory.name]:
                shutil.rmtree(work)


def make_place(directory: Path, work: Path, user: User, program: Sequence[str], cache: str) -> Inside:
    """Makes it, or brings it up to date. `directory`: our own, `work`: where jobs of another user (`user`) have theirs.
    `program`: the words that start this program; none: jobs get none. `cache`: what it has unpacked itself into, empty:
    it is no packed file.

    What cannot be made is told in the log, and jobs do without."""
    place = (directory if user[0] is None else work) / "inside"
    try:
        place.mkdir(mode=0o711, exist_ok=True)
        place.chmod(0o711)
        _write_program(place, user, program, cache)
    except OSError as error:
        logger.warning("jobs do not find this program: %s: %s", error.filename or place, error.strerror)
    return Inside(place, _secret(directory / SECRET))


def give(path: Path, user: User) -> None:
    """It becomes that user's."""
    uid, gid = user
    os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid)


def _secret(path: Path) -> bytes:
    """The same for as long as the directory lasts, so that what runs can go on calling when we were started again."""
    with suppress(FileNotFoundError):
        if len(secret := path.read_bytes()) == SECRET_BYTES:
            return secret
    secret = secrets.token_bytes(SECRET_BYTES)
    try:
        write_private(path, secret)
    except ClusterError as error:
        logger.warning("what runs when this worker is started again can call the cluster no more: %s", error)
    return secret


def _write_program(place: Path, user: User, program: Sequence[str], cache: str) -> None:
    file = place / "bin" / "cluster"
    file.parent.mkdir(mode=0o755, exist_ok=True)
    file.parent.chmod(0o755)
    if not program:
        file.unlink(missing_ok=True)
        return
    lines = ["#!/bin/sh", "# The command line of the cluster that runs this job."]
    if user[0] is None:
        lines += [f"export CLUSTER_CACHE={shlex.quote(cache)}"] if cache else []
        lines.append(f'exec {shlex.join(program)} "$@"')
    elif not cache:
        logger.info("jobs of another user do not find this program: it is no packed file")
        file.unlink(missing_ok=True)
        return
    else:
        copy, theirs = place / "cluster", place / "cache"
        _copy(Path(program[-1]), copy)
        theirs.mkdir(mode=0o700, exist_ok=True)
        give(theirs, user)
        python = shlex.quote(program[0])  # perhaps one that only we may run
        lines += [
            f"export CLUSTER_CACHE={shlex.quote(str(theirs))}",
            f'[ -x {python} ] && exec {python} {shlex.join([*program[1:-1], str(copy)])} "$@"',
            f'exec {shlex.quote(str(copy))} "$@"',
        ]
    _replace(file, "\n".join([*lines, ""]).encode(), 0o755)


def _copy(source: Path, target: Path) -> None:
    """Unless it is there: a file has the time of the one that it was copied from."""
    wanted = source.stat()
    with suppress(FileNotFoundError):
        there = target.stat()
        if (there.st_size, there.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns):
            return
    fresh = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, fresh)
    fresh.chmod(0o755)
    os.utime(fresh, ns=(wanted.st_atime_ns, wanted.st_mtime_ns))
    fresh.rename(target)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """At once: it may be read, or run, at any moment."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.chmod(mode)
    fresh.rename(path)
