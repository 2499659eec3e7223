"""How sets and specs become bytes in a store. A change here needs a migration.

A set is its flat bounds (IntervalSet.flat) as unsigned 32-bit little-endian numbers, uncompressed: most sets are one
or two ranges, and for the rare chunk with thousands this is the only form that Python writes at C speed. Task
indexes end at 10^8 (job.MAX_TASKS), so 32 bits hold them.
"""

import json
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.pause import Pause
from cluster.domain.job.records import PACKED, CallingAttempt, Flat, Held, OkEnds, TaskEnd
from cluster.domain.job.schedule_course import ScheduleCourse
from cluster.domain.job.script import HEAD
from cluster.domain.job.spec import JobSpec, numbers_of_lines
from cluster.domain.job.spec_making import spec_of
from cluster.domain.job.usage import NOTHING_USED, Usage
from cluster.domain.scheduler.pool_board import PoolWish
from cluster.domain.session.elsewhere import KnownElsewhere
from cluster.domain.session.offer import NOTHING, Offer

_HELD = struct.Struct("<HII")  # bytes of the worker's id, attempt, bounds that follow
_NUMBERED = struct.Struct("<II")  # number, bounds that follow
_OK = struct.Struct(PACKED)
_USAGE = struct.Struct(f"<{len(Usage._fields)}q")
_BOUND_BYTES = 4


def pack_set(flat: Sequence[int]) -> bytes:
    if not flat:  # as nearly all of a job of one task are
        return b""
    bounds = array("I", flat)
    if sys.byteorder == "big":
        bounds.byteswap()
    return bounds.tobytes()


def unpack_set(data: bytes) -> Flat:
    bounds = array("I", data)
    if sys.byteorder == "big":
        bounds.byteswap()
    return tuple(bounds)


def pack_callers(callers: Iterable[CallingAttempt]) -> str:
    """Words of job.index.attempt.number."""
    return " ".join(".".join(map(str, caller)) for caller in callers)


def unpack_callers(text: str) -> tuple[CallingAttempt, ...]:
    return tuple(CallingAttempt(*map(int, word.split("."))) for word in text.split())


def pack_held(held: Sequence[Held]) -> bytes:
    if not held:
        return b""
    parts = []
    for worker_id, attempt, flat in held:
        name = worker_id.encode()
        parts += [_HELD.pack(len(name), attempt, len(flat)), name, pack_set(flat)]
    return b"".join(parts)


def unpack_held(data: bytes) -> tuple[Held, ...]:
    held, at = [], 0
    while at < len(data):
        name_length, attempt, bounds = _HELD.unpack_from(data, at)
        at += _HELD.size
        middle, end = at + name_length, at + name_length + bounds * _BOUND_BYTES
        held.append(Held(data[at:middle].decode(), attempt, unpack_set(data[middle:end])))
        at = end
    return tuple(held)


def pack_numbered(sets: Sequence[tuple[int, Flat]]) -> bytes:
    """Sets that each have a number: of a state, or of an attempt."""
    if not sets:
        return b""
    return b"".join(_NUMBERED.pack(number, len(flat)) + pack_set(flat) for number, flat in sets)


def unpack_numbered(data: bytes) -> tuple[tuple[int, Flat], ...]:
    sets, at = [], 0
    while at < len(data):
        number, bounds = _NUMBERED.unpack_from(data, at)
        at += _NUMBERED.size
        end = at + bounds * _BOUND_BYTES
        sets.append((number, unpack_set(data[at:end])))
        at = end
    return tuple(sets)


def pack_pause(pause: Pause | None) -> str:
    return json.dumps(pause) if pause else ""


def pack_course(course: ScheduleCourse | None) -> str:
    return json.dumps(course) if course else ""


def pack_changes(changed: tuple[tuple[str, Any], ...], deadline_since: float) -> str:
    """JSON; empty for none. The deadline's entry says from when it counts, if that is known."""
    rows = [(*entry, deadline_since) if deadline_since and entry[0] == "deadline" else entry for entry in changed]
    return json.dumps(rows) if rows else ""


def unpack_changes(text: str) -> tuple[tuple[tuple[str, Any], ...], float]:
    """What was changed, and from when the deadline among it counts."""
    found = json.loads(text) if text else ()
    changed = tuple((field, tuple(value) if isinstance(value, list) else value) for field, value, *_ in found)
    return changed, next((since for _, _, *more in found for since in more), 0.0)


def pack_usage(used: Usage) -> bytes:
    """Empty for nothing."""
    return _USAGE.pack(*used.kept()) if used.attempts else b""


def unpack_usage(data: bytes) -> Usage:
    return Usage(*_USAGE.unpack(data)) if data else NOTHING_USED


def unpack_course(text: str) -> ScheduleCourse | None:
    return ScheduleCourse(*json.loads(text)) if text else None


def pack_wishes(wishes: Sequence[PoolWish]) -> str:
    return json.dumps([(wish.pool, wish.count, wish.is_paused) for wish in wishes])


def unpack_wishes(text: str) -> tuple[PoolWish, ...]:
    return tuple(PoolWish(*each) for each in json.loads(text or "[]"))


def unpack_pause(text: str) -> Pause | None:
    return Pause(*json.loads(text)) if text else None


# These can be megabytes, and lists need none: they are kept apart.
_LARGE = ("env", "lines", "script_text", "files")


def pack_spec(spec: JobSpec) -> str:
    """JSON of the options that were given by their names, but environment, files and lines; of a script the beginning.
    So a default says what stored jobs are: a version that changes one must write out the former first."""
    values = {each.field: getattr(spec, each.field) for each in spec.given if each.field not in _LARGE}
    if spec.script_text:
        values["script_text"] = _text(spec.script_text[:HEAD])
    return json.dumps(values)


def pack_offer(offer: Offer) -> str:
    """JSON; empty for nothing."""
    if offer == NOTHING:
        return ""
    elsewhere = [offer.elsewhere.external_id, offer.elsewhere.metadata, offer.elsewhere.reference]
    return json.dumps([dict(offer.sums), offer.gpus, dict(offer.labels), offer.limits_memory, offer.sandbox, elsewhere])


def unpack_offer(text: str) -> Offer:
    if not text:
        return NOTHING
    sums, gpus, labels, *more = json.loads(text)  # of a version before without the last
    if len(more) > 2:
        external_id, metadata, reference = more[2]
        more[2] = KnownElsewhere(external_id, tuple((name, value) for name, value in metadata), reference)
    return Offer(tuple(sums.items()), tuple(gpus), tuple(labels.items()), *more)


def pack_apart(spec: JobSpec) -> str:
    """What is kept apart of it, but the lines: JSON of the environment, or where there is a script or a file of all by
    name."""
    large: dict[str, Any] = {"script_text": _text(spec.script_text)} if spec.script_text else {}
    if spec.files:
        large["files"] = spec.files
    if large:
        return json.dumps({"env": spec.env, **large})
    return json.dumps(spec.env) if spec.env else ""


def _apart(text: str) -> dict[str, Any]:
    found = json.loads(text or "[]")
    values = found if isinstance(found, dict) else {"env": found}
    return values | {"env": tuple((name, value) for name, value in values["env"])}


def _text(script: bytes) -> str:
    """A character for each byte."""
    return script.decode("latin-1")


def unpack_spec(text: str | bytes, apart: str = "", lines: bytes = b"", line_count: int = 0) -> JobSpec:
    """A field that the text does not have gets its default. `line_count` stands for the
    lines where these are left out, as in JobSpec.without_lines."""
    values: dict[str, Any] = json.loads(text) | _apart(apart)
    values["script_text"] = values.get("script_text", "").encode("latin-1")
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    if values.get("then"):
        values["then"] = tuple(map(tuple, values["then"]))
    values["array"] = tuple(ArraySegment(*segment) for segment in values.get("array", ()))
    if line_count and not (lines or values["array"]):
        values["array"] = numbers_of_lines(line_count)
    return spec_of({**values, "lines": lines})


def large_among(ends: OkEnds, start: int, stop: int) -> Iterator[TaskEnd]:
    """Those of tasks start … stop-1 with output that was too large to ride along."""
    first, last = max(start, ends.first), min(stop, ends.stop)
    piece = ends.packed[(first - ends.first) * _OK.size : (last - ends.first) * _OK.size]
    for index, (*_, output) in enumerate(_OK.iter_unpack(piece), first):
        if output:
            yield ends.end_of(index)
