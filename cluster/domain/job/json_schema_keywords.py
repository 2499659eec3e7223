"""The keywords of JSON Schema that `json_schema` knows: what each may say, and what of a value is not as it says."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, Protocol

from cluster.domain.base.printable import quoted

MOST_SAID = 60  # characters of a value that an error shows
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: is_number(value),  # noqa: PLW0108 (it comes below)
    "integer": lambda value: is_number(value) and isfinite(value) and value == value // 1,
}

Problems = Iterator[tuple[str, str]]  # where in the value, as in $.a[0], and what is wrong there


class Judging(Protocol):
    """`json_schema.Schema`, as keywords use it."""

    def problems(self, schema: Any, value: Any, at: str) -> Problems: ...
    def fits(self, schema: Any, value: Any) -> bool: ...


Judge = Callable[[Judging, Mapping[str, Any], Any, Any, str], Problems]
KEYWORDS: dict[str, Judge] = {}
ARGUMENTS: dict[str, Callable[[Any], str]] = {}  # what is wrong with what a keyword says; empty: nothing


def _keyword(*names: str, wrong: Callable[[Any], str] = lambda _: "") -> Callable[[Judge], Judge]:
    def note(judge: Judge) -> Judge:
        for name in names:
            KEYWORDS[name], ARGUMENTS[name] = judge, wrong
        return judge

    return note


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}…"


def _key_of(value: Any) -> Any:
    """The same for two values that are the same JSON, in which 1 is 1.0 and not true."""
    if isinstance(value, dict):
        return ("object", frozenset((name, _key_of(each)) for name, each in value.items()))
    if isinstance(value, list):
        return ("array", tuple(map(_key_of, value)))
    return (isinstance(value, bool), value)


def _below(at: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{at}[{key}]"
    return f"{at}.{key}" if _IDENTIFIER.fullmatch(key) else f"{at}[{json.dumps(key, ensure_ascii=False)}]"


# -- arguments


def _wrong_types(argument: Any) -> str:
    types = argument if isinstance(argument, list) else [argument]
    wrong = [each for each in types if not isinstance(each, str) or each not in _TYPES]
    return f"{_shown(wrong[0])} is no type: use some of {', '.join(_TYPES)}" if wrong or not types else ""


def _wrong_list(argument: Any) -> str:
    return "" if isinstance(argument, list) and argument else "use a list that is not empty"


def _wrong_object(argument: Any) -> str:
    return "" if isinstance(argument, dict) else "use an object"


def _wrong_count(argument: Any) -> str:
    is_count = is_number(argument) and argument >= 0 and argument == argument // 1
    return "" if is_count else "use a number of things, 0 or more"


def _wrong_number(argument: Any) -> str:
    return "" if is_number(argument) and isfinite(argument) else "use a number"


def _wrong_step(argument: Any) -> str:
    return _wrong_number(argument) or ("" if argument > 0 else "use a number above 0")


def _wrong_names(argument: Any) -> str:
    return (
        "" if isinstance(argument, list) and all(isinstance(each, str) for each in argument) else "use a list of names"
    )


def _wrong_pattern(argument: Any) -> str:
    if not isinstance(argument, str):
        return "use a text"
    try:
        re.compile(argument)
    except (re.error, RecursionError, OverflowError) as error:
        return f"no pattern: {error}"
    return ""


def _wrong_patterns(argument: Any) -> str:
    return _wrong_object(argument) or next(filter(None, map(_wrong_pattern, argument)), "")


def _wrong_dependents(argument: Any) -> str:
    return _wrong_object(argument) or next(filter(None, map(_wrong_names, argument.values())), "")


def _wrong_items(argument: Any) -> str:
    return "a list of schemas is prefixItems in this draft" if isinstance(argument, list) else ""


def _wrong_switch(argument: Any) -> str:
    return "" if isinstance(argument, bool) else "use true or false"


# -- keywords


@_keyword("type", wrong=_wrong_types)
def _type(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    types = argument if isinstance(argument, list) else [argument]
    if not any(_TYPES[each](value) for each in types):
        yield at, f"{_shown(value)} is not of type {' or '.join(types)}"


@_keyword("enum", wrong=_wrong_list)
def _enum(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    if _key_of(value) not in map(_key_of, argument):
        yield at, f"{_shown(value)} is none of {_shown(argument)}"


@_keyword("const")
def _const(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    if _key_of(value) != _key_of(argument):
        yield at, f"{_shown(value)} is not {_shown(argument)}"


_BOUNDS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minimum": (lambda value, bound: value >= bound, "less than"),
    "maximum": (lambda value, bound: value <= bound, "more than"),
    "exclusiveMinimum": (lambda value, bound: value > bound, "not more than"),
    "exclusiveMaximum": (lambda value, bound: value < bound, "not less than"),
}
_SIZES: Mapping[str, tuple[type, bool, str]] = {  # of what, whether it is the least, and what is counted
    "minLength": (str, True, "characters"),
    "maxLength": (str, False, "characters"),
    "minItems": (list, True, "items"),
    "maxItems": (list, False, "items"),
    "minProperties": (dict, True, "properties"),
    "maxProperties": (dict, False, "properties"),
}


def _bound(name: str) -> Judge:
    holds, words = _BOUNDS[name]

    def judge(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
        if is_number(value) and not holds(value, argument):
            yield at, f"{_shown(value)} is {words} {_shown(argument)}"

    return judge


def _size(name: str) -> Judge:
    kind, is_least, words = _SIZES[name]

    def judge(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
        if isinstance(value, kind) and (len(value) < argument if is_least else len(value) > argument):  # type: ignore[arg-type]
            yield at, f"it has {len(value)} {words}, and {'the least' if is_least else 'the most'} are {argument}"  # type: ignore[arg-type]

    return judge


for _name in _BOUNDS:
    _keyword(_name, wrong=_wrong_number)(_bound(_name))
for _name in _SIZES:
    _keyword(_name, wrong=_wrong_count)(_size(_name))


@_keyword("multipleOf", wrong=_wrong_step)
def _multiple(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    from fractions import Fraction  # which few schemas need

    if is_number(value) and not (isfinite(value) and Fraction(str(value)) % Fraction(str(argument)) == 0):
        yield at, f"{_shown(value)} is no multiple of {_shown(argument)}"


@_keyword("pattern", wrong=_wrong_pattern)
def _pattern(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    if isinstance(value, str) and not re.search(argument, value):
        yield at, f"{_shown(value)} does not match {quoted(argument, MOST_SAID)}"


@_keyword("required", wrong=_wrong_names)
def _required(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    for name in argument if isinstance(value, dict) else ():
        if name not in value:
            yield at, f"it has no {_shown(name)}"


@_keyword("dependentRequired", wrong=_wrong_dependents)
def _dependents(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    for name, others in argument.items() if isinstance(value, dict) else ():
        for other in others if name in value else ():
            if other not in value:
                yield at, f"it has {_shown(name)} and no {_shown(other)}"


@_keyword("properties", wrong=_wrong_object)
def _properties(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    for name, each in argument.items() if isinstance(value, dict) else ():
        if name in value:
            yield from schema.problems(each, value[name], _below(at, name))


@_keyword("patternProperties", wrong=_wrong_patterns)
def _pattern_properties(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    for pattern, each in argument.items() if isinstance(value, dict) else ():
        for name in value:
            if re.search(pattern, name):
                yield from schema.problems(each, value[name], _below(at, name))


@_keyword("additionalProperties")
def _additional(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    named, patterns = whole.get("properties", {}), whole.get("patternProperties", {})
    for name in value if isinstance(value, dict) else ():
        if name in named or any(re.search(pattern, name) for pattern in patterns):
            continue
        if argument is False:
            yield at, f"it has {_shown(name)}, which may not be there"
        else:
            yield from schema.problems(argument, value[name], _below(at, name))


@_keyword("propertyNames")
def _names(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    for name in value if isinstance(value, dict) else ():
        for _, wrong in schema.problems(argument, name, at):
            yield at, f"it has {_shown(name)} as a name: {wrong}"


@_keyword("prefixItems", wrong=_wrong_list)
def _prefix(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    for place, (each, item) in enumerate(zip(argument, value if isinstance(value, list) else (), strict=False)):
        yield from schema.problems(each, item, _below(at, place))


@_keyword("items", wrong=_wrong_items)
def _items(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    first = len(whole.get("prefixItems", ()))
    for place, item in enumerate(value) if isinstance(value, list) else ():
        if place >= first:
            yield from schema.problems(argument, item, _below(at, place))


@_keyword("contains")
def _contains(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    if isinstance(value, list):
        found = sum(schema.fits(argument, item) for item in value)
        least, most = whole.get("minContains", 1), whole.get("maxContains", len(value))
        if not least <= found <= most:
            yield at, f"{found} of its items are as one must be that it contains, and {least} to {most} may be"


@_keyword("minContains", "maxContains", wrong=_wrong_count)
def _count_of_contains(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    """`contains` looks at it."""
    return iter(())


@_keyword("uniqueItems", wrong=_wrong_switch)
def _unique(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    seen: dict[Any, int] = {}
    for place, item in enumerate(value) if argument and isinstance(value, list) else ():
        first = seen.setdefault(_key_of(item), place)
        if first != place:
            yield _below(at, place), f"it is the same as {_below(at, first)}"


@_keyword("allOf", wrong=_wrong_list)
def _all_of(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    for each in argument:
        yield from schema.problems(each, value, at)


@_keyword("anyOf", "oneOf", wrong=_wrong_list)
def _any_of(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    fitting, most = sum(schema.fits(each, value) for each in argument), len(argument)
    if argument is whole.get("oneOf"):
        most = 1
    if not fitting:
        yield at, f"{_shown(value)} is as none of {len(argument)} schemas says"
    elif fitting > most:
        yield at, f"{_shown(value)} is as {fitting} of {len(argument)} schemas say, and only one may be"


@_keyword("not")
def _not(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    if schema.fits(argument, value):
        yield at, f"{_shown(value)} is as it may not be"


@_keyword("if")
def _if(schema: Judging, whole: Mapping[str, Any], argument: Any, value: Any, at: str) -> Problems:
    yield from schema.problems(whole.get("then" if schema.fits(argument, value) else "else", True), value, at)


OF_ONE = frozenset(("additionalProperties", "propertyNames", "items", "contains", "not", "if"))
OF_LIST = frozenset(("prefixItems", "allOf", "anyOf", "oneOf"))
OF_NAMED = frozenset(("properties", "patternProperties"))
