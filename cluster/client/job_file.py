"""Job files: TOML or JSON, described in docs/job-file.md. Here one is read; `client.submit_many` hands its jobs in."""

import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cluster.client.files.job_files import JobFiles
from cluster.client.toml_positions import positions
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.strict_json import NoJson, parse_json
from cluster.domain.job.job_requests import is_request, request_of
from cluster.domain.job.job_tables import Path, TableJob, WrongTable, jobs_of
from cluster.domain.job.spec import JobSpec

STDIN = "-"
_AT = re.compile(r"(.*) \(at line (\d+), column (\d+)\)", re.DOTALL)  # as tomllib ends what it says


class JobFile:
    """The jobs of a file, in its order."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads the file, `-`: stdin. InvalidInput names the file, line and column where they are known, the job and
        the key."""
        self.path = os.fspath(path)
        self._base = os.path.abspath(os.path.dirname(self.path))  # which paths of the file are relative to
        self._text = _decoded(self.path, _content(self.path))
        self._is_json = self._text.lstrip().startswith("{")  # as no TOML begins
        try:
            tables = self._tables()
            if self._is_json and is_request(tables):
                jobs = [TableJob(self._asked(tables), (), "")]
            else:
                jobs = jobs_of(tables, self._load, os.environ)
        except WrongTable as error:
            raise self.wrong(error.path, str(error)) from None
        self.specs: list[JobSpec] = [job.spec for job in jobs]
        # What goes with each of them.
        self.files = [JobFiles(job.upload, self._base, job.stdin or None) for job in jobs]

    def wrong(self, path: Path, text: str) -> InvalidInput:
        """An error about the table or key at that path."""
        known = {} if self._is_json else positions(self._text)
        other = (*path[:-1], path[-1].replace("-", "_")) if path else path  # keys may be written both ways
        line, column = next((known[each] for each in (path, other, path[:-1]) if each in known), (0, 0))
        return InvalidInput(f"{self.path}:{line}:{column}: {text}" if line else f"{self.path}: {text}")

    def _asked(self, members: Mapping[str, Any]) -> JobSpec:
        """The one job that a request asks for."""
        asked = request_of(members, self._load)
        return replace(asked.spec, key=asked.id or asked.spec.key, files=asked.files)

    def _tables(self) -> Mapping[str, Any]:
        try:
            return _of_json(self._text) if self._is_json else tomllib.loads(self._text)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"{self.path}:{error.lineno}:{error.colno}: this is no JSON: {error.msg}") from None
        except tomllib.TOMLDecodeError as error:
            match = _AT.fullmatch(str(error))
            where, what = (f"{match[2]}:{match[3]}:", match[1]) if match else ("", str(error))
            raise InvalidInput(f"{self.path}:{where} this is no TOML: {what}") from None
        except NoJson as error:
            raise InvalidInput(f"{self.path}: this is no JSON: {error}") from None
        except RecursionError:
            raise InvalidInput(f"{self.path}: its values lie in too many levels") from None

    def _load(self, path: str) -> bytes:
        """What an option of a job reads."""
        if path == STDIN:
            raise InvalidInput("a job of a file cannot read stdin: name a file")
        content = _content(os.path.join(self._base, path))
        if not content.strip(b"\n"):
            raise InvalidInput("the file is empty, so there is nothing to run")
        return content


def _of_json(text: str) -> Mapping[str, Any]:
    """NoJson, also where an object has a name twice; JSONDecodeError, which knows the place."""
    tables: Mapping[str, Any] = parse_json(text, pairs=_object)
    return tables


def _object(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NoJson(f"{twice[:60]!r} comes twice in one object")
    return found


def _content(path: str) -> bytes:
    try:
        if path == STDIN:
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None


def _decoded(path: str, content: bytes) -> str:
    try:
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise InvalidInput(f"{path}:{line}:{column}: this is no UTF-8, and TOML is") from None
