"""The file that `cluster worker --runner-config` names: a table for the engine, in TOML."""

import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from cluster.domain.base.errors import InvalidInput

T = TypeVar("T")


def read_settings(kind: type[T], table: str, path: Path | None) -> T:
    """InvalidInput for a file that cannot be read, and for what it says that no such engine has."""
    if path is None:
        raise InvalidInput(f"--runner {table} needs --runner-config FILE, with a table [{table}]: docs/{table}.md")
    try:
        said = tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidInput(f"--runner-config {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--runner-config {str(path)!r} is no TOML: {error}") from None
    values = said.get(table)
    if not isinstance(values, dict):
        raise InvalidInput(f"--runner-config {str(path)!r} has no table [{table}]")
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise InvalidInput(f"--runner-config: [{table}] has no {name!r}; there are: {', '.join(known)}")
        _check(f"[{table}] {name}", value, known[name].default)
    if missing := [name for name, each in known.items() if each.default is MISSING and name not in values]:
        raise InvalidInput(f"--runner-config: [{table}] lacks {', '.join(missing)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _check(where: str, value: Any, usual: Any) -> None:
    """The value is of the same kind as the usual one."""
    if usual is MISSING or isinstance(usual, str):
        fits, what = isinstance(value, str) and bool(value or usual == ""), "a text"
    elif isinstance(usual, bool):
        fits, what = isinstance(value, bool), "true or false"
    elif isinstance(usual, float):
        fits, what = isinstance(value, int | float) and not isinstance(value, bool) and value > 0, "seconds"
    else:
        fits, what = isinstance(value, list) and all(isinstance(each, str) for each in value), "a list of texts"
    if not fits:
        raise InvalidInput(f"--runner-config: {where} = {value!r} is to be {what}")
