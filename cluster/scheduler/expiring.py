"""Deletes what is kept no longer, by age and by size (`cluster.domain.scheduler.retention`): looks each minute what of
that there is, the oldest first, and hands it to the core some at a time; what the core lets go is cleared away beside
everything else (`cluster.scheduler.clearing`).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from math import inf

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.quantities import format_size
from cluster.domain.scheduler.deleting import Busy
from cluster.domain.scheduler.events import JobsDeleted, OutputsExpire
from cluster.domain.scheduler.retention import (
    NOTHING_WALKED,
    EndedJob,
    Keep,
    Limits,
    OutputsWalked,
    SteadyClock,
    UsageDropped,
    UserOutputs,
    first_day,
    too_many,
    too_old,
)
from cluster.scheduler.clearing import Clearing
from cluster.scheduler.collecting import collect_all
from cluster.scheduler.driver import Driver
from cluster.scheduler.inheriting import pass_on
from cluster.scheduler.output.room import FilesRoom
from cluster.scheduler.threads import to_its_end
from cluster.store.contents.interface import Contents

logger = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two looks
EACH_DAY = 86400.0  # seconds after which all files are looked through again
USAGE_AT_ONCE = 500  # sums of usage that go in one commit
AT_ONCE = 100  # jobs that are looked at, and deleted, before anybody else is served


@dataclass(slots=True)
class Expired:
    """What went, or would: bytes of output files, of outputs in the database and, about, of all else there."""

    jobs: int = 0
    outputs: int = 0  # of jobs that stay
    job_bytes: int = 0
    output_bytes: int = 0
    usage_days: int = 0  # of which the sums of usage went
    files: int = 0  # files of jobs that stay: of so many jobs
    file_bytes: int = 0
    jobs_to: OutputsWalked = NOTHING_WALKED  # all that ended before that was looked at
    outputs_to: OutputsWalked = NOTHING_WALKED


class Expiring:
    """Make it inside the event loop."""

    def __init__(
        self, driver: Driver, clearing: Clearing, outputs: FilesRoom, limits: Limits, contents: Contents
    ) -> None:
        self.limits = limits
        self._contents = contents
        self._files_to = NOTHING_WALKED  # the files of all jobs that ended before it were looked at since the day began
        self._driver, self._clearing, self._outputs = driver, clearing, outputs
        self._clock = SteadyClock()
        self.user_outputs = None if limits.user_output is None else UserOutputs(limits.user_output)
        self._users_counted_to = NOTHING_WALKED  # the outputs of all jobs that ended before it are in user_outputs
        self._one_at_a_time = asyncio.Lock()
        self.letting_go = asyncio.Lock()  # held by who lets files go, or has a job tried again that finds some

    async def run(self) -> None:
        """Goes on until it is cancelled, or nothing can be asked any more: then it raises Unreachable."""
        looked_at = -EACH_DAY
        while True:
            try:
                if self._driver.clock().mono - looked_at >= EACH_DAY:
                    looked_at, self._files_to = self._driver.clock().mono, NOTHING_WALKED
                    await self._clearing.look_through_files()
                steady = self._clock.is_steady(self._driver.clock())
                done = await self.expire(self.limits if steady else self.limits.without_ages())
                if done.usage_days:
                    logger.info("sums of usage are kept no longer: of %d days", done.usage_days)
                if done.jobs or done.outputs or done.files:
                    size = format_size(done.job_bytes + done.output_bytes + done.file_bytes)
                    gone = done.jobs, done.outputs, done.files, size
                    logger.info("kept no longer: jobs %d, of others outputs %d and files %d, %s", *gone)
            except ClusterError as error:
                self._driver.check()
                logger.warning("nothing expires just now: %s", error)
            await asyncio.sleep(INTERVAL)

    async def expire(self, limits: Limits, *, dry: bool = False) -> Expired:
        """Deletes what these limits do not keep. `dry`: only says what that would be."""
        async with self._one_at_a_time:
            found = Expired()
            await self._by_age(limits, found, dry)
            await self._by_size(limits, found, dry)
            await self._outputs_by_age(limits, found, dry)
            await self._outputs_by_size(limits, found, dry)
            await self._outputs_by_user(limits, found, dry)
            await self._files_by_age(limits, found, dry)
            await self._files_by_size(limits, found, dry)
            await self._usage_by_age(limits, found, dry)
            return found

    async def delete(self, jobs: Sequence[EndedJob], why: str, *, refuses: bool) -> list[int]:
        """The numbers of those that are deleted; see JobsDeleted. Some at a time. Their files are theirs no more."""
        gone: list[int] = []
        for at in range(0, len(jobs), AT_ONCE):
            some = tuple(jobs[at : at + AT_ONCE])
            event = partial(JobsDeleted, jobs=some, why=why, refuses=refuses)
            while True:
                try:
                    now_gone = frozenset(await self._driver.ask(event))
                    break
                except Busy:
                    await asyncio.sleep(0)
            self._clearing.wake()
            ids = {job.number: job.id for job in some if job.number in now_gone}
            await pass_on(self._driver, self._contents, ids)
            await to_its_end(partial(self._contents.release, *ids.values()))
            gone += now_gone
        return gone

    async def _by_age(self, limits: Limits, found: Expired, dry: bool) -> None:
        why, now = limits.why("jobs", by_size=False), self._driver.clock().wall
        async with aclosing(self._ended(NOTHING_WALKED)) as pieces:
            async for some in pieces:
                old = too_old(some, limits.jobs, now)
                await self._delete(old, await self._weigh(old), why, found, dry)
                if len(old) < len(some):
                    return

    async def _by_size(self, limits: Limits, found: Expired, dry: bool) -> None:
        """What was deleted before must be cleared away, or it would be counted."""
        if limits.jobs.size is None or not (dry or self._clearing.is_idle):
            return
        used = (await self._driver.fetch(lambda store: store.keeping.size())).used - found.job_bytes
        why = limits.why("jobs", by_size=True)
        async with aclosing(self._ended(found.jobs_to)) as pieces:
            async for some in pieces:
                some = self._may_go(some)
                sizes = await self._weigh(some)
                count = too_many([rows for rows, _ in sizes], used, limits.jobs)
                before = found.job_bytes
                await self._delete(some[:count], sizes[:count], why, found, dry)
                used -= found.job_bytes - before
                if count < len(some):
                    return

    async def _outputs_by_age(self, limits: Limits, found: Expired, dry: bool) -> None:
        why, now = limits.why("output", by_size=False), self._driver.clock().wall
        start = await self._driver.fetch(lambda store: store.keeping.walked())
        async with aclosing(self._ended(max(start, found.jobs_to))) as pieces:
            async for some in pieces:
                old = too_old(some, limits.output, now)
                await self._let_go_outputs(old, await self._weigh(old), why, found, dry)
                if len(old) < len(some):
                    return

    async def _outputs_by_size(self, limits: Limits, found: Expired, dry: bool) -> None:
        if limits.output.size is None or not (dry or self._clearing.is_idle):
            return
        small = (await self._driver.fetch(lambda store: store.keeping.size())).small_outputs
        used, why = small + self._outputs.used - found.output_bytes, limits.why("output", by_size=True)
        start = await self._driver.fetch(lambda store: store.keeping.walked())
        async with aclosing(self._ended(max(start, found.jobs_to, found.outputs_to))) as pieces:
            async for some in pieces:
                sizes = await self._weigh(some)
                count = too_many([output for _, output in sizes], used, limits.output)
                before = found.output_bytes
                await self._let_go_outputs(some[:count], sizes[:count], why, found, dry)
                used -= found.output_bytes - before
                if count < len(some):
                    return

    async def _outputs_by_user(self, limits: Limits, found: Expired, dry: bool) -> None:
        """Of each user who has more than it may the outputs of those jobs that ended first. What has come since the
        last look is counted; all is, of whom that is too much by that."""
        if self.user_outputs is None or limits.user_output is None or not (dry or self._clearing.is_idle):
            return
        async with aclosing(self._outputs_since(self._users_counted_to)) as pieces:
            async for some in pieces:
                for job, _, output in some:
                    self.user_outputs.add(job.owner, output)
                self._users_counted_to = _place_of(some[-1][0])
        why = f"as --user-output {Keep(size=limits.user_output)} says"
        walked = await self._driver.fetch(lambda store: store.keeping.walked())
        start = max(walked, found.jobs_to, found.outputs_to)
        for owner in self.user_outputs.over():
            total = 0
            async with aclosing(self._outputs_since(start)) as pieces:
                async for some in pieces:
                    total += sum(output for job, _, output in some if job.owner == owner)
            over = self.user_outputs.recount(owner, total)
            went = await self._let_go_of_user(owner, start, over, why, found, dry) if over else 0
            if not dry:
                self.user_outputs.went(owner, went)

    async def _let_go_of_user(
        self, owner: str, start: OutputsWalked, over: int, why: str, found: Expired, dry: bool
    ) -> int:
        """How many bytes went, or would."""
        before = found.output_bytes
        async with aclosing(self._outputs_since(start)) as pieces:
            async for some in pieces:
                pins = self._driver.peek(lambda core: frozenset(core.bonds.pins))
                own = [each for each in some if each[0].owner == owner and each[2] and each[0].number not in pins]
                count = too_many([size for _, _, size in own], over - (found.output_bytes - before), Keep(size=0))
                going = own[:count]
                sizes = [(rows, output) for _, rows, output in going]
                await self._let_go_outputs([job for job, _, _ in going], sizes, why, found, dry, all_before=False)
                if found.output_bytes - before >= over:
                    break
        return found.output_bytes - before

    async def _outputs_since(self, after: OutputsWalked) -> AsyncGenerator[list[tuple[EndedJob, int, int]], None]:
        """The jobs that have ended since, with their bytes in the database and of output, some at a time."""
        async with aclosing(self._ended(after)) as pieces:
            async for some in pieces:
                weights = await self._weigh(some)
                yield [(job, rows, output) for job, (rows, output) in zip(some, weights, strict=True)]

    async def _usage_by_age(self, limits: Limits, found: Expired, dry: bool) -> None:
        before = first_day(limits.usage, self._driver.clock().wall)
        count = await self._driver.fetch(lambda store: store.keeping.usage_days(before)) if before else 0
        found.usage_days = count
        while count and not dry:
            began = self._driver.clock().mono
            await self._driver.save(UsageDropped(before, USAGE_AT_ONCE))
            await asyncio.sleep(self._driver.clock().mono - began)  # others have as long
            count = await self._driver.fetch(lambda store: store.keeping.usage_days(before))

    async def _files_by_age(self, limits: Limits, found: Expired, dry: bool) -> None:
        why, now = limits.why("files", by_size=False), self._driver.clock().wall
        async with aclosing(self._ended(max(self._files_to, found.jobs_to))) as pieces:
            async for some in pieces:
                old = too_old(some, limits.files, now)
                await self._let_go_files(old, why, found, inf, dry)
                if len(old) < len(some):
                    return

    async def _files_by_size(self, limits: Limits, found: Expired, dry: bool) -> None:
        if limits.files.size is None:
            return
        over = await asyncio.to_thread(self._contents.held_bytes) - limits.files.size
        over -= found.file_bytes if dry else 0
        why = limits.why("files", by_size=True)
        async with aclosing(self._ended(max(self._files_to, found.jobs_to))) as pieces:
            async for some in pieces:
                if over <= 0:
                    return
                before = found.file_bytes
                await self._let_go_files(some, why, found, over, dry)
                over -= found.file_bytes - before

    async def _let_go_files(self, jobs: Sequence[EndedJob], why: str, found: Expired, least: float, dry: bool) -> None:
        """Of those that have any and need not be kept, until so many bytes have gone."""
        count = size = 0
        async with self.letting_go:
            now = self._driver.clock().wall
            if going := self._may_go(jobs):
                ids = [job.id for job in going]
                await pass_on(self._driver, self._contents, {job.number: job.id for job in going})
                count, size = await to_its_end(partial(self._contents.expire, ids, now, why, least, dry=dry))
        found.files += count
        found.file_bytes += size
        if dry:
            return
        if jobs and size < least:
            self._files_to = max(self._files_to, _place_of(jobs[-1]))
        if size:
            await collect_all(self._contents)

    def _may_go(self, jobs: Sequence[EndedJob]) -> list[EndedJob]:
        return self._driver.peek(lambda core: [job for job in jobs if not core.bonds.why_kept(job, core.jobs)])

    async def _weigh(self, jobs: Sequence[EndedJob]) -> list[tuple[int, int]]:
        """Of each its bytes in the database, and those of its output wherever that is."""
        numbers = [job.number for job in jobs]
        weights = await self._driver.fetch(lambda store: store.keeping.weigh(numbers)) if numbers else []
        files = await asyncio.to_thread(lambda: list(map(self._outputs.size_of, numbers)))
        return [(weight.rows, weight.outputs + size) for weight, size in zip(weights, files, strict=True)]

    async def _delete(
        self, jobs: Sequence[EndedJob], sizes: Sequence[tuple[int, int]], why: str, found: Expired, dry: bool
    ) -> None:
        """Those of them that need not be kept are deleted, or would be."""
        if not jobs:
            return
        gone = {job.number for job in self._may_go(jobs)}
        if not dry:
            gone = set(await self.delete([job for job in jobs if job.number in gone], why, refuses=False))
        for job, (rows, output) in zip(jobs, sizes, strict=True):
            if job.number in gone:
                found.jobs += 1
                found.job_bytes += rows
                found.output_bytes += output
        found.jobs_to = _place_of(jobs[-1])

    async def _let_go_outputs(
        self,
        jobs: Sequence[EndedJob],
        sizes: Sequence[tuple[int, int]],
        why: str,
        found: Expired,
        dry: bool,
        *,
        all_before: bool = True,
    ) -> None:
        """Of those that have any and are not pinned. `all_before`: whatever ended before them was looked at."""
        if not jobs:
            return
        outputs = {job.number: output for job, (_, output) in zip(jobs, sizes, strict=True) if output}
        gone = self._driver.peek(lambda core: tuple(number for number in outputs if number not in core.bonds.pins))
        walked = _place_of(jobs[-1]) if all_before else None
        found.outputs_to = walked or found.outputs_to
        if not dry:
            gone = await self._driver.ask(partial(OutputsExpire, jobs=gone, why=why, walked=walked))
            if gone:
                self._clearing.wake()
        found.outputs += len(gone)
        found.output_bytes += sum(outputs[number] for number in gone)

    async def _ended(self, after: OutputsWalked) -> AsyncGenerator[list[EndedJob], None]:
        """The jobs that have ended, the first first, some at a time."""
        while some := await self._driver.fetch(lambda store, after=after: store.keeping.ended(after, AT_ONCE)):  # type: ignore[misc]
            yield some
            after = _place_of(some[-1])


def _place_of(job: EndedJob) -> OutputsWalked:
    return OutputsWalked(job.ended_at, job.number)
