"""Deleting and pinning jobs, and the room that everything takes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cluster.domain.base.errors import Conflict
from cluster.domain.job.visibility import VisibleJobs
from cluster.domain.scheduler.events import JobsPinned
from cluster.domain.scheduler.retention import EndedJob, Limits, Pin, parse_keep, parse_keep_age
from cluster.domain.trust.identity import Caller
from cluster.domain.worker.room import reserve_of
from cluster.scheduler.access import select_whole
from cluster.scheduler.clearing import Clearing
from cluster.scheduler.driver import Driver
from cluster.scheduler.expiring import Expired, Expiring
from cluster.scheduler.message_checks import check_text
from cluster.scheduler.room import RoomHolder, RoomTaken, WorkerRoomTaken, room_of_disk
from cluster.store.contents.interface import Contents

AT_ONCE = 500  # jobs that are looked at before anybody else is served
MOST_TOLD = 100_000  # numbers in one answer
MOST_NAMED = 5


class DeletedJobs(NamedTuple):
    numbers: list[int]  # at most MOST_TOLD
    total: int
    kept: int  # of `all`: how many stay, because they go on, are pinned, or are needed by what goes on


class KeepingOperations:
    def __init__(
        self,
        driver: Driver,
        expiring: Expiring,
        clearing: Clearing,
        holders: Sequence[RoomHolder],
        directory: Path,
        contents: Contents,
        worker_rooms: Callable[[], Mapping[str, WorkerRoomTaken]],
    ) -> None:
        """`holders` take room below that directory; `worker_rooms`: what connected workers have said, by id."""
        self._worker_rooms, self._contents = worker_rooms, contents
        self._driver, self._holders, self._directory = driver, holders, directory
        self._expiring, self._clearing = expiring, clearing
        self.letting_go = expiring.letting_go

    async def delete(self, caller: Caller, selectors: Sequence[str]) -> DeletedJobs:
        """These jobs are there for nobody any more, when this returns; what they take is given back later. Conflict
        where one must be kept, and then none is deleted; of `all` such ones just stay."""
        numbers = await select_whole(self._driver, caller, selectors, "delete")
        self._driver.expect_writable()
        everything = "all" in selectors
        ended: list[EndedJob] = []
        kept: dict[int, str] = {}
        for at in range(0, len(numbers), AT_ONCE):
            some = numbers[at : at + AT_ONCE]
            found = await self._driver.fetch(lambda store, some=some: store.keeping.ended_among(some))  # type: ignore[misc]
            there = {job.number for job in found}
            kept |= {n: f"has not ended: `cluster job cancel {n}` stops it" for n in some if n not in there}
            whys = self._driver.peek(
                lambda core, found=found: {job.number: core.bonds.why_kept(job, core.jobs) for job in found}  # type: ignore[misc]
            )
            kept |= {number: why for number, why in whys.items() if why}
            ended += [job for job in found if job.number not in kept]
        if kept and not everything:
            named = "; ".join(f"job {number} {why}" for number, why in list(kept.items())[:MOST_NAMED])
            more = f"; and {len(kept) - MOST_NAMED} more" if len(kept) > MOST_NAMED else ""
            raise Conflict(f"nothing was deleted: {named}{more}")
        gone = await self._expiring.delete(ended, f"by {caller.identity.name}", refuses=not everything)
        return DeletedJobs(gone[:MOST_TOLD], len(gone), len(numbers) - len(gone) if everything else 0)

    async def pin(self, caller: Caller, selectors: Sequence[str]) -> tuple[list[int], int]:
        """These are kept until somebody unpins or deletes them: their numbers, and how many were not pinned before."""
        return await self._pin(caller, selectors, "pin", Pin(caller.identity.name, self._driver.clock().wall))

    async def unpin(self, caller: Caller, selectors: Sequence[str]) -> tuple[list[int], int]:
        """These are kept as long as others of their age: their numbers, and how many were pinned."""
        return await self._pin(caller, selectors, "unpin", None)

    async def _pin(self, caller: Caller, selectors: Sequence[str], verb: str, pin: Pin | None) -> tuple[list[int], int]:
        numbers = await select_whole(self._driver, caller, selectors, verb)
        self._driver.expect_writable()
        count = 0
        for at in range(0, len(numbers), AT_ONCE):
            event = partial(JobsPinned, jobs=tuple(numbers[at : at + AT_ONCE]), pin=pin)
            count += await self._driver.ask(event)
            await asyncio.sleep(0)
        return numbers[:MOST_TOLD], count

    async def prune(self, jobs: str, output: str, files: str, usage: str, *, dry: bool) -> tuple[Expired, Limits]:
        """Deletes now what is kept no longer, and returns when its room was given back; `dry`: only says what that
        would be. By which limits; `jobs`, `output`, `files`, `usage`: others this time, as people type them; empty:
        those in force."""
        limits = self._expiring.limits
        for kind, text in {"jobs": jobs, "output": output, "files": files, "usage": usage}.items():
            if text:
                check_text("what is kept", text, 100)
                parse = parse_keep_age if kind == "usage" else parse_keep
                limits = limits._replace(**{kind: parse(text)})  # type: ignore[arg-type]
        if not dry:
            self._driver.expect_writable()
            await self._clearing.look_through_files()
        found = await self._expiring.expire(limits, dry=dry)
        if not dry:
            await self._clearing.done()
        return found, limits

    def _files_of_users(self, user: str | None) -> list[tuple[str, int]]:
        """Bytes by user, most first; of one alone, unless None. Blocks."""
        owners = self._contents.owners() if user is None else [user]
        return sorted(((owner, self._contents.owned_bytes(owner)) for owner in owners), key=lambda each: -each[1])

    async def room(self, caller: Caller) -> RoomTaken:
        """What everything takes here. Of users' files who sees all jobs sees everybody's, others their own."""
        spaces = await self._driver.fetch(
            lambda store: [space for each in self._holders for space in each.spaces(store)]
        )
        disk = await asyncio.to_thread(room_of_disk, self._directory)
        rooms = self._worker_rooms()
        names = self._driver.peek(
            lambda core: {each: core.workers[each].record.name for each in rooms if each in core.workers}
        )
        workers = sorted(((each, name, rooms[each]) for each, name in names.items()), key=lambda worker: worker[1])
        spaces.sort(key=lambda space: -space.size)
        limits, users = self._expiring.limits, list[tuple[str, int]]()
        if limits.user_files is not None:
            users = await asyncio.to_thread(self._files_of_users, VisibleJobs.owner_of(caller))
        user, counted = VisibleJobs.owner_of(caller), self._expiring.user_outputs
        outputs = [each for each in (counted.sizes if counted else ()) if user in (None, each[0])]
        return RoomTaken(spaces, disk.free, disk.size, reserve_of(disk, None), limits, workers, users, outputs)
