"""Streams of messages over HTTP: as events (Server-Sent Events), or as the bytes that tasks have written."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import StreamingResponse

from cluster.client.position import Position, read_on
from cluster.client.types import Output
from cluster.domain.base.errors import ClusterError
from cluster.gateway.binding import accepts
from cluster.gateway.json_messages import to_json
from cluster.gateway.problems import INVALID, Problem, problem_of
from cluster.v1 import jobs_pb2

EVENT_STREAM = "text/event-stream"
FIRST = 1.0  # seconds that the first message has to come, or to fail, before the answer begins all the same
PULSE = 15.0  # seconds of silence after which a comment says that somebody is there, to proxies too
EVENT: Mapping[str, Any] = {  # the schema of each
    "type": "object",
    "description": "Each of the Server-Sent Events. `data` is JSON.",
    "properties": {name: {"type": "string"} for name in ("event", "id", "data")},
    "additionalProperties": False,
}
MOST_COLLECTED = 1000  # entries of one document

Write = Callable[[Any], bytes]


def wants_events(request: Request) -> bool:
    """Whether the caller takes events."""
    return accepts(request, EVENT_STREAM)


# ── events ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def as_events(messages: AsyncGenerator[Any, None], write: Write) -> StreamingResponse:
    """The messages as events, then one that is called `end`; where it breaks, one that is called `problem`. What fails
    at once raises its ClusterError."""
    first = await _begun(messages)
    headers = {"X-Accel-Buffering": "no"}  # for proxies that would keep events until there are many
    return StreamingResponse(_events(messages, first, write), 200, headers, EVENT_STREAM)


async def _events(
    messages: AsyncGenerator[Any, None], first: "asyncio.Task[Any]", write: Write
) -> AsyncIterator[bytes]:
    async with aclosing(messages):
        waiting = first
        try:
            yield b": this is a stream of events\n\n"
            while True:
                done, _ = await asyncio.wait([waiting], timeout=PULSE)
                if not done:
                    yield b": \n\n"
                    continue
                yield write(waiting.result())
                waiting = asyncio.ensure_future(anext(messages))
        except StopAsyncIteration:
            yield event("end", {})
        except ClusterError as error:
            yield event("problem", problem_of(error).as_json())
        finally:
            await _ended(waiting)


def event(name: str, data: dict[str, Any], id: str = "") -> bytes:
    """One event. Its data is one line of JSON."""
    head = f"event: {name}\n" + (f"id: {id}\n" if id else "")
    return f"{head}data: {json.dumps(data)}\n\n".encode()


async def _begun(messages: AsyncGenerator[Any, None]) -> "asyncio.Task[Any]":
    """The task that waits for the first message. What it fails with within FIRST seconds is raised."""
    first = asyncio.ensure_future(anext(messages))
    try:
        await asyncio.wait([first], timeout=FIRST)
        if first.done() and isinstance(first.exception(), ClusterError):
            await first
    except BaseException:
        await _ended(first)
        await messages.aclose()
        raise
    return first


async def leave(response: StreamingResponse) -> None:
    """Ends what it would stream, of which nobody wants anything."""
    content = cast(AsyncGenerator[bytes, None], response.body_iterator)
    beginning = asyncio.ensure_future(anext(content))  # what has never begun would tidy nothing up
    await asyncio.sleep(0)
    await _ended(beginning)
    await content.aclose()


async def _ended(task: "asyncio.Task[Any]") -> None:
    """Nobody waits for it any more. This returns only when it has ended, also where a reader who hangs up cancels the
    wait: what it iterates cannot be closed before."""
    task.cancel()
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if not task.cancelled():
        task.exception()  # it was told, or nobody is left to be told
    if cancelled:
        raise asyncio.CancelledError


# ── output ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def prepare_output(request: Request, message: Any) -> None:
    """Completes what a reader of output asks for: both streams unless it names one; as events what comes as well, and
    after a break from where it was."""
    if not {"stdout", "stderr"} & request.query_params.keys():
        message.stdout = message.stderr = True
    if wants_events(request):
        if "follow" not in request.query_params:
            message.follow = True
        if last := request.headers.get("last-event-id"):
            message.position.CopyFrom(position_of(last))


def output_events() -> Write:
    """Writes pieces of output as events, each with the position after it."""
    position: Position | None = None

    def write(piece: Any) -> bytes:
        nonlocal position
        if piece.note:
            return event("note", to_json(piece))
        position = read_on(position, Output(piece.job, piece.task_number, piece.attempt, piece.stderr, b"", piece.end))
        return event("output", to_json(piece), _text(position))

    return write


def _text(position: Position) -> str:
    return f"{position.job}.{position.task}.{position.attempt}.{position.stdout}.{position.stderr}"


def position_of(text: str) -> jobs_pb2.Position:
    """What the id of an event of output says. Problem for any other text."""
    parts = text.split(".")
    if len(parts) != 5 or not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise Problem(INVALID, f"Last-Event-ID {text[:60]!r} is no id of an event of this stream")
    job, task, attempt, stdout, stderr = map(int, parts)
    try:
        return jobs_pb2.Position(job=job, task_number=task, attempt=attempt, stdout=stdout, stderr=stderr)
    except ValueError:
        raise Problem(INVALID, f"Last-Event-ID {text[:60]!r} is out of range") from None


async def as_bytes(messages: AsyncGenerator[Any, None]) -> StreamingResponse:
    """What was written, and nothing else. Where it breaks the answer breaks off, too."""
    first = await _begun(messages)

    async def pieces() -> AsyncIterator[bytes]:
        async with aclosing(messages):
            waiting = first
            try:
                while True:
                    yield (await waiting).data
                    waiting = asyncio.ensure_future(anext(messages))
            except StopAsyncIteration:
                return
            finally:
                await _ended(waiting)

    return StreamingResponse(pieces(), media_type="text/plain; charset=utf-8")


# ── what has happened ──────────────────────────────────────────────────────────────────────────────────────────────


def prepare_events(request: Request, message: Any) -> None:
    """As events also what comes; after a break from where the reader was."""
    message.follow = wants_events(request)
    if message.follow and (last := request.headers.get("last-event-id")):
        if not (last.isascii() and last.isdigit() and len(last) < 20):
            raise Problem(INVALID, f"Last-Event-ID {last[:60]!r} is no id of an event of this stream")
        message.since = int(last)


def write_happened(page: Any) -> bytes:
    """Each event by its kind. A page without any tells how far it is: a reader that comes again goes on from there."""
    events = [event(each.kind, to_json(each), str(each.sequence)) for each in page.events]
    return b"".join(events) or f"id: {page.position}\n\n".encode()


# ── changes of jobs ────────────────────────────────────────────────────────────────────────────────────────────────


def write_change(message: Any) -> bytes:
    """The jobs that have changed. After its first time each comes without its spec."""
    return event("jobs", to_json(message))


async def ended_jobs(messages: AsyncGenerator[Any, None]) -> dict[str, Any]:
    """The jobs as they have ended, when all have."""
    jobs: dict[int, dict[str, Any]] = {}
    async with aclosing(messages):
        async for message in messages:
            for job in message.jobs:
                jobs[job.number] = {**jobs.get(job.number, {}), **to_json(job)}
    return {"jobs": list(jobs.values()), "more": False}


# ── several messages as one ────────────────────────────────────────────────────────────────────────────────────────


async def collected(messages: AsyncGenerator[Any, None]) -> dict[str, Any]:
    """The messages of a stream as one: lists are joined, of other fields the last counts. Enough is enough."""
    document: dict[str, Any] = {}
    entries = 0
    async with aclosing(messages):
        async for message in messages:
            for name, value in to_json(message).items():
                if isinstance(value, list):
                    document.setdefault(name, []).extend(value)
                    entries += len(value)
                else:
                    document[name] = value
            if entries >= MOST_COLLECTED:
                break
    return document
