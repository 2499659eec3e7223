"""The options that a script gives itself, in the lines of its head that begin with #CLUSTER."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.kinds import SWITCH, VARIABLES
from cluster.domain.job.options import Option, given

OPTION_LINE = "#CLUSTER"
# What words are made of, as in shells: in quotes, in double quotes, behind a backslash, and anything else.
_PIECE = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)""")
_ESCAPED = re.compile(r"""\\(["\\$`])""")


class Word(NamedTuple):
    """One word of a line: as a shell would read it, and where it begins."""

    text: str
    line: int  # from 1
    column: int  # from 1, in characters


def options_in(script: bytes, name: str, options: Collection[Option]) -> Mapping[str, Any]:
    """What the lines of its head say that begin with #CLUSTER, by the options' names: values as the command line
    collects them. InvalidInput with `name`, line and column for what is none of these options, or wrong.

    The head ends with the first line that is neither empty nor begins with #."""
    known = {each.flag: each for each in options}
    values: dict[str, Any] = {}
    words = _words(script, name)
    for word in words:
        flag, equals, value = word.text.partition("=")
        each = known.get(flag)
        if each is None:
            raise _wrong(name, word, _unknown(flag, known))
        if each.kind is SWITCH:
            if equals:
                raise _wrong(name, word, f"{flag} takes no value")
            values[each.name] = True
            continue
        at = word._replace(column=word.column + len(flag) + 1)
        if not equals:
            at = next(words, word)
            if at.line != word.line or at is word:
                raise _wrong(name, word, f"{flag} needs a value: {each.metavar}")
            value = at.text
        try:
            _collect(values, each, value)
        except InvalidInput as error:
            raise _wrong(name, at, str(error)) from None
    return values


def _collect(values: dict[str, Any], option: Option, text: str) -> None:
    given(text)
    if option.kind is VARIABLES:
        values[option.name] = (*values.get(option.name, ()), text)
    elif option.kind.reads_file or option.kind.names_file(text):
        values[option.name] = text
    else:
        value = option.read(text)
        if option.kind.adds_up:
            value = (*values.get(option.name, ()), *value)
        option.validate(value)
        values[option.name] = value


def _words(script: bytes, name: str) -> Iterator[Word]:
    for number, line in enumerate(script.decode(errors="surrogateescape").split("\n"), start=1):
        line = line.removesuffix("\r")
        if line.strip() and not line.startswith("#"):
            return
        if line.split(maxsplit=1)[:1] == [OPTION_LINE]:
            yield from _words_of(line, number, name)


def _words_of(line: str, number: int, name: str) -> Iterator[Word]:
    at = len(OPTION_LINE)
    while rest := line[at:].lstrip():
        at = begin = len(line) - len(rest)
        text = ""
        while at < len(line) and not line[at].isspace():
            piece = _PIECE.match(line, at)
            if piece is None:
                raise _wrong(name, Word("", number, at + 1), "a quotation that does not end")
            single, double, one, plain = piece.groups()
            text += single or one or plain or _ESCAPED.sub(r"\1", double or "")
            at = piece.end()
        yield Word(text, number, begin + 1)


def _wrong(name: str, word: Word, why: str) -> InvalidInput:
    return InvalidInput(f"{name}, line {word.line}, column {word.column}: {why}")


def _unknown(flag: str, known: Collection[str]) -> str:
    near = get_close_matches(flag, known, 1)
    hint = f"; is {near[0]} meant?" if near else "" if flag.startswith("-") else "; options begin with --"
    return f"{flag!r} is no option of a job that a script can give{hint}"
