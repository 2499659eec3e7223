"""Start one attempt: its own session, no inherited descriptors, output straight into files.

`os.posix_spawn` is the way for all but one case: like `subprocess.Popen` without preexec_fn it goes through
vfork, which does not copy page tables, but it costs a third of Popen's Python time (measured: 75 µs of our
CPU against 150 µs). What it lacks is made up for here: the working directory is the launcher's own, changed
just before (one thread, so nobody sees it); descriptors need no closing because Python opens them all
close-on-exec. Another user needs fork, so that case uses Popen.
"""

import errno
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from cluster.domain.ids import AttemptKey
from cluster.domain.launcher_events import Item, Template

_OUTPUT = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
# What Python ignores, a job must not: it would inherit that through exec.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
NOT_FOUND, NOT_RUNNABLE = 127, 126  # what a shell answers


class CannotStart(Exception):
    """The attempt was not started. `code`: as a shell would put it, None when the command is not at fault."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class Command(NamedTuple):
    argv: list[str]
    env: dict[str, str]
    cwd: str
    outputs: str  # the stem of both output files


def mark(key: AttemptKey, number: int | None) -> str:
    """CLUSTER_ATTEMPT: the attempt as people write it, which like its key no other attempt has."""
    return f"{key.job}#{key.attempt}" if number is None else f"{key.job}.{number}#{key.attempt}"


def output_stem(key: AttemptKey, template: Template) -> str:
    """The path of its output files without `.out` and `.err`."""
    return f"{template.outputs}/{key.index}.{key.attempt}"


class Spawner:
    """Starts attempts. `identity` is the value of CLUSTER_LAUNCHER in their environment."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._null = os.open("/dev/null", os.O_RDONLY)
        self._cwd = ""
        self._programs: dict[tuple[str, str], str] = {}  # (name, PATH) -> file

    def spawn(self, item: Item, template: Template) -> int:
        """Start it; answers the leader's pid. Raises CannotStart."""
        try:
            return self._spawn(item, template)
        except ValueError as e:  # a NUL byte from a line, or a character that this machine's locale cannot write
            raise CannotStart(f"cannot start {template.argv[0]!r}: {e}") from None

    def _spawn(self, item: Item, template: Template) -> int:
        command = self._command(item, template)
        if template.fresh_cwd:
            _make_directory(command.cwd, template)
        as_user = template.uid is not None or template.gid is not None
        with _rights_of(template) if as_user and not template.fresh_cwd else nullcontext():
            self._change_directory(command.cwd)
        if as_user:
            return self._spawn_as_user(command, template)
        program = self._find(command.argv[0], command.env.get("PATH", os.defpath))
        actions = (
            (os.POSIX_SPAWN_DUP2, self._null, 0),
            (os.POSIX_SPAWN_OPEN, 1, command.outputs + ".out", _OUTPUT, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2)
            if template.merge_output
            else (os.POSIX_SPAWN_OPEN, 2, command.outputs + ".err", _OUTPUT, 0o600),
        )
        try:
            return os.posix_spawn(
                program,
                command.argv,
                command.env,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=_DEFAULT_SIGNALS,
            )
        except OSError as e:
            self._programs.clear()
            raise _explain(e, program, command, template) from None

    def _command(self, item: Item, template: Template) -> Command:
        key = AttemptKey.parse(item.key)
        argv = list(template.argv)
        env = dict(template.env)
        env["CLUSTER_ATTEMPT"] = mark(key, item.number)
        env["CLUSTER_TASK"] = str(item.number or 0)
        env["CLUSTER_LAUNCHER"] = self._identity
        if item.line is not None:
            env["CLUSTER_LINE"] = item.line
            argv = [a.replace("{}", item.line) for a in argv]
        cwd = f"{template.cwd}/{key.index}.{key.attempt}" if template.fresh_cwd else template.cwd
        return Command(argv, env, cwd, output_stem(key, template))

    def _change_directory(self, cwd: str) -> None:
        """Not skipped when it is the same path as before: it may have been replaced by another directory."""
        try:
            os.chdir(cwd)
        except OSError as e:
            raise CannotStart(f"cannot use {cwd!r} as working directory: {e.strerror}") from None

    def _find(self, name: str, path: str) -> str:
        """The file that `name` stands for, looked up as execvp does, in the PATH that the command itself
        gets.
        """
        if "/" in name:
            return name
        known = self._programs.get((name, path))
        if known is not None:
            return known
        for directory in path.split(os.pathsep):
            file = os.path.join(directory or ".", name)
            if os.access(file, os.X_OK) and os.path.isfile(file):
                if os.path.isabs(file):
                    self._programs[name, path] = file
                return file
        raise CannotStart(f"cannot start {name!r}: not found in PATH {path!r}", NOT_FOUND)

    def _spawn_as_user(self, command: Command, template: Template) -> int:
        import subprocess  # here alone: 5 ms and 1 MiB that other launchers save

        files = []
        try:
            files = [os.open(file, _OUTPUT, 0o600) for file in _output_files(command, template)]
            for fd in files:
                # Else `>/dev/stderr` would be forbidden. It still cannot reach the file by its name.
                os.fchown(fd, _or_unchanged(template.uid), _or_unchanged(template.gid))
            process = subprocess.Popen(
                command.argv,
                env=command.env,
                stdin=self._null,
                stdout=files[0],
                stderr=files[-1],
                start_new_session=True,
                user=template.uid,
                group=template.gid,
                extra_groups=[],
            )
        except OSError as e:
            if e.errno == errno.EACCES and "/" not in command.argv[0]:
                # Of all directories in PATH, execvp tells of one that is closed to the user, not of those without it.
                self._programs.clear()
                self._find(command.argv[0], command.env.get("PATH", os.defpath))
            raise _explain(e, command.argv[0], command, template) from None
        finally:
            for fd in files:
                os.close(fd)
        process.returncode = 0  # reaped by the launcher's own wait, not by Popen
        return process.pid


@contextmanager
def _rights_of(template: Template) -> Iterator[None]:
    """Only what the template's user may do. A command must not begin where that user could never have gone: from
    there it would see what a closed directory further up hides from it.
    """
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    try:
        os.setgroups([])
        os.setegid(gid if template.gid is None else template.gid)
        os.seteuid(uid if template.uid is None else template.uid)
    except OSError as e:
        raise CannotStart(f"cannot become user {template.uid}: {e.strerror}") from None
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def _make_directory(path: str, template: Template) -> None:
    try:
        os.mkdir(path, 0o700)
        if template.uid is not None or template.gid is not None:
            os.chown(path, _or_unchanged(template.uid), _or_unchanged(template.gid))
    except OSError as e:
        raise CannotStart(f"cannot make the working directory {path!r}: {e.strerror}") from None


def _output_files(command: Command, template: Template) -> list[str]:
    return [command.outputs + suffix for suffix in ((".out",) if template.merge_output else (".out", ".err"))]


def _or_unchanged(id_: int | None) -> int:
    return -1 if id_ is None else id_


def _explain(error: OSError, program: str, command: Command, template: Template) -> CannotStart:
    """Which of the three steps failed (two output files, the program) is not told: look at what is there."""
    for path in _output_files(command, template):
        if not os.path.exists(path):
            return CannotStart(f"cannot write output to {path!r}: {error.strerror}")
    name = command.argv[0]
    if error.errno == errno.EEXIST:
        return CannotStart(f"cannot write output: {command.outputs}.out or .err exists already")
    if error.errno == errno.ENOENT:
        if os.path.exists(program):
            return CannotStart(f"cannot start {name!r}: its interpreter does not exist", NOT_FOUND)
        return CannotStart(f"cannot start {name!r}: no such file", NOT_FOUND)
    if error.errno == errno.ENOEXEC:
        text = f"cannot start {name!r}: neither a program nor a script that begins with #!"
        return CannotStart(text, NOT_RUNNABLE)
    if error.errno in (errno.EACCES, errno.EISDIR, errno.ENOTDIR):
        why = "it is a directory" if _is_directory(program) else error.strerror
        return CannotStart(f"cannot start {name!r}: {why}", NOT_RUNNABLE)
    return CannotStart(f"cannot start {name!r}: {error.strerror}")


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False
