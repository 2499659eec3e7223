"""The files that jobs have left for keeps: a list of them, and each one's bytes, whole or in part."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response, StreamingResponse

from cluster.client.results import entry_told
from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.files.tree import Entry, EntryKind, decode
from cluster.domain.job.results import ResultsState
from cluster.gateway.handled_routes import Exchange, HandledRoute
from cluster.gateway.members import JSON, TEXT, object_of
from cluster.gateway.problems import RANGE, Problem
from cluster.v1 import jobs_pb2

MOST_LISTED = 100_000  # entries in one answer
BYTES = "application/octet-stream"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def listed(exchange: Exchange) -> Response:
    """What the selected tasks have left: of each the files, directories and links."""
    tasks, count = [], 0
    for task in await _tasks(exchange):
        entries = await _entries(exchange, task.results)
        count += len(entries)
        if count > MOST_LISTED:
            raise InvalidInput(f"more than {MOST_LISTED} files: ask for some tasks at a time, as in 5.1-100")
        tasks.append(_told(task, entries))
    # In ASCII: names may have bytes that are no UTF-8, which stand as lone surrogates.
    return Response(json.dumps({"tasks": tasks}), media_type=JSON)


async def content(exchange: Exchange) -> Response:
    """The bytes of one file, or those of them that Range names."""
    path = str(exchange.request.path_params["path"])
    tasks = [task for task in await _tasks(exchange) if task.results.tree]
    if len(tasks) > 1:
        raise InvalidInput(f"{len(tasks)} tasks are selected: name the one whose file it is, as in 5.17")
    entries = await _entries(exchange, tasks[0].results) if tasks else []
    entry = next((entry for entry in entries if entry.path == path.encode(errors="surrogateescape")), None)
    if entry is None:
        raise NotFound(f"there is no file {path[:200]!r} among the results of the job")
    if entry.kind is not EntryKind.FILE:
        raise InvalidInput(f"{entry.name} is a {entry.kind.name.lower()}: only files have bytes")
    tag = f'"{entry.digest.hex()}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if tag in exchange.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    first, stop = _asked_for(exchange, entry.size, tag)
    status = 200 if (first, stop) == (0, entry.size) else 206
    if status == 206:
        headers["Content-Range"] = f"bytes {first}-{stop - 1}/{entry.size}"
    headers["Content-Length"] = str(stop - first)
    if exchange.request.method == "HEAD" or first == stop:
        return Response(status_code=status, headers=headers, media_type=BYTES)
    pieces = _bytes_of(exchange, tasks[0].results, entry.digest, first, stop)
    return StreamingResponse(pieces, status, headers, BYTES)


async def _tasks(exchange: Exchange) -> list[jobs_pb2.TaskResults]:
    job = jobs_pb2.Selector(text=str(exchange.request.path_params["job"]))
    answers = exchange.several("Jobs.ListResults", exchange.message("Jobs.ListResults", selectors=[job]))
    async with aclosing(answers) as several:
        return [task async for answer in several for task in answer.tasks]


async def _entries(exchange: Exchange, results: Any) -> list[Entry]:
    if not results.tree:
        return []
    async with aclosing(_pieces(exchange, results, results.tree, 0)) as several:
        return list(decode([data async for data in several]))


async def _pieces(exchange: Exchange, results: Any, digest: bytes, offset: int) -> AsyncGenerator[bytes, None]:
    key = {"job": results.job, "index": results.index, "attempt": results.attempt}
    message = exchange.message("Jobs.ReadResults", digests=[digest], offset=offset, **key)
    async with aclosing(exchange.several("Jobs.ReadResults", message)) as answers:
        async for answer in answers:
            for piece in answer.pieces:
                yield piece.data


async def _bytes_of(exchange: Exchange, results: Any, digest: bytes, first: int, stop: int) -> AsyncIterator[bytes]:
    left = stop - first
    async with aclosing(_pieces(exchange, results, digest, first)) as several:
        async for data in several:
            yield data[:left]
            left -= len(data)
            if left <= 0:
                return


def _asked_for(exchange: Exchange, size: int, tag: str) -> tuple[int, int]:
    """First byte, and where the last one ends: what Range asks for, all of it where it asks for several parts or for
    those of another content. Problem for a part that there is none of."""
    headers = exchange.request.headers
    found = _RANGE.fullmatch(headers.get("range", ""))
    if found is None or found[0] == "bytes=-" or headers.get("if-range", tag) != tag:
        return 0, size
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    begin, stop = int(first), min(size, int(last) + 1 if last else size)
    if begin >= stop:
        raise Problem(
            RANGE, f"there are {size} bytes: none from {begin} on", headers={"Content-Range": f"bytes */{size}"}
        )
    return begin, stop


def _told(task: Any, entries: list[Entry]) -> dict[str, Any]:
    return {
        "task": task.task_number,
        "attempt": task.results.attempt,
        "state": ResultsState(task.state).name.lower(),
        "worker": task.worker or None,
        "notes": list(task.results.notes),
        "files": [entry_told(entry) for entry in entries],
    }


_FILE = object_of(
    *("path", "kind", "size", "sha256", "mode", "target"),
    path=TEXT,
    kind=TEXT,
    size={"type": ["integer", "null"]},
    sha256={"type": ["string", "null"]},
    mode={"type": ["string", "null"]},
    target={"type": ["string", "null"]},
)
_TASK = object_of(
    *("task", "attempt", "state", "worker", "notes", "files"),
    task={"type": "integer"},
    attempt={"type": "integer"},
    state=TEXT,
    worker={"type": ["string", "null"]},
    notes={"type": "array", "items": TEXT},
    files={"type": "array", "items": _FILE},
)
_CALLS = ("Jobs.ListResults", "Jobs.ReadResults")

ROUTES = (
    HandledRoute(
        *("GET", "/v1/jobs/{job}/files", _CALLS, "The files that tasks have left for keeps.", listed),
        answers={JSON: object_of("tasks", tasks={"type": "array", "items": _TASK})},
    ),
    HandledRoute(
        *("GET", "/v1/jobs/{job}/files/{path}", _CALLS, "One of them; slashes in its path as %2F. Range is heard."),
        content,
        answers={BYTES: {"type": "string", "format": "binary"}},
    ),
)
