"""Start one attempt: its own session, no inherited descriptors, output straight into files. A slot does this.

posix_spawn(3) (`command`) goes through vfork, which does not copy page tables. What it lacks is made up for here: the
working directory is the slot's own, changed just before (one thread, so nobody sees it); descriptors need no closing
because Python opens them all close-on-exec.

Another user needs no fork of its own either. A slot that is root has dropped groups and group for good, and stays root
in its effective and saved user ids. Just for the spawn its *real* user is the job's: `POSIX_SPAWN_RESETIDS` makes that
the child's effective one, and exec its saved one too. In that moment a job of the same user may signal the slot: one
that is stopped so, the launcher lets go on; one that is killed takes its attempt with it, which is lost.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.printable import quoted
from cluster.domain.job.endings import NOT_FOUND, NOT_RUNNABLE
from cluster.domain.job.exec_limits import MAX_STRING, is_too_long
from cluster.domain.job.given_files import unpacked
from cluster.domain.job.rows import MAX_COLUMNS, file_in, filled, texts_of, variable_of
from cluster.domain.job.task_variables import OF_ATTEMPTS, SOCKET
from cluster.domain.launcher.slots import User
from cluster.domain.launcher.template import Template
from cluster.launcher import given_files
from cluster.launcher.blanks import BlankDirectory, BlankFile
from cluster.launcher.command import CannotStart, Command, Settings, Status, encoded
from cluster.launcher.command_sequence import lead
from cluster.launcher.log import log
from cluster.launcher.sandbox_status import SandboxStatus
from cluster.launcher.slot_protocol import HandedAttempt
from cluster.launcher.unpacking import ContentMissing, content_path
from cluster.launcher.views import Views

_OWN = frozenset(OF_ATTEMPTS)  # variables that differ between attempts of a template
PATH_SHOWN = 120  # characters of a PATH that an error tells
NO_MORE_PROCESSES = "this user or this machine may have no more processes (ulimit -u, pids.max, kernel.pid_max)"
# What says that this machine lacks something, or fails, when an attempt's files are made; no command is at fault then.
_LACKING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class TooLate(Exception):
    """The attempt was not started: its lease has run out."""


class Running:
    """An attempt that was started: its leader, the stem of its output files and how many there are (one when both
    streams go there), its own directory ("": none), whether that is a view of an upload, and the names of files that it
    was given there. Of several commands also these, and a descriptor that tells which was begun."""

    pid, files, directory, is_view = 0, 0, "", False
    given: Sequence[str] = ()
    commands: Sequence[Sequence[str]] = ()
    told = -1

    def __init__(self, outputs: str) -> None:
        self.outputs = outputs


class Spawner:
    """Starts the attempts of one slot, one after another, as that user. `identity` is the value of CLUSTER_LAUNCHER in
    their environment; `became` is called when our effective user has changed and changed back.
    """

    def __init__(self, identity: str, user: User, became: Callable[[], None]) -> None:
        self._identity = identity
        self._uid, gid = user
        self._became = became
        self._owner = None if user == (None, None) else (_or_unchanged(self._uid), _or_unchanged(gid))
        self._both = ((BlankFile(self._owner), ".out"), (BlankFile(self._owner), ".err"))
        self._streams: tuple[tuple[BlankFile, str], ...] = (
            self._both
        )  # of the attempts of the template: when they are merged, the first
        self._directory = BlankDirectory(self._owner)
        self._views = Views(self._owner, self._as_user)
        self._null = os.open("/dev/null", os.O_RDONLY)
        self._settings = Settings(self._null, reset_ids=self._uid is not None)
        self._sandbox: SandboxStatus | None = None  # of the attempts of the template, where something shuts them in
        self._status: Status = None  # how they get it
        self._template: Template | None = None  # of the last attempt; another job has another one
        self._command: Command | None = None  # its, once that could be made
        self._path = ""  # its PATH
        self._name = ""  # of the program that its last attempt ran, as the command has it
        self._program: bytes | None = None  # the file that this was found to be

    def start(
        self, attempt: HandedAttempt, template: Template, late: Callable[[], bool], nameless: bool = False
    ) -> Running:
        """Start it; `nameless`: its output files get their names later, if they can. Raises CannotStart, or TooLate
        when it is `late` once all is ready for it, which may take long on a disk that hangs; and nothing is left of
        it."""
        if template is not self._template:
            self._tidy_blanks()
            self._template, self._command = template, None
            self._streams = self._both[: 1 if template.merge_output else 2]
            self._tell_of_sandbox(template.status_fd)
        if self._sandbox is not None:
            self._sandbox.clear()
        running = Running(f"{template.outputs}/{attempt.stem}")
        files: list[int] = []
        try:
            self._open(running, template.outputs, attempt.stem, files, nameless)
            self._enter(running, attempt, template)
            if late():
                raise TooLate
            if template.stdin:
                self._settings.stdin = self._open_stdin(template)
            running.pid = self._spawn(running, attempt, template, files)
            return running
        except BaseException as e:
            self.ended(running)
            if isinstance(e, ValueError):  # a NUL byte, or a character that this machine's locale cannot write
                raise CannotStart(f"cannot start {quoted(template.argv[0])}: {e}") from None
            raise
        finally:
            for fd in files:
                os.close(fd)
            if self._settings.stdin != self._null:
                os.close(self._settings.stdin)
                self._settings.stdin = self._null

    def name(self, running: Running) -> None:
        """Its output files can be found by their names from now on; what cannot be named now is tried at its end."""
        for file, suffix in self._streams[: running.files]:
            try:
                file.name(running.outputs + suffix)
            except OSError as e:
                log(f"{quoted(running.outputs + suffix)} cannot be made while its attempt runs: {e.strerror}")

    def ended(self, running: Running) -> tuple[int, int]:
        """Nothing of it runs any more. How many bytes it has written to stdout and stderr."""
        out = self._size_of(running, 0) if running.files else 0
        err = self._size_of(running, 1) if running.files > 1 else 0
        if running.directory:
            if running.given:
                given_files.remove(running.directory, running.given)
            place = self._views if running.is_view else self._directory
            if self._template is not None and self._template.keeps:
                place.let_go()
            else:
                place.ended(running.directory)
        return out, err

    def why_unmade(self, running: Running, code: int | None) -> str:
        """Why what was to shut it in could not be made, of one that has ended and left with that code. Empty: it was,
        or nothing was to."""
        return self._sandbox.why_unmade(code, running.outputs + self._streams[-1][1]) if self._sandbox else ""

    def tidy(self) -> None:
        """No attempt follows just now: hold on to nothing."""
        os.chdir("/")
        self._tidy_blanks()

    def _tidy_blanks(self) -> None:
        for blank in (self._streams[0][0], self._streams[1][0], self._directory):
            blank.tidy()

    def _tell_of_sandbox(self, status_fd: int) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
        self._sandbox = SandboxStatus() if status_fd else None
        self._status = (self._sandbox.fd, status_fd) if self._sandbox else None

    def _open(self, running: Running, directory: str, stem: str, files: list[int], nameless: bool) -> None:
        for file, suffix in self._streams:
            try:
                files.append(file.open(directory, stem + suffix, nameless))
            except FileExistsError:
                path = f"{directory}/{stem}{suffix}"
                raise CannotStart(f"cannot write output: {quoted(path)} exists already") from None
            except OSError as e:
                text = f"cannot write output to {quoted(f'{directory}/{stem}{suffix}')}: {e.strerror}"
                raise CannotStart(text, returned=e.errno in _LACKING) from None
            running.files += 1

    def _size_of(self, running: Running, number: int) -> int:
        file, suffix = self._streams[number]
        path = running.outputs + suffix
        try:
            return file.ended(path)
        except OSError as e:
            log(f"{quoted(path)} cannot be made, what was to be there is lost: {e.strerror}")
            return 0

    def _enter(self, running: Running, attempt: HandedAttempt, template: Template) -> None:
        """Go where it is to run; makes its own new directory, if it gets one, and the files that it is given there."""
        gets = template.script or attempt.line is not None or template.files
        content = _given(attempt, template) if gets else {}
        if template.fresh_cwd or content:
            path = f"{template.cwd if template.fresh_cwd else template.given}/{attempt.stem}"
            try:
                directory = self._make_directory(running, path, attempt, template)
                for name, data in content.items():
                    running.given = [*running.given, name]
                    given_files.write(directory, name, data, self._owner)
            except OSError as e:
                what = "write the files of the attempt into" if running.directory else "make"
                text = f"cannot {what} the working directory {quoted(path)}: {e.strerror}"
                raise CannotStart(text, returned=e.errno in _LACKING) from None
        if not template.fresh_cwd:
            self._change_directory(template.cwd)

    def _make_directory(self, running: Running, path: str, attempt: HandedAttempt, template: Template) -> int:
        """The attempt's own, with what it finds of an upload; a descriptor of it. Raises OSError, CannotStart."""
        if not template.upload:
            running.directory = self._directory.enter(path)
            return self._directory.fd
        try:
            file = file_in(attempt.line or "") if template.upload_each else b""
            directory = self._views.enter(path, template, file)
        except (ContentMissing, InvalidInput, ValueError) as e:
            raise CannotStart(f"its upload cannot be unpacked: {e}", returned=isinstance(e, ContentMissing)) from None
        running.directory, running.is_view = path, True
        return directory

    def _open_stdin(self, template: Template) -> int:
        try:
            return os.open(content_path(template.contents, template.stdin), os.O_RDONLY)
        except OSError as e:
            raise CannotStart(f"its stdin cannot be read in this worker's cache: {e.strerror}", returned=True) from None

    @contextmanager
    def _as_user(self) -> Iterator[None]:
        """Within it we have no more rights than the job."""
        if self._uid is None:
            yield
            return
        os.seteuid(self._uid)
        try:
            yield
        finally:
            os.seteuid(0)
            self._became()

    def _change_directory(self, cwd: str) -> None:
        """Not skipped when it is the same path as before: it may have been replaced by another directory.

        With no more rights than the job: it must not begin where its user could never have gone, for from there it
        would see what a closed directory further up hides from it.
        """
        try:
            with self._as_user():
                os.chdir(cwd)
        except OSError as e:
            raise CannotStart(f"cannot use {quoted(cwd)} as working directory: {e.strerror}") from None

    def _spawn(self, running: Running, attempt: HandedAttempt, template: Template, files: list[int]) -> int:
        command = self._command or self._take(template)
        own: Sequence[bytes] = attempt.variables
        words: list[str] | None = None  # those of its command, where they are not the template's
        texts: Mapping[str, str] = {}
        if attempt.line is not None or template.script:
            texts = texts_of(attempt.line) if template.rows and attempt.line is not None else {}
            place = template.seen_as or running.directory
            own, words = _with_line(attempt, place, texts), _words(attempt.line, template, place, texts)
        if template.then:
            running.commands = [words or template.argv, *(_filled(then, attempt.line, texts) for then in template.then)]
            return self._lead(running, own, files)
        name = template.argv[0] if words is None else words[0]
        if self._uid is not None:
            os.setresuid(self._uid, 0, 0)
        try:
            if name != self._name:
                self._name, self._program = name, None
            known, program = self._program, b""
            try:
                program = known or self._find(name)
                return command.start(program, own, words, self._settings, files[0], files[-1], self._status)
            except FileNotFoundError:
                if known is None:
                    raise
                self._program = None
                program = self._find(name)  # it was there before
                return command.start(program, own, words, self._settings, files[0], files[-1], self._status)
        except OSError as e:
            self._program = None
            raise _explain(e, os.fsdecode(program), name) from None
        finally:
            if self._uid is not None:
                os.setresuid(0, 0, 0)

    def _lead(self, running: Running, own: Sequence[bytes], files: list[int]) -> int:
        """Let a leader run its commands one after another. Its pid."""

        def start(words: Sequence[str]) -> int:
            assert self._command is not None
            settings, status = self._settings, self._status
            try:
                return self._command.start(self._find(words[0]), own, words, settings, files[0], files[-1], status)
            except OSError as e:
                raise _explain(e, words[0], words[0]) from None

        try:
            pid, running.told = lead(running.commands, start, self._uid)
        except OSError as e:
            raise CannotStart(f"cannot start {quoted(running.commands[0][0])}: {e.strerror}", returned=True) from None
        return pid

    def _take(self, template: Template) -> Command:
        """Make ready what is the same for all its attempts. Raises ValueError."""
        env = {name: value for name, value in template.env if name not in _OWN}
        self._path = env.get("PATH", os.defpath)
        env["CLUSTER_LAUNCHER"] = self._identity
        self._command = Command(template.argv, env, len(_OWN) + (MAX_COLUMNS if template.rows else 0))
        self._program = None
        return self._command

    def _find(self, name: str) -> bytes:
        """The file that `name` stands for, looked up as execvp does, in the PATH that the command itself gets, with the
        rights of our real user.
        """
        if "/" in name:
            self._program = encoded(name)
            return self._program
        for directory in self._path.split(os.pathsep):
            file = os.path.join(directory or ".", name)
            if os.access(file, os.X_OK) and os.path.isfile(file):
                if os.path.isabs(file):
                    self._program = encoded(file)
                return encoded(file)
        hint = "" if len(name.split()) < 2 else "; give the words apart, or use sh -c '...'"
        text = f"cannot start {quoted(name)}: not found in PATH {quoted(self._searched(), PATH_SHOWN)}{hint}"
        raise CannotStart(text, NOT_FOUND)

    def _searched(self) -> str:
        """Its PATH as people know it: without the directory of ours that stands before it."""
        env = dict(self._template.env if self._template else ())
        ours = os.path.join(os.path.dirname(env.get(SOCKET, "")), "bin")
        first, _, rest = self._path.partition(os.pathsep)
        return rest if first == ours else self._path


def _given(attempt: HandedAttempt, template: Template) -> dict[str, bytes]:
    """The files that it is given, by their names."""
    files = dict(map(unpacked, template.files))
    if template.script:
        files[given_files.SCRIPT] = os.fsencode(template.script)
    if attempt.line is not None and is_too_long(attempt.line):
        files[given_files.LINE] = os.fsencode(attempt.line)
    return files


def _with_line(attempt: HandedAttempt, place: str, texts: Mapping[str, str]) -> Sequence[bytes]:
    """Its own variables, with what says its line; of the texts of a row those that are not too long."""
    own, line = [*attempt.variables], attempt.line
    if line is not None and is_too_long(line):
        own.append(encoded(f"CLUSTER_LINE_FILE={place}/{given_files.LINE}"))
    elif line is not None:
        own.append(encoded(f"CLUSTER_LINE={line}"))
    columns = [encoded(f"{variable_of(name)}={text}") for name, text in texts.items()][:MAX_COLUMNS]
    return own + [column for column in columns if len(column) <= MAX_STRING]


def _words(line: str | None, template: Template, place: str, texts: Mapping[str, str]) -> list[str]:
    """The words of its command, which finds its directory at that place."""
    words = _filled(template.argv, line, texts)
    if template.script:
        words[template.script_at] = f"{place}/{given_files.SCRIPT}"
    return words


def _filled(words: Sequence[str], line: str | None, texts: Mapping[str, str]) -> list[str]:
    """With that line or row in them."""
    if texts and line is not None:
        return filled(list(words), texts, line)
    return list(words) if line is None else [word.replace("{}", line) for word in words]


def _or_unchanged(id_: int | None) -> int:
    return -1 if id_ is None else id_


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
