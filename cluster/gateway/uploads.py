"""Files that jobs are to find: contents by their SHA-256, streamed and gone on with; and trees, which name them."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.pieces import AT_ONCE, SMALL
from cluster.domain.files.tree import MAX_SIZE, Entry, EntryKind, encode, with_parents
from cluster.gateway.binding import media_type
from cluster.gateway.bodies import MOST
from cluster.gateway.handled_routes import Exchange, HandledRoute, Schema
from cluster.gateway.members import JSON, TEXT, document, object_in, object_of
from cluster.gateway.problems import LENGTH_REQUIRED, MALFORMED, RANGE, WRONG_TYPE, Problem, WrongPlace, invalid
from cluster.v1 import files_pb2

BYTES = "application/octet-stream"
MOST_NAMES = 2 * MOST  # bytes of all paths of a tree, with those of the directories that nobody has named
PIECE = 256 * 1024  # bytes of a content that go on together
_SHA256 = re.compile("[0-9a-f]{64}")
_PART = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_MODES = {EntryKind.FILE: 0o644, EntryKind.DIRECTORY: 0o755, EntryKind.LINK: 0}
_MEMBERS = ("path", "kind", "size", "sha256", "mode", "target")


class _Part(NamedTuple):
    """What of a content a request brings: from an offset to its end."""

    size: int  # bytes of the whole content
    offset: int


async def put(exchange: Exchange) -> Response:
    """Takes in a content, or the rest of one. Of one that is here already nothing is read by whoever waits to be asked
    for it (Expect: 100-continue), and the rest is read and forgotten."""
    digest, part = _digest_in(exchange), _part_of(exchange.request)
    pieces = exchange.pieces()
    if await _missing(exchange, [digest]):
        await _send(exchange, digest, part, pieces)
    elif "100-continue" not in exchange.request.headers.get("expect", "").lower():
        async for _ in pieces:
            pass
    return document({"sha256": digest.hex(), "size": part.size})


async def shown(exchange: Exchange) -> Response:
    """Whether a content is here, and if not, how much of it."""
    digest = _digest_in(exchange)
    missing = await _missing(exchange, [digest])
    return document({"sha256": digest.hex(), "here": not missing, "begun": missing[0].begun if missing else 0})


async def tree(exchange: Exchange) -> Response:
    """Takes in the list of all files that a job is to find, and says which of them have not been sent."""
    async with exchange.body(MOST) as body:
        if media_type(exchange.request) != JSON:
            raise Problem(WRONG_TYPE, f"the body must be {JSON}, and Content-Type must say so (curl --json does)")
        entries = await asyncio.to_thread(_entries_in, body)
    listed = await asyncio.to_thread(lambda: b"".join(encode(entries)))
    digest = hashlib.sha256(listed).digest()
    if await _missing(exchange, [digest]):
        await _send(exchange, digest, _Part(len(listed), 0), _cut(listed))
    first: dict[bytes, Entry] = {}
    for entry in entries:
        if entry.kind is EntryKind.FILE:
            first.setdefault(entry.digest, entry)
    missing = [_told(first[each.digest], each.begun) for each in await _missing(exchange, list(first))]
    # In ASCII, as all paths are told.
    return Response(json.dumps({"sha256": digest.hex(), "missing": missing}), media_type=JSON)


class _MissingContent(NamedTuple):
    digest: bytes
    begun: int  # bytes that are here


async def _missing(exchange: Exchange, digests: Sequence[bytes]) -> list[_MissingContent]:
    """Those that the caller has to send."""
    found: list[_MissingContent] = []
    for at in range(0, len(digests), AT_ONCE):
        some = digests[at : at + AT_ONCE]
        answer = await exchange.one("Files.FindMissing", digests=some)
        begun = {each.place: each.bytes for each in answer.begun}
        found += (_MissingContent(some[place], begun.get(place, 0)) for place in answer.missing)
    return found


async def _send(exchange: Exchange, digest: bytes, part: _Part, pieces: AsyncGenerator[bytes, None]) -> None:
    """Raises the scheduler's ClusterError, and Problem where the body breaks off: what came is kept."""
    is_small = part.size <= SMALL and not part.offset
    async with aclosing(pieces):
        data = b"".join([piece async for piece in pieces]) if is_small else b""
        messages = _messages(digest, part, _cut(data) if is_small else pieces)
        await exchange.sending("Files.PutContents", messages)


async def _messages(
    digest: bytes, part: _Part, pieces: AsyncIterator[bytes]
) -> AsyncGenerator[files_pb2.PutContentsRequest, None]:
    """A content of no bytes is one piece, too."""
    head: Mapping[str, Any] = {"digest": digest, "size": part.size, "offset": part.offset}
    waiting = bytearray()
    async for data in pieces:
        waiting += data
        if len(waiting) >= PIECE:
            yield _message(bytes(waiting), head)
            waiting, head = bytearray(), {}
    if waiting or head:
        yield _message(bytes(waiting), head)


def _message(data: bytes, head: Mapping[str, Any]) -> files_pb2.PutContentsRequest:
    return files_pb2.PutContentsRequest(pieces=[files_pb2.ContentPiece(data=data, **head)])


async def _cut(data: bytes) -> AsyncGenerator[bytes, None]:
    for at in range(0, len(data), PIECE):
        yield data[at : at + PIECE]


# ── what a request says ────────────────────────────────────────────────────────────────────────────────────────────


def _digest_in(exchange: Exchange) -> bytes:
    text = str(exchange.request.path_params["sha256"])
    if not _SHA256.fullmatch(text):
        words = f"{text[:80]!r} is no SHA-256, which has 64 digits of 0-9 and a-f"
        raise invalid([WrongPlace(words, parameter="sha256")])
    return bytes.fromhex(text)


def _part_of(request: Request) -> _Part:
    """Problem where the request does not say how much it brings, or brings no end of a content."""
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        words = "say how many bytes come (Content-Length), as curl -T FILE does: a content is taken in as it comes"
        raise Problem(LENGTH_REQUIRED, words)
    count, said = int(length[:19]), request.headers.get("content-range")
    if said is None:
        size, offset = count, 0
    elif found := _PART.fullmatch(said):
        offset, last, size = map(int, found.groups())
        if last - offset + 1 != count or last + 1 != size:
            words = f"Content-Range: {said[:80]} is not the end of a content of which {count} bytes come"
            raise Problem(RANGE, words, headers={"Content-Range": f"bytes */{size}"})
    else:
        raise Problem(MALFORMED, f"Content-Range: {said[:80]!r} is not as in bytes 1000-1999/2000")
    if size > MAX_SIZE:
        raise InvalidInput(f"{size} bytes, which no file has")
    return _Part(size, offset)


def _entries_in(body: bytes) -> list[Entry]:
    """The entries of the tree, and directories above them that are not named. Problem for what is no list of files."""
    said = object_in(body)
    if said.keys() != {"files"} or not isinstance(said["files"], list):
        raise invalid([WrongPlace('an object {"files": [...]} is wanted', "")])
    entries = [_entry(value, f"/files/{place}") for place, value in enumerate(said["files"])]
    seen: set[bytes] = set()
    for place, entry in enumerate(entries):
        if entry.path in seen:
            raise invalid([WrongPlace(f"{entry.name} comes twice", f"/files/{place}/path")])
        seen.add(entry.path)
    return with_parents(entries, most=MOST_NAMES)


def _entry(value: Any, pointer: str) -> Entry:
    """One entry, as the results of jobs are told: what is null was not said. What makes no tree `encode` refuses."""
    if not isinstance(value, dict):
        raise invalid([WrongPlace("an object is wanted", pointer)])
    if unknown := [name for name in value if name not in _MEMBERS]:
        words = f"there is no such member; there are {', '.join(_MEMBERS)}"
        raise invalid([WrongPlace(words, f"{pointer}/{unknown[0][:60]}")])
    path, kind = _bytes_of(value, "path", pointer), _text_of(value, "kind", pointer) or "file"
    kinds = {each.name.lower(): each for each in EntryKind}
    if kind not in kinds:
        raise invalid([WrongPlace(f"{kind[:60]!r} is not one of {', '.join(kinds)}", f"{pointer}/kind")])
    mode = _text_of(value, "mode", pointer) or f"{_MODES[kinds[kind]]:o}"
    if not re.fullmatch("0?[0-7]{1,3}", mode):
        raise invalid([WrongPlace(f"{mode[:60]!r} is no mode, as in 644", f"{pointer}/mode")])
    digest, size = _text_of(value, "sha256", pointer), value.get("size")
    if kinds[kind] is EntryKind.FILE:
        if not _SHA256.fullmatch(digest):
            raise invalid([WrongPlace("a file has one, of 64 digits of 0-9 and a-f", f"{pointer}/sha256")])
        if isinstance(size, bool) or not isinstance(size, int):
            raise invalid([WrongPlace("a file has one: so many bytes", f"{pointer}/size")])
    elif digest or size is not None:
        raise invalid([WrongPlace(f"a {kind} has neither size nor sha256", pointer)])
    target = _bytes_of(value, "target", pointer) if kinds[kind] is EntryKind.LINK else b""
    return Entry(path, kinds[kind], int(mode, 8), size or 0, bytes.fromhex(digest), target)


def _text_of(value: Mapping[str, Any], name: str, pointer: str) -> str:
    """Empty: it is not said."""
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise invalid([WrongPlace("this is no text", f"{pointer}/{name}")])
    return text or ""


def _bytes_of(value: Mapping[str, Any], name: str, pointer: str) -> bytes:
    """A path; bytes of it that are no UTF-8 stand as lone surrogates."""
    text = _text_of(value, name, pointer)
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise invalid([WrongPlace("half of a surrogate pair is no character", f"{pointer}/{name}")]) from None


def _told(entry: Entry, begun: int) -> dict[str, Any]:
    path = entry.path.decode(errors="surrogateescape")
    return {"path": path, "sha256": entry.digest.hex(), "size": entry.size, "begun": begun}


_DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NULLABLE: Schema = {"type": ["string", "null"]}
_FILE = object_of(
    "path",
    path=TEXT,
    kind={"type": ["string", "null"], "enum": [*(kind.name.lower() for kind in EntryKind), None]},
    size={"type": ["integer", "null"], "minimum": 0, "maximum": MAX_SIZE},
    sha256={**_NULLABLE, "description": "Of a file."},
    mode={**_NULLABLE, "description": "Octal, 644 where a file says nothing."},
    target={**_NULLABLE, "description": "Of a link, which leads nowhere outside."},
)
_LACKING = object_of(
    *("path", "sha256", "size", "begun"),
    path=TEXT,
    sha256=_DIGEST,
    size=_COUNT,
    begun={**_COUNT, "description": "Bytes that are here: Content-Range may go on behind them."},
)
_CALLS = ("Files.PutContents", "Files.FindMissing")

ROUTES = (
    HandledRoute(
        *("PUT", "/v1/contents/{sha256}", _CALLS, "Send a file, streamed; with Content-Range the rest of one.", put),
        bodies={BYTES: {"type": "string", "format": "binary"}},
        answers={JSON: object_of("sha256", "size", sha256=_DIGEST, size=_COUNT)},
    ),
    HandledRoute(
        *("GET", "/v1/contents/{sha256}", _CALLS, "Whether you have sent a file, or how much of it.", shown),
        answers={
            JSON: object_of("sha256", "here", "begun", sha256=_DIGEST, here={"type": "boolean"}, begun=_COUNT),
        },
    ),
    HandledRoute(
        *("POST", "/v1/trees", _CALLS, "List the files that a job is to find; which of them are to be sent.", tree),
        bodies={JSON: object_of("files", files={"type": "array", "items": _FILE})},
        answers={JSON: object_of(*("sha256", "missing"), sha256=_DIGEST, missing={"type": "array", "items": _LACKING})},
    ),
)
