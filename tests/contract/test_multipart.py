"""Forms with files: what is in them, and what is none."""

import pytest

from cluster.gateway.multipart import MOST_PARTS, FormField, parts_of
from cluster.gateway.problems import Problem

TYPE = 'multipart/form-data; boundary="a b"'
CONTENT = bytes(range(256)) + b"\r\n--a\r\n--ab"


def form(*parts: bytes, end: bytes = b"--\r\n") -> bytes:
    return b"".join(b"--a b\r\n%b\r\n" % part for part in parts) + b"--a b" + end


def field(name: bytes, content: bytes, *more: bytes) -> bytes:
    return b"\r\n".join((b'Content-Disposition: form-data; name="%b"' % name, *more, b"", content))


def test_fields_and_files_come_byte_for_byte() -> None:
    file = b'content-disposition:form-data;name=f; filename="a;\\"b\\".csv"\r\nContent-Type: text/csv\r\n\r\n' + CONTENT
    body = form(field(b"command", b"wc -l"), file, field(b"empty", b""))
    assert parts_of(TYPE, body) == [
        FormField("command", None, b"wc -l"),
        FormField("f", 'a;"b".csv', CONTENT),
        FormField("empty", None, b""),
    ]
    assert parts_of(TYPE, form()) == []
    assert parts_of("multipart/form-data; boundary=x", b"--x\r\n" + field(b"a", b"1") + b"\r\n--x--") == [
        FormField("a", None, b"1")
    ]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", form()),
        ("multipart/form-data; boundary=", form()),
        (f"multipart/form-data; boundary={'x' * 71}", form()),
        (TYPE, b""),
        (TYPE, b"text"),
        (TYPE, b"before\r\n" + form()),
        (TYPE, form(field(b"a", b"1"), end=b"")),
        (TYPE, form(field(b"a", b"1"))[:-10]),
        (TYPE, form(b"Content-Type: text/plain\r\n\r\n1")),
        (TYPE, form(b"Content-Disposition: attachment; name=a\r\n\r\n1")),
        (TYPE, form(b"Content-Disposition: form-data\r\n\r\n1")),
        (TYPE, form(b"Content-Disposition: form-data; name=a")),
        (TYPE, form(b"X: " + b"x" * 9000 + b"\r\n\r\n1")),
        (TYPE, form(*[field(b"a", b"")] * (MOST_PARTS + 1))),
    ],
)
def test_what_is_no_form_is_malformed(kind: str, body: bytes) -> None:
    with pytest.raises(Problem, match="no form with files"):
        parts_of(kind, body)


def test_a_field_that_is_no_text_is_malformed() -> None:
    (part,) = parts_of(TYPE, form(field(b"command", b"\xff")))
    with pytest.raises(Problem, match="UTF-8"):
        assert part.text
