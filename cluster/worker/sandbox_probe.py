"""Whether this worker can shut jobs in, and with what: it is tried once, with all that a job would get."""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from cluster.domain.base.errors import ClusterError, InvalidInput
from cluster.domain.job.spec import JobSpec
from cluster.worker.sandbox import PYTHON, ROOT_DIRECTORIES, Sandbox
from cluster.worker.templates import DEFAULT_PATH, RunAs

logger = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds for one try
USR = "/usr"
_PLACES = "import json, os, sys; print(json.dumps([sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)]))"


class SandboxOptions(Protocol):
    """What is needed of `cluster.worker.process.WorkerOptions`, which says what each means."""

    @property
    def execute_python(self) -> str: ...
    @property
    def execute_network(self) -> bool: ...
    @property
    def execute_unconfined(self) -> bool: ...


def find_sandbox(options: SandboxOptions, user: RunAs) -> Sandbox | None:
    """What shuts jobs of that user in; None: nothing does, and the log says why. InvalidInput for an interpreter that
    was named and cannot be used. Takes a tenth of a second."""
    limiter = shutil.which("prlimit", path=DEFAULT_PATH)
    if limiter is None:
        return _nothing("prlimit, of util-linux, is not installed")
    if options.execute_unconfined:
        python = options.execute_python or _first_usable(Sandbox(limiter), user)
        logger.warning("jobs of --sandbox, and code of /execute, are not shut in here: --execute-unconfined")
        return Sandbox(limiter, python=python, network=True)
    bubblewrap = shutil.which("bwrap", path=DEFAULT_PATH)
    if bubblewrap is None:
        return _nothing("bubblewrap is not installed")
    if (os.geteuid() if user.uid is None else user.uid) == 0:
        return _nothing("jobs have root's rights here (--run-as), which no sandbox holds for certain")
    empty = Sandbox(limiter, bubblewrap, network=options.execute_network)
    sandbox = _with_roots(empty)
    wrong = ""
    for python in (options.execute_python,) if options.execute_python else _interpreters():
        if options.execute_python and not os.path.isabs(python):
            raise InvalidInput(f"--execute-python {python!r}: give the absolute path of an interpreter")
        try:
            found = _with_python(sandbox, python, user)
            _try(found, user)
        except ClusterError as error:
            wrong = f"{wrong}{'; ' if wrong else ''}{error}"
            continue
        logger.info("jobs of --sandbox are shut in by bubblewrap, %s; python3 is %s", _network(found), python)
        return found
    if options.execute_python:
        raise InvalidInput(f"--execute-python {options.execute_python}: {wrong}")
    return _nothing(wrong)


def _network(sandbox: Sandbox) -> str:
    return "with this machine's network" if sandbox.network else "without network"


def _nothing(why: str) -> Sandbox | None:
    logger.info("no job of --sandbox and no code of /execute runs here: %s", why)
    return None


def _interpreters() -> Sequence[str]:
    """The one that runs us, and the system's, where the jobs' user may not use that."""
    there = (sys.executable, shutil.which(PYTHON, path=DEFAULT_PATH) or "")
    return tuple(dict.fromkeys(filter(None, there)))


def _first_usable(sandbox: Sandbox, user: RunAs) -> str:
    for python in _interpreters():
        try:
            _answer([python, "-I", "-c", ""], user)
        except ClusterError:
            continue
        return python
    return ""


def _with_roots(sandbox: Sandbox) -> Sandbox:
    """With what leads into /usr, or is a directory of its own where the system keeps them apart."""
    there = [Path("/", name) for name in ROOT_DIRECTORIES]
    links = tuple((str(path), os.readlink(path)) for path in there if path.is_symlink())
    apart = tuple(str(path) for path in there if path.is_dir() and not path.is_symlink())
    return replace(sandbox, links=links, directories=apart)


def _with_python(sandbox: Sandbox, python: str, user: RunAs) -> Sandbox:
    """With that interpreter and all directories that it needs. ClusterError."""
    prefix, base, program = json.loads(_answer([python, "-I", "-c", _PLACES], user))
    places = list(sandbox.directories)
    for place in (prefix, base, os.path.dirname(program)):
        if place == "/":
            raise ClusterError(f"{python} has its files in all of this machine's")
        if not any(_is_in(place, known) for known in (USR, *places)):
            places.append(place)
    return replace(sandbox, python=python, directories=tuple(places))


def _is_in(place: str, directory: str) -> bool:
    return os.path.commonpath((place, directory)) == directory


def _try(sandbox: Sandbox, user: RunAs) -> None:
    """ClusterError where a job would not run, or how it has left would not be told."""
    spec = JobSpec((PYTHON, "-I", "-c", "import os; print(os.getcwd())"), sandbox=True, timeout=1.0)
    words = [*sandbox.words(spec, sandbox.status_fd), *sandbox.command(spec.argv)]
    told = _answer(["/bin/sh", "-c", f'exec "$@" {sandbox.status_fd}>&1', "sh", *words], user)
    if b'"exit-code": 0' not in told:
        raise ClusterError("bubblewrap does not tell how a command has left: it is older than 0.4")


def _answer(command: Sequence[str], user: RunAs) -> bytes:
    """What it writes, run as a job of that user would be. ClusterError where it fails."""
    ids: dict[str, Any] = {} if user.uid is None else {"user": user.uid, "group": user.gid, "extra_groups": []}
    try:
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)  # noqa: S103 (it is empty, and they are to see it)
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                cwd=directory,
                env={"PATH": DEFAULT_PATH},
                **ids,
            )
    except (OSError, subprocess.SubprocessError) as error:  # the latter also of a child that was killed before its exec
        raise ClusterError(f"{command[0]}: {error.strerror if isinstance(error, OSError) else error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="backslashreplace").strip().rpartition("\n")[2][:300]
        raise ClusterError(said or f"{command[0]} left with {done.returncode}")
    output: bytes = done.stdout
    return output
