"""Forms with files (multipart/form-data, RFC 7578), as curl -F sends them."""

from email.message import Message
from typing import NamedTuple

from cluster.gateway.problems import MALFORMED, Problem

MULTIPART = "multipart/form-data"
MOST_PARTS = 1000
MOST_HEAD = 8192  # bytes of the headers of a part


class FormField(NamedTuple):
    """One field of the form. `file`: as its sender calls it; None: it is no file."""

    name: str
    file: str | None
    content: bytes

    @property
    def text(self) -> str:
        """What a field says that is no file."""
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            raise _malformed(f"the field {self.name[:60]!r} is not UTF-8: {error.reason}") from None


def parts_of(content_type: str, body: bytes) -> list[FormField]:
    """The fields, in their order. Problem for what is no such form. `content_type`: the whole header."""
    boundary = _header(content_type).get_param("boundary", header="x")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 70 or not boundary.isascii():
        raise _malformed("Content-Type names no boundary")
    mark = b"--" + boundary.encode()
    before, *pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if before.strip() or not pieces or not pieces[-1].startswith(b"--"):
        raise _malformed("it does not begin or end with the boundary that Content-Type names")
    if len(pieces) > MOST_PARTS:
        raise _malformed(f"it has more than {MOST_PARTS} parts")
    return [_part(piece) for piece in pieces[:-1]]


def _part(piece: bytes) -> FormField:
    head, blank, content = piece.partition(b"\r\n\r\n")
    if not blank or len(head) > MOST_HEAD:
        raise _malformed("a part has no end of its headers")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            said = _header(value.decode(errors="replace").strip())
            field, file = (said.get_param(name, header="x") for name in ("name", "filename"))
            if said.get("x", "").partition(";")[0].strip().lower() != "form-data" or not isinstance(field, str):
                break
            return FormField(field, file if isinstance(file, str) else None, content)
    raise _malformed('a part has no Content-Disposition: form-data; name="..."')


def _header(value: str) -> Message:
    """A message of which that is a header, so that its parameters can be asked for."""
    message = Message()
    message["x"] = value.replace("\r", " ").replace("\n", " ")
    return message


def _malformed(words: str) -> Problem:
    return Problem(MALFORMED, f"the body is no form with files: {words}")
