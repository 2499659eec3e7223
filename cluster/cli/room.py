"""What takes room on disks, as `cluster status` tells it."""

from collections.abc import Sequence
from typing import Any

from cluster.client.types import RoomStatus, SpaceUsed
from cluster.domain.base.quantities import format_size


def room_facts(room: RoomStatus) -> list[tuple[str, str]]:
    free = f"{format_size(room.free)} of {format_size(room.size)} free, reserve {format_size(room.reserve)}"
    facts = [("disk", f"{_said(room.spaces)}; {free}"), ("kept", _kept(room))]
    if room.user_files:
        users = "".join(f"{user} {format_size(size)}, " for user, size in room.users)
        facts.append(("files by user", f"{users}of {format_size(room.user_files)} each"))
    if room.user_output:
        users = "".join(f"{user} {format_size(size)}, " for user, size in room.outputs)
        facts.append(("output by user", f"{users}of {format_size(room.user_output)} each"))
    for worker in room.workers:
        if worker.size:
            there = _said(worker.spaces)
            rest = (
                f"{format_size(worker.free)} of {format_size(worker.size)} free, reserve {format_size(worker.reserve)}"
            )
            facts.append((f"disk of {worker.name}", f"{there}; {rest}" if there else rest))
    return facts


def _kept(room: RoomStatus) -> str:
    return f"jobs {room.keep_jobs}, output {room.keep_output}, files {room.keep_files}, usage {room.keep_usage}"


def _said(spaces: Sequence[SpaceUsed]) -> str:
    free = (f" ({format_size(space.free)} of it free)" if space.free else "" for space in spaces)
    return ", ".join(f"{space.name} {format_size(space.size)}{rest}" for space, rest in zip(spaces, free, strict=True))


def room_json(room: RoomStatus) -> dict[str, Any]:
    """In bytes."""
    workers = {
        w.name: {"spaces": _json(w.spaces), "free": w.free, "size": w.size, "reserve": w.reserve} for w in room.workers
    }
    disk = {"free": room.free, "size": room.size, "reserve": room.reserve}
    limits = {"keep_jobs": room.keep_jobs, "keep_output": room.keep_output, "keep_files": room.keep_files}
    limits["keep_usage"] = room.keep_usage
    users: dict[str, Any] = {"user_files": room.user_files or None, "users": dict(room.users)}
    users |= {"user_output": room.user_output or None, "outputs": dict(room.outputs)}
    return {"spaces": _json(room.spaces), **disk, **limits, **users, "workers": workers}


def _json(spaces: Sequence[SpaceUsed]) -> dict[str, int]:
    return {space.name: space.size for space in spaces}
