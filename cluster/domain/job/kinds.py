"""How the values of a job's options are read, shown and told: one `OptionKind` for each form that a value may have."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import (
    format_cpus,
    format_number,
    format_setting,
    format_size,
    parse_count,
    parse_cpus,
    parse_duration,
    parse_size,
)
from cluster.domain.job.amounts import amounts_said, parse_amounts
from cluster.domain.job.arrays import format_array, parse_array
from cluster.domain.job.expressions import parse as parse_expression

NO_LIMIT = 2**31 - 1  # where a bound is to be none: more than there can be of anything
QUOTED = 40  # characters of a wrong text that an error shows


class OptionKind:
    """How the values of some options are read, shown and told. Of text, and the base of the others."""

    metavar = "TEXT"
    unit = ""  # that follows the bounds of a number in an error
    is_listed = True  # JSON has it of each job of a list; what may be megabytes, only of one job
    is_told = True  # who looks at a job is told it
    adds_up = False  # what several flags say is one tuple
    reads_file = False  # the flag names a file, whose content is the value

    def parse(self, text: str) -> Any:
        """The value of what was typed. InvalidInput."""
        return text

    def names_file(self, text: str) -> str:
        """The file that this names, whose content makes the value (`loaded`), though other values name none; empty:
        none. Of what always names one, `reads_file` says so."""
        return ""

    def loaded(self, text: str, content: bytes) -> Any:
        """The value of a text that names a file with that content. InvalidInput."""
        raise NotImplementedError

    def typed(self, value: Any) -> str:
        """The value as one would type it: the reverse of `parse`."""
        return str(value)

    def quoted(self, value: Any) -> str:
        """The value as an error shows it; empty where the flag says enough."""
        return repr(value) if len(value) <= QUOTED else f"{value[:QUOTED]!r}…"

    def shown(self, value: Any) -> str:
        """The value for people who look at a job; empty where other lines show it."""
        return self.typed(value)

    def told(self, value: Any) -> Any:
        """The value for JSON and for the launcher; None for none."""
        return value or None

    def texts(self, value: Any) -> Sequence[str]:
        """Those that make up the value, of which each costs memory and none may contain a NUL."""
        return (value,)

    def checked(self, value: Any) -> Any:
        """What a program gave for the field. InvalidInput, in words that follow `name=value`, for another type."""
        if not isinstance(value, str):
            raise InvalidInput(f"is no text: give str({value!r})")
        return value

    def taken(self, value: Any) -> Any:
        """What a program gave under the option's name, which may be handier than what the field holds."""
        return self.checked(value)


class _Choice(OptionKind):
    """One of a few words."""

    def texts(self, value: Any) -> Sequence[str]:
        return ()


class Several(OptionKind):
    """A list of things, which have lines or columns of their own where a job is shown."""

    def quoted(self, value: Any) -> str:
        return ""

    def shown(self, value: Any) -> str:
        return ""

    def checked(self, value: Any) -> Any:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise InvalidInput("is no list: give one")
        return tuple(value)


class _Words(Several):
    def told(self, value: Any) -> Any:
        return list(value)

    def texts(self, value: Any) -> Sequence[str]:
        return tuple(value)

    def checked(self, value: Any) -> Any:
        words = super().checked(value)
        if wrong := [word for word in words if not isinstance(word, str)]:
            raise InvalidInput(f"has a word {wrong[0]!r} that is no text: give str({wrong[0]!r})")
        return words


class _Parted(_Words):
    """Words that commas part; another flag is as good as a comma."""

    adds_up = True

    def typed(self, value: Any) -> str:
        return ",".join(value)

    def shown(self, value: Any) -> str:
        return self.typed(value)

    def quoted(self, value: Any) -> str:
        return OptionKind.quoted(self, self.typed(value))


class Names(_Parted):
    """Words of one sort, as its errors call it."""

    def __init__(self, what: str, example: str) -> None:
        self._what = what
        self.metavar = f"{what.upper()}[,{what.upper()}…]"
        self._example = example

    def parse(self, text: str) -> Any:
        names = tuple(part.strip() for part in text.split(","))
        if not all(names):
            form = f"{self.metavar}, as in {self._example}"
            raise InvalidInput(f"{text!r} names no {self._what} at some place: use {form}")
        return names

    def checked(self, value: Any) -> Any:
        return super().checked((value,) if isinstance(value, str) else value)


class _Jobs(Names):
    """Other jobs, as people name them."""

    def checked(self, value: Any) -> Any:
        if isinstance(value, int):
            value = (value,)
        if isinstance(value, list | tuple):
            value = tuple(str(each) if isinstance(each, int) else each for each in value)
        return super().checked(value)


class _Resources(_Parted):
    """Amounts of resources, each as NAME=N; a program may give a mapping."""

    metavar = "NAME=N[,NAME=N…]"

    def parse(self, text: str) -> Any:
        amounts = tuple(part.strip() for part in text.split(","))
        parse_amounts(amounts)
        return amounts

    def told(self, value: Any) -> Any:
        return dict(sorted(amounts_said(value).items()))

    def checked(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            value = tuple(f"{name}={count}" for name, count in value.items())
        return super().checked((value,) if isinstance(value, str) else value)


class _Expression(OptionKind):
    """What people want of a worker (`cluster.domain.job.expressions`)."""

    metavar = "EXPR"

    def parse(self, text: str) -> Any:
        parse_expression(text)
        return text


class _Variables(Several):
    """Pairs of name and value; a program may give a mapping."""

    metavar = "NAME[=VALUE]"
    is_listed = False

    def told(self, value: Any) -> Any:
        return dict(value)

    def texts(self, value: Any) -> Sequence[str]:
        return tuple(text for pair in value for text in pair)

    def checked(self, value: Any) -> Any:
        pairs = super().checked(list(value.items()) if isinstance(value, Mapping) else value)
        if wrong := [text for pair in pairs for text in pair if not isinstance(text, str)]:
            raise InvalidInput(f"has a {wrong[0]!r} that is no text: give str({wrong[0]!r})")
        return pairs


class _Array(Several):
    """Segments of task numbers; a program may give them as text."""

    metavar = "NUMBERS"

    def parse(self, text: str) -> Any:
        return parse_array(text)

    def typed(self, value: Any) -> str:
        return format_array(value)

    def told(self, value: Any) -> Any:
        return format_array(value) or None

    def texts(self, value: Any) -> Sequence[str]:
        return ()

    def checked(self, value: Any) -> Any:
        return parse_array(value) if isinstance(value, str) else super().checked(value)


class _Lines(Several):
    """Lines of a file as bytes, separated by line ends; a program may give a list of texts."""

    metavar = "FILE"
    is_listed = is_told = False
    reads_file = True

    def texts(self, value: Any) -> Sequence[str]:
        return ()

    def checked(self, value: Any) -> Any:
        if not isinstance(value, bytes):
            raise InvalidInput("is no bytes: give the lines as bytes, separated by line ends")
        return value

    def taken(self, value: Any) -> Any:
        if not value:
            raise InvalidInput("has no lines, so there is nothing to run: submit no job")
        if isinstance(value, bytes):
            return value
        return b"\n".join(word.encode(errors="surrogateescape") for word in WORDS.checked(value))


class _Switch(OptionKind):
    def typed(self, value: Any) -> str:
        return "yes" if value else "no"

    def quoted(self, value: Any) -> str:
        return ""

    def told(self, value: Any) -> Any:
        return value

    def texts(self, value: Any) -> Sequence[str]:
        return ()

    def checked(self, value: Any) -> Any:
        if not isinstance(value, bool):
            raise InvalidInput("is neither True nor False: give one of them")
        return value


class _Count(OptionKind):
    """A whole number; the base of what is a number."""

    metavar = "N"

    def parse(self, text: str) -> Any:
        return parse_count(text)

    def quoted(self, value: Any) -> str:
        return self.typed(value)

    def told(self, value: Any) -> Any:
        return value

    def texts(self, value: Any) -> Sequence[str]:
        return ()

    def checked(self, value: Any) -> Any:
        number = _number(value)
        if number != int(number):
            raise InvalidInput("is no whole number: give one")
        return int(number)


class _Priority(_Count):
    """A whole number, which may be negative."""

    def parse(self, text: str) -> Any:
        try:
            return int(text)
        except ValueError:
            raise InvalidInput(f"{text!r} is no whole number: use one, as in -10 or 10") from None


class _Most(_Count):
    """A bound; NO_LIMIT: there is none, and nothing to be typed."""

    def typed(self, value: Any) -> str:
        return "" if value == NO_LIMIT else super().typed(value)

    def told(self, value: Any) -> Any:
        return None if value == NO_LIMIT else value

    def checked(self, value: Any) -> Any:
        return NO_LIMIT if value is None else super().checked(value)


class _Size(_Count):
    """Bytes."""

    metavar = "SIZE"

    def parse(self, text: str) -> Any:
        return parse_size(text)

    def typed(self, value: Any) -> str:
        for power, unit in ((4, "T"), (3, "G"), (2, "M"), (1, "k")):
            if value and value % 1024**power == 0:
                return f"{value // 1024**power}{unit}"
        return str(value)

    def shown(self, value: Any) -> str:
        return format_size(value)


class _Cpus(_Count):
    """Thousandths of a cpu; a program may give cpus."""

    metavar = "CPUS"

    def parse(self, text: str) -> Any:
        return parse_cpus(text)

    def typed(self, value: Any) -> str:
        return format_cpus(value)

    def told(self, value: Any) -> Any:
        return value / 1000

    def taken(self, value: Any) -> Any:
        return round(_number(value) * 1000)


class _Duration(_Count):
    """Seconds."""

    metavar = "DURATION"
    unit = " s"

    def parse(self, text: str) -> Any:
        return parse_duration(text)

    def typed(self, value: Any) -> str:
        return format_number(value)

    def shown(self, value: Any) -> str:
        return format_setting(value)

    def checked(self, value: Any) -> Any:
        return float(_number(value))


class _Limit(_Duration):
    """Seconds; 0: none."""

    def told(self, value: Any) -> Any:
        return value or None


def _number(value: Any) -> int | float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput("is no number: give one")
    return value


TEXT, SWITCH, COUNT, MOST, SIZE, CPUS = OptionKind(), _Switch(), _Count(), _Most(), _Size(), _Cpus()
DURATION, LIMIT, ARRAY, LINES, VARIABLES = _Duration(), _Limit(), _Array(), _Lines(), _Variables()
WORDS, JOBS, CHOICE = _Words(), _Jobs("job", "5,nightly"), _Choice()
RESOURCES, EXPRESSION, PRIORITY = _Resources(), _Expression(), _Priority()
