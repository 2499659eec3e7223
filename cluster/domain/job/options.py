"""What makes a field of a job's spec an option: how people say it, what it may be, who acts on it.

Each field of `JobSpec` carries an `Option`. The command line, the wire, JSON, `job show`, the Python client, the
launcher's template and what a lone worker refuses are made from it. So a new option is its field, its line in
`job.proto` and the code that acts on it; `tests/contract/test_options.py` says which of these is missing.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, field, fields
from enum import Enum, Flag, auto
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.kinds import WORDS, OptionKind


class Scope(Flag):
    """Who acts on an option. A worker alone refuses what only a scheduler acts on; the launcher finds an option of its
    own in its template, under the field's name."""

    SCHEDULER = auto()
    WORKER = auto()
    LAUNCHER = auto()


class Shown(Enum):
    """When `job show` has a line for an option."""

    CHANGED = "where it is not the default"
    ALWAYS = "always"
    ELSEWHERE = "other lines say it"


class Option:
    """One option of a job. `field` and `default` are those of the field that carries it."""

    __slots__ = (
        "alone",
        "bounds",
        "check",
        "default",
        "field",
        "help",
        "is_typed",
        "kind",
        "metavar",
        "name",
        "scope",
        "shown",
    )

    def __init__(
        self,
        kind: OptionKind,
        help: str = "",
        *,
        scope: Scope = Scope.WORKER,
        name: str = "",
        metavar: str = "",
        bounds: tuple[float, float] | None = None,
        check: Callable[[Any], str] | None = None,
        alone: str = "",
        shown: Shown = Shown.CHANGED,
        typed: bool = True,
    ) -> None:
        """name: what users call it, if not as the field. bounds: the least and the most that it may be. check: what is
        wrong with a value, and what to do, empty where nothing is. alone: why a worker alone refuses it, in words that
        follow the flag. typed: it has a flag; others follow from flags that are no options of the spec."""
        self.kind, self.help, self.scope = kind, help, scope
        self.name, self.metavar = name, metavar or kind.metavar
        self.bounds, self.check, self.alone, self.shown = bounds, check, alone, shown
        self.is_typed = typed and kind is not WORDS
        self.field = ""
        self.default: Any = None

    @property
    def flag(self) -> str:
        """Of the command line. Empty: it has none."""
        return f"--{self.name.replace('_', '-')}" if self.is_typed else ""

    @property
    def words(self) -> str:
        """The name for people."""
        return self.name.replace("_", " ")

    def said(self, value: Any) -> str:
        """The flag with a value, as errors have it."""
        return f"{self.flag} {self.kind.quoted(value)}".strip()

    def read(self, text: str) -> Any:
        """The value of what was typed. InvalidInput, also for nothing: who typed a variable that is not set must hear
        so, and not get another job."""
        return self.kind.parse(given(text))

    def validate(self, value: Any) -> None:
        """InvalidInput for a value that it may not be. The default is always right."""
        if value == self.default:
            return
        wrong = ""
        if self.bounds and not self.bounds[0] <= value <= self.bounds[1]:
            wrong = f"use {' to '.join(map(self.kind.typed, self.bounds))}{self.kind.unit}"
        elif self.check:
            wrong = self.check(value)
        if wrong:
            said = self.said(value)
            raise InvalidInput(f"{said}: {wrong}" if said else wrong)


def given(text: str) -> str:
    """What was typed as the value of an option. InvalidInput where there is nothing in it."""
    if not text.strip():
        raise InvalidInput("it is empty: give a value, or leave the option out")
    return text


def option(kind: OptionKind, help: str = "", *, default: Any = MISSING, **how: Any) -> Any:
    """A field of a dataclass that is an option. `how`: as of Option."""
    return field(default=default, metadata={"option": Option(kind, help, **how)})


def options_of(spec: type) -> tuple[Option, ...]:
    """Those of a dataclass, in the order of its fields."""
    return tuple(_named(each) for each in fields(spec) if "option" in each.metadata)


def _named(carrier: Field[Any]) -> Option:
    found: Option = carrier.metadata["option"]
    found.field, found.name = carrier.name, found.name or carrier.name
    found.default = () if carrier.default is MISSING else carrier.default
    return found
