"""Judges what an attempt wrote to stdout, once its program has succeeded: as text, by a pattern or as JSON, and by a
command.

It is done below the attempt's slot by a process of its own, with no more rights than the job: so whatever stops the
attempt stops it, a pattern that never comes to an end ends with the time that it has, and a command may do what the job
itself might have done.
"""

import fcntl
import os
import re
import resource
import signal
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from json import JSONDecodeError
from typing import Any, NoReturn

from cluster.domain.base.printable import quoted
from cluster.domain.base.strict_json import NoJson, parse_json
from cluster.domain.job.check_options import JSON, REGEX, SCHEMA, schema_of
from cluster.domain.launcher.template import Template

SECONDS = 60  # that a check may take
MOST = 64 << 20  # bytes of stdout that a check looks at
MEMORY = 2 << 30  # bytes of address space for what we do ourselves
MOST_SAID = 300  # characters of what a line or a command says
_OURS = (signal.SIGALRM, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)  # a slot's
MOST_WRONG = 1000  # characters of what is not as a schema says
_WORDS = 4096  # bytes that it may say


def judge(check: str, data: bytes) -> str:
    """What is wrong with this output; empty: nothing."""
    if check == JSON or check.startswith(SCHEMA):
        return _judge_json(data, check.removeprefix(SCHEMA) if check != JSON else "")
    pattern = check.removeprefix(REGEX)
    if re.search(pattern.encode(errors="surrogateescape"), data, re.MULTILINE):
        return ""
    if not data:
        return f"stdout is empty, and {quoted(pattern, MOST_SAID)} is to be found in it"
    lines = data.removesuffix(b"\n").split(b"\n")
    last = quoted(lines[-1].decode(errors="backslashreplace"), MOST_SAID)
    return f"{quoted(pattern, MOST_SAID)} is not found in stdout, whose last line is line {len(lines)}: {last}"


def _judge_json(data: bytes, schema: str = "") -> str:
    """By RFC 8259: in UTF-8, with numbers of any length, and without NaN and Infinity. `schema`: what it must be like,
    as JSON says it; empty: any JSON."""
    try:
        text = data.removeprefix(BOM_UTF8).decode()
        if schema:
            return _judge_by(schema, parse_json(text))
        parse_json(text, number=str)
    except JSONDecodeError as error:
        return f"stdout is no JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        return f"stdout is no JSON: line {line}, column {column}: what is there is not UTF-8"
    except RecursionError:
        return "stdout is JSON in too many levels"
    except NoJson as error:
        return f"stdout is no JSON: {error}"
    except ValueError:  # in Python alone
        return "stdout has a number of so many digits that no schema can be held against it"
    return ""


def _judge_by(schema: str, value: Any) -> str:
    problem = schema_of(schema).first_problem(value)
    return f"stdout is not as its schema says: {problem[0]}: {problem[1]}"[:MOST_WRONG] if problem else ""


class Checker:
    """What a slot checks one attempt with. The descriptor in `words` is where a check says what is wrong."""

    def __init__(self, template: Template, number: int | None) -> None:
        steps = ((template.check_output, ""), ("", template.check_with))
        self._steps = [step for step in steps if any(step)]
        self._env = {**dict(template.env), "CLUSTER_TASK": str(number or 0)}
        self._uid = template.uid

    def begin(self, path: str, limit_memory: Callable[[], None] = lambda: None) -> Iterator[tuple[int, int, str]]:
        """Begins one check after another of the file at that path: (pid, words, command). The caller waits for each,
        and asks for the next where that one is content. Each calls `limit_memory` before it begins."""
        for check, command in self._steps:
            words = _note()
            try:
                pid = os.fork()
                if not pid:
                    self._run(check, command, path, words, limit_memory)
                yield pid, words, command
            finally:
                os.close(words)

    def _run(self, check: str, command: str, path: str, words: int, limit_memory: Callable[[], None]) -> NoReturn:
        """All that the forked process does."""
        code = 1
        try:
            os.setsid()
            for number in _OURS:
                signal.signal(number, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            limit_memory()
            output = _opened(path)  # before it becomes the job's user, who may not enter the worker's directory
            if self._uid is not None:
                os.setresuid(self._uid, self._uid, self._uid)
            if command:
                _become(command, self._env, output, words)
            size = os.fstat(output).st_size
            if size > MOST:
                _say(words, f"stdout has {size} bytes, and a check looks at {MOST} at most")
            else:
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                with os.fdopen(output, "rb") as file:
                    wrong = judge(check, file.read())
                _say(words, wrong)
                code = int(bool(wrong))
        except MemoryError:
            _say(words, "the check of stdout takes more memory than it may have")
        except BaseException as error:
            _say(words, f"stdout cannot be checked: {error}")
        finally:
            os._exit(code)


def _note() -> int:
    """A file in memory that takes _WORDS bytes and no more, whoever writes to it."""
    words = os.memfd_create("cluster-check", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(words, _WORDS)
    fcntl.fcntl(words, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return words


def _opened(path: str) -> int:
    """A job's output; empty where its job has removed it. It is a file of the job's: nothing in its place may hold us
    up."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _become(command: str, env: Mapping[str, str], output: int, words: int) -> NoReturn:
    os.dup2(output, 0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(words, 2)
    os.execve("/bin/sh", ["sh", "-c", command], dict(env))  # noqa: S606 (what it runs is the job's owner's)


def _say(words: int, text: str) -> None:
    with suppress(OSError):
        os.write(words, text.encode(errors="backslashreplace")[:_WORDS])


def verdict(status: int, words: int, command: str) -> str:
    """What a check that has ended so found wrong; empty: nothing."""
    said = os.pread(words, _WORDS, 0).rstrip(b"\0").decode(errors="backslashreplace").strip()
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) == signal.SIGALRM:
            return f"the check of stdout took longer than {SECONDS} s"
        return "the check of stdout was stopped before it had ended"
    code = os.WEXITSTATUS(status)
    if not code:
        return ""
    if not command:
        return said or "stdout cannot be checked"
    first = said.split("\n", 1)[0][:MOST_SAID]
    return f"--check-with {quoted(command, 60)} left with exit code {code}" + (f": {first}" if first else "")
