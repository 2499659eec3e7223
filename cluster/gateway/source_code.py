"""The source code that a request to /execute brings, whether its sender has quoted it once or twice.

A form or query is decoded once, as any is. Where the result is exactly what `urllib.parse.quote_plus` writes, it was
quoted twice, and is decoded once more. For that it must have nothing but letters, digits, `_.-~`, `+` and escapes, and
only escapes that quote_plus makes: so `%41` is none of them, and stays. A program that does anything has a bracket, a
space, a quote or a line end somewhere, and so never looks like that when it was quoted once. The exceptions are
expressions of names and numbers, which do nothing: those without an escape, such as `1+1`, are taken as they are.
"""

import re
from keyword import iskeyword
from urllib.parse import quote_plus, unquote_to_bytes

_QUOTED = re.compile(rb"[A-Za-z0-9_.~+%-]+")
_OPERAND = re.compile(r"[+\-~]*([A-Za-z0-9_.]+)")


def source_in_form(form: bytes, field: str = "code") -> list[bytes]:
    """The sources that the fields of that name bring, in a query or a body of application/x-www-form-urlencoded."""
    pairs = (part.partition(b"=") for part in form.split(b"&"))
    return [unquoted(value) for name, _, value in pairs if _decoded(name) == field.encode()]


def unquoted(text: bytes) -> bytes:
    """The source of what stands in a form."""
    once = _decoded(text)
    return _decoded(once) if is_quoted(once) else once


def is_quoted(text: bytes) -> bool:
    """Whether this is what quote_plus has made of something else, and not a program itself."""
    if not _QUOTED.fullmatch(text) or not (b"%" in text or b"+" in text):
        return False
    if quote_plus(_decoded(text)).encode() != text:
        return False
    return b"%" in text or not _is_sum(text.decode())


def _is_sum(text: str) -> bool:
    """Whether it is an expression of names and numbers: `1+1`, and not `import+this`."""
    operands = [_OPERAND.fullmatch(part) for part in re.split(r"(?<=[\w.])[+-]", text)]
    return all(part and not iskeyword(part[1]) for part in operands)


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
