"""The language of --need and --prefer: what people want of a worker, in terms of its labels, resources and name.

    zone == "a" and mem >= 64G and not (name in ("w1", "w2") or has gpu)

    expression  = all { "or" all }
    all         = one { "and" one }
    one         = "not" one | "(" expression ")" | "has" NAME | "true" | "false" | comparison
    comparison  = NAME ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) value | NAME [ "not" ] "in" "(" value { "," value } ")"
    value       = "text" | 'text' | number | size, as in 64G

A NAME is that of a label, whose value is text, or of a resource, of which the worker has an amount at all (busy or
not); `cpus`, `mem`, `gpus` and `name` every worker has. What a worker does not have equals nothing. A number compares
with a label whose text is one.

Texts are read once and made into a tree of plain values; nothing is ever executed. They are bounded in length and
depth, so whatever a stranger hands in takes a millisecond at most.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, NoReturn

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import parse_size
from cluster.domain.job.amounts import ALIASES, CPUS, GPUS, MEMORY

MAX_LENGTH = 1000  # characters of one expression
MAX_DEPTH = 32  # of parentheses and `not`, one within the other
KNOWN_TEXTS = 512  # expressions that are kept as they were read
KNOWN_LABELS = 8192  # values of labels of which it is known whether they are numbers

Value = str | float
Facts = Mapping[str, Value]  # what a worker has, by name

_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<text>"[^"]*"|'[^']*')|(?P<number>[0-9][0-9A-Za-z.]*)|(?P<word>[A-Za-z_][A-Za-z0-9_.-]*)"""
    r"""|(?P<sign>==|!=|<=|>=|[<>(),])"""
)
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = frozenset({"and", "or", "not", "has", "in", "true", "false"})
_NUMBERS = frozenset({CPUS, MEMORY, GPUS})  # what is a number on every worker
_HINTS = {
    "=": "use == to compare",
    "&": "use `and`",
    "|": "use `or`",
    "!": "use `not`, or != to compare",
    '"': 'this text has no end: close it with "',
    "'": "this text has no end: close it with '",
}


class WrongExpression(InvalidInput):
    """It cannot be read; `column`, from 1, says where in `text`."""

    def __init__(self, text: str, column: int, why: str) -> None:
        super().__init__(f"column {column}: {why}")
        self.text, self.column = text, column


class Constant(NamedTuple):
    value: bool

    def holds(self, facts: Facts) -> bool:
        return self.value


class Has(NamedTuple):
    """There is such a label, or more than none of that resource."""

    name: str

    def holds(self, facts: Facts) -> bool:
        return facts.get(self.name, 0.0) != 0.0


class OneOf(NamedTuple):
    """It is one of these texts, or of these numbers."""

    name: str
    texts: frozenset[str]
    numbers: frozenset[float]

    def holds(self, facts: Facts) -> bool:
        there = facts.get(self.name)
        if not isinstance(there, str):
            return there in self.numbers
        return there in self.texts or (bool(self.numbers) and _number_of_label(there) in self.numbers)


class Compared(NamedTuple):
    """It is a number that is so much."""

    name: str
    sign: str
    number: float

    def holds(self, facts: Facts) -> bool:
        there = facts.get(self.name)
        number = _number_of_label(there) if isinstance(there, str) else there
        return number is not None and _SIGNS[self.sign](number, self.number)


class Not(NamedTuple):
    part: "Expression"

    def holds(self, facts: Facts) -> bool:
        return not self.part.holds(facts)


class All(NamedTuple):
    parts: tuple["Expression", ...]

    def holds(self, facts: Facts) -> bool:
        return all(part.holds(facts) for part in self.parts)


class Any(NamedTuple):
    parts: tuple["Expression", ...]

    def holds(self, facts: Facts) -> bool:
        return any(part.holds(facts) for part in self.parts)


Expression = Constant | Has | OneOf | Compared | Not | All | Any


def _one_of(name: str, *values: Value) -> OneOf:
    texts = frozenset(value for value in values if isinstance(value, str))
    return OneOf(name, texts, frozenset(value for value in values if not isinstance(value, str)))


def _number_in(text: str) -> float | None:
    """The number or size that a text is; None for any other."""
    try:
        return float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else float(parse_size(text))
    except InvalidInput:
        return None


@lru_cache(KNOWN_LABELS)
def _number_of_label(text: str) -> float | None:
    return _number_in(text)


class Lexeme(NamedTuple):
    kind: str  # text, number, word, sign, or end
    said: str
    column: int  # from 1


@lru_cache(KNOWN_TEXTS)
def parse(text: str) -> Expression:
    """The expression that the text says. WrongExpression, which points at the place."""
    if len(text) > MAX_LENGTH:
        raise WrongExpression(text, MAX_LENGTH, f"it has {len(text)} characters, and the most are {MAX_LENGTH}")
    return _ExpressionReader(text).whole()


class _ExpressionReader:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._all_tokens()
        self._token = next(self._tokens)
        self._depth = 0

    def whole(self) -> Expression:
        found = self._any()
        if self._token.kind != "end":
            self._wrong(f"{self._shown()} does not go on from there: put `and` or `or` between two conditions")
        return found

    # -- what is said

    def _any(self) -> Expression:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all(self) -> Expression:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Expression:
        if self._depth >= MAX_DEPTH:
            self._wrong(f"this is {MAX_DEPTH + 1} deep, and the most is {MAX_DEPTH}: say it with fewer parentheses")
        self._depth += 1
        try:
            if self._takes("not"):
                return Not(self._one())
            if self._takes("("):
                found = self._any()
                self._expect(")", "close the parenthesis here with )")
                return found
        finally:
            self._depth -= 1
        for word, value in (("true", True), ("false", False)):
            if self._takes(word):
                return Constant(value)
        if self._takes("has"):
            return Has(self._name())
        return self._comparison()

    def _comparison(self) -> Expression:
        if self._token.kind in ("text", "number"):
            self._wrong('begin with the name of a label or resource, as in zone == "a" or mem >= 64G')
        name = self._name()
        if self._token.said in _SIGNS and self._token.kind == "sign":
            sign = self._next().said
            token = self._token
            number = self._value(name)
            if isinstance(number, str):
                self._wrong(f"{sign} compares numbers: use one, as in 8 or 64G", token)
            return Compared(name, sign, number)
        if self._takes("=="):
            return _one_of(name, self._value(name))
        if self._takes("!="):
            return Not(_one_of(name, self._value(name)))
        if self._takes("in"):
            return _one_of(name, *self._values(name))
        if self._takes("not"):
            self._expect("in", "say `not in (…)` here")
            return Not(_one_of(name, *self._values(name)))
        return self._wrong(f"{name} is no condition by itself: compare it, as in {name} == …, or say `has {name}`")

    def _values(self, name: str) -> tuple[Value, ...]:
        self._expect("(", 'list the values in parentheses, as in zone in ("a", "b")')
        values = [self._value(name)]
        while self._takes(","):
            if self._token.said == ")":
                break
            values.append(self._value(name))
        self._expect(")", "go on with a comma and another value, or close the list with )")
        return tuple(values)

    def _value(self, name: str) -> Value:
        token = self._token
        if token.kind == "text":
            if name in _NUMBERS:
                self._wrong(f"{name} is a number: compare it with one, as in 8 or 64G")
            return self._next().said[1:-1]
        if token.kind == "number":
            number = _number_in(token.said)
            if number is None:
                self._wrong(f"{token.said} is no number and no size: use one, as in 8, 0.5 or 64G")
            if name == "name":
                self._wrong('name is text: put it in quotes, as in name == "w1"')
            self._next()
            return number
        if token.kind == "word" and token.said not in _WORDS:
            self._wrong(f'put text in quotes: "{token.said}"')
        return self._wrong("a value is missing here: text in quotes, a number or a size")

    def _name(self) -> str:
        if self._token.kind != "word" or self._token.said in _WORDS:
            self._wrong("the name of a label or resource is missing here")
        said = self._next().said
        return ALIASES.get(said, said)

    # -- words and signs

    def _takes(self, said: str) -> bool:
        """Goes on if that comes next."""
        if self._token.said == said and self._token.kind in ("word", "sign"):
            self._next()
            return True
        return False

    def _expect(self, said: str, why: str) -> None:
        if not self._takes(said):
            self._wrong(why)

    def _next(self) -> Lexeme:
        token, self._token = self._token, next(self._tokens)
        return token

    def _shown(self) -> str:
        return self._token.said if self._token.kind == "text" else f"`{self._token.said}`"

    def _wrong(self, why: str, token: Lexeme | None = None) -> NoReturn:
        at = token or self._token
        if at.kind == "end" and token is None:
            why = f"it ends too early: {why}"
        raise WrongExpression(self._text, at.column, why)

    def _all_tokens(self) -> Iterator[Lexeme]:
        at = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None:
                char = self._text[at]
                raise WrongExpression(self._text, at + 1, _HINTS.get(char, f"{char!r} means nothing here"))
            if found.lastgroup and found.lastgroup != "space":
                yield Lexeme(found.lastgroup, found[0], at + 1)
            at = found.end()
        while True:
            yield Lexeme("end", "", len(self._text) + 1)


def wrong_expression(text: str) -> str:
    """What is wrong with an expression, with its column; empty where nothing is, and for no text at all."""
    try:
        if text:
            parse(text)
    except WrongExpression as error:
        return str(error)
    return ""
