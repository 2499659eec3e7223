"""Start one attempt: its own session, no inherited descriptors, output straight into files. A slot does this.

`os.posix_spawn` goes through vfork, which does not copy page tables, and costs a third of the Python time of
`subprocess.Popen`. What it lacks is made up for here: the working directory is the slot's own, changed just before (one
thread, so nobody sees it); descriptors need no closing because Python opens them all close-on-exec.

Another user needs no fork of its own either. A slot that is root has dropped groups and group for good, and stays root
in its effective and saved user ids. Just for the spawn its *real* user is the job's: `POSIX_SPAWN_RESETIDS` makes that
the child's effective one, and exec its saved one too. In that moment a job of the same user may signal the slot: one
that is stopped so, the launcher lets go on; one that is killed takes its attempt with it, which is lost.
"""

import errno
import os
import signal
import stat
from collections.abc import Callable
from typing import NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.printable import quoted
from cluster.domain.job.endings import NOT_FOUND, NOT_RUNNABLE
from cluster.domain.launcher.messages import Item, Template
from cluster.domain.launcher.slots import User
from cluster.launcher.blanks import BlankDirectory, BlankFile

# What Python or the slot ignores or handles, a job must not: it would inherit that through exec.
_DEFAULT_SIGNALS = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGIO,
)
MOST_PROGRAMS = 64  # of which a slot remembers where they are: names and PATHs are as long as who submits jobs likes
NO_MORE_PROCESSES = "this user or this machine may have no more processes (ulimit -u, pids.max, kernel.pid_max)"
# What says that this machine lacks something, or fails, when an attempt's files are made; no command is at fault then.
_LACKING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class CannotStart(Exception):
    """The attempt was not started. `code`: as a shell would put it, None when the command is not at fault.
    `returned`: this machine lacks something for it now."""

    def __init__(self, text: str, code: int | None = None, returned: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.returned = returned


class TooLate(Exception):
    """The attempt was not started: its lease has run out."""


class Running(NamedTuple):
    """An attempt that was started: its leader, the stem of its output files and how many there are (one when both
    streams go there), and its own directory ("": none)."""

    pid: int
    outputs: str
    files: int
    directory: str


def mark(key: AttemptKey, number: int | None) -> str:
    """CLUSTER_ATTEMPT: the attempt as people write it, which like its key no other attempt has."""
    return f"{key.job}#{key.attempt}" if number is None else f"{key.job}.{number}#{key.attempt}"


class Spawner:
    """Starts the attempts of one slot, one after another, as that user. `identity` is the value of CLUSTER_LAUNCHER in
    their environment; `became` is called when our effective user has changed and changed back.
    """

    def __init__(self, identity: str, user: User, became: Callable[[], None]) -> None:
        self._identity = identity
        self._uid, gid = user
        self._became = became
        owner = None if user == (None, None) else (_or_unchanged(self._uid), _or_unchanged(gid))
        self._out, self._err, self._directory = BlankFile(owner), BlankFile(owner), BlankDirectory(owner)
        self._null = os.open("/dev/null", os.O_RDONLY)
        self._programs: dict[tuple[str, str], str] = {}  # (name, PATH) -> file

    def start(self, item: Item, template: Template, late: Callable[[], bool]) -> Running:
        """Start it. Raises CannotStart, or TooLate when it is `late` once all is ready for it, which may take long on
        a disk that hangs; and nothing is left of it."""
        key = AttemptKey.parse(item.key)
        stem = f"{key.index}.{key.attempt}"
        outputs = f"{template.outputs}/{stem}"
        files: list[int] = []
        directory = ""
        try:
            files.append(_opened(self._out, outputs + ".out"))
            if not template.merge_output:
                files.append(_opened(self._err, outputs + ".err"))
            directory = self._enter(template, stem)
            if late():
                raise TooLate
            return Running(self._spawn(item, key, template, files), outputs, len(files), directory)
        except BaseException as e:
            self._settle(outputs, len(files), directory)
            if isinstance(e, ValueError):  # a NUL byte, or a character that this machine's locale cannot write
                raise CannotStart(f"cannot start {quoted(template.argv[0])}: {e}") from None
            raise
        finally:
            for fd in files:
                os.close(fd)

    def ended(self, running: Running) -> tuple[int, int]:
        """Nothing of it runs any more. How many bytes it has written to stdout and stderr."""
        return self._settle(running.outputs, running.files, running.directory)

    def tidy(self) -> None:
        """No attempt follows just now: hold on to nothing."""
        os.chdir("/")
        for blank in (self._out, self._err, self._directory):
            blank.tidy()

    def _settle(self, outputs: str, files: int, directory: str) -> tuple[int, int]:
        sizes = [file.ended(outputs + suffix) for file, suffix in ((self._out, ".out"), (self._err, ".err"))[:files]]
        if directory:
            self._directory.ended(directory)
        out, err = [*sizes, 0, 0][:2]
        return out, err

    def _enter(self, template: Template, stem: str) -> str:
        """Go where it is to run; answers its own new directory, if it gets one."""
        if not template.fresh_cwd:
            self._change_directory(template.cwd)
            return ""
        path = f"{template.cwd}/{stem}"
        try:
            self._directory.make(path)
            os.chdir(path)
        except OSError as e:
            text = f"cannot make the working directory {quoted(path)}: {e.strerror}"
            raise CannotStart(text, returned=e.errno in _LACKING) from None
        return path

    def _change_directory(self, cwd: str) -> None:
        """Not skipped when it is the same path as before: it may have been replaced by another directory.

        With no more rights than the job: it must not begin where its user could never have gone, for from there it
        would see what a closed directory further up hides from it.
        """
        try:
            if self._uid is None:
                os.chdir(cwd)
                return
            os.seteuid(self._uid)
            try:
                os.chdir(cwd)
            finally:
                os.seteuid(0)
                self._became()
        except OSError as e:
            raise CannotStart(f"cannot use {quoted(cwd)} as working directory: {e.strerror}") from None

    def _spawn(self, item: Item, key: AttemptKey, template: Template, files: list[int]) -> int:
        argv = list(template.argv)
        env = dict(template.env)
        env["CLUSTER_ATTEMPT"] = mark(key, item.number)
        env["CLUSTER_TASK"] = str(item.number or 0)
        env["CLUSTER_LAUNCHER"] = self._identity
        if item.line is not None:
            env["CLUSTER_LINE"] = item.line
            argv = [a.replace("{}", item.line) for a in argv]
        actions = (
            (os.POSIX_SPAWN_DUP2, self._null, 0),
            (os.POSIX_SPAWN_DUP2, files[0], 1),
            (os.POSIX_SPAWN_DUP2, files[-1], 2),
        )
        path = env.get("PATH", os.defpath)
        known = self._programs.get((argv[0], path))
        program = ""
        if self._uid is not None:
            os.setresuid(self._uid, 0, 0)
        try:
            program = known or self._find(argv[0], path)
            if known and not os.path.exists(known):
                self._programs.clear()
                program = self._find(argv[0], path)
            return os.posix_spawn(
                program,
                argv,
                env,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=_DEFAULT_SIGNALS,
                resetids=self._uid is not None,
            )
        except OSError as e:
            self._programs.clear()
            raise _explain(e, program, argv[0]) from None
        finally:
            if self._uid is not None:
                os.setresuid(0, 0, 0)

    def _find(self, name: str, path: str) -> str:
        """The file that `name` stands for, looked up as execvp does, in the PATH that the command itself gets, with the
        rights of our real user.
        """
        if "/" in name:
            return name
        for directory in path.split(os.pathsep):
            file = os.path.join(directory or ".", name)
            if os.access(file, os.X_OK) and os.path.isfile(file):
                if os.path.isabs(file):
                    if len(self._programs) >= MOST_PROGRAMS:
                        self._programs.clear()
                    self._programs[name, path] = file
                return file
        raise CannotStart(f"cannot start {quoted(name)}: not found in PATH {quoted(path)}", NOT_FOUND)


def _or_unchanged(id_: int | None) -> int:
    return -1 if id_ is None else id_


def _opened(file: BlankFile, path: str) -> int:
    try:
        return file.open(path)
    except FileExistsError:
        raise CannotStart(f"cannot write output: {quoted(path)} exists already") from None
    except OSError as e:
        text = f"cannot write output to {quoted(path)}: {e.strerror}"
        raise CannotStart(text, returned=e.errno in _LACKING) from None


def _explain(error: OSError, program: str, name: str) -> CannotStart:
    if error.errno == errno.ENOENT:
        if os.path.exists(program):
            return CannotStart(f"cannot start {quoted(name)}: its interpreter does not exist", NOT_FOUND)
        return CannotStart(f"cannot start {quoted(name)}: no such file", NOT_FOUND)
    if error.errno == errno.ENOEXEC:
        text = f"cannot start {quoted(name)}: neither a program nor a script that begins with #!"
        return CannotStart(text, NOT_RUNNABLE)
    if error.errno == errno.E2BIG:
        text = f"cannot start {quoted(name)}: its arguments and environment are longer than this machine can pass on"
        return CannotStart(text, NOT_RUNNABLE)
    if error.errno in (errno.EACCES, errno.EISDIR, errno.ENOTDIR):
        why = "it is a directory" if _is_directory(program) else error.strerror
        return CannotStart(f"cannot start {quoted(name)}: {why}", NOT_RUNNABLE)
    if error.errno == errno.EAGAIN:
        return CannotStart(f"cannot start {quoted(name)}: {NO_MORE_PROCESSES}", returned=True)
    return CannotStart(f"cannot start {quoted(name)}: {error.strerror}", returned=error.errno in _LACKING)


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False
