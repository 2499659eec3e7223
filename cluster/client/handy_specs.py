"""Makes a job's spec of values that are handy to write in Python."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.lines import picked
from cluster.domain.job.options import Option
from cluster.domain.job.spec import OPTIONS, JobSpec


def spec_of(command: Sequence[str] = (), **options: Any) -> JobSpec:
    """A JobSpec from what is handy to write: `array` as text, `env` as a mapping, `cpus` as a number."""
    argv = command
    if isinstance(argv, str):
        raise InvalidInput(f"the command {argv!r} is one text: give a list of words, as in ['sh', '-c', {argv!r}]")
    if wrong := [word for word in argv if not isinstance(word, str)]:
        raise InvalidInput(f"the command's word {wrong[0]!r} is no text: give str({wrong[0]!r})")
    given = changes_of(options)
    if not (given.get("script") or given.get("script_text")) and not (argv and argv[0]):
        raise InvalidInput(f"the command {argv!r} is empty: give a list of words, as in ['echo', 'hello']")
    if given.get("lines") and given.get("array"):
        given["lines"] = picked(given["lines"], given["array"], rows=bool(given.get("rows")))
    return JobSpec(tuple(argv), **given)


def changes_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a job by the fields of its spec, from what is handy to write."""
    return {each.field: value for each, value in (_option(name, value) for name, value in options.items())}


def _option(name: str, value: Any) -> tuple[Option, Any]:
    """The option of that name and the value of its field. InvalidInput for an unknown name or a value of a wrong
    type."""
    found = [each for each in OPTIONS if name in (each.name, each.field) and each.field != "argv"]
    if not found:
        names = {each.name for each in OPTIONS if each.field != "argv"}
        raise InvalidInput(f"there is no option {name!r}; there are {', '.join(sorted(names))}")
    kind = found[0].kind
    try:
        return found[0], kind.taken(value) if name == found[0].name else kind.checked(value)
    except InvalidInput as error:
        raise InvalidInput(f"{name}={value!r} {error}") from None


def from_here(path: str) -> str:
    """The absolute form of a path that is relative to the current directory; empty: that directory."""
    try:
        return os.path.realpath(path)
    except OSError as error:
        raise InvalidInput(
            f"the current directory cannot be used ({error.strerror}): go to another, or give cwd"
        ) from None
