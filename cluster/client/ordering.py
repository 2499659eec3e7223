"""The client's verbs about the order in which jobs start: pause and resume, priorities, shares, the whole queue."""

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from cluster.client.arguments import selector_texts
from cluster.client.backend import Backend
from cluster.client.handy_specs import changes_of
from cluster.client.job_fields import new_job_id
from cluster.client.types import Job, QueueStatus
from cluster.domain.job.changes import check_changes, named
from cluster.domain.job.times import changes_in_utc


class OrderVerbs:
    """Methods of AsyncClient."""

    @abstractmethod
    def _backend(self) -> Backend: ...

    async def pause(
        self, *selectors: str | int, reason: str = "", stop_running: bool = False
    ) -> tuple[tuple[Job, ...], int]:
        """From now on no more tasks of these jobs start, until they are resumed; what runs goes on, or with
        `stop_running` stands still meanwhile.

        Answers the jobs as they are now and how many of them are paused: those that have not ended.
        """
        return await self._backend().pause(selector_texts(selectors), reason, stop_running)

    async def resume(self, *selectors: str | int) -> tuple[tuple[Job, ...], int]:
        """Resumes paused jobs. Returns the jobs as they are now and how many of them were paused."""
        return await self._backend().resume(selector_texts(selectors))

    async def retry(self, *selectors: str | int) -> tuple[tuple[Job, ...], int]:
        """Those of the selected tasks that have failed or were cancelled are tried again: the same job, new attempts.
        A job that has ended goes on by that. Answers the jobs as they are now, and how many tasks are tried again.
        Conflict where there are none."""
        return await self._backend().retry(selector_texts(selectors))

    async def rerun(self, selector: str | int, *, once: bool = False, id: str | None = None) -> Job:
        """Submits a new job with the spec of the selected one; the same `id` again returns the same new job. `once`: of
        a job that comes again the new one runs once, now."""
        return await self._backend().rerun(selector_texts([selector])[0], id or new_job_id(), once)

    async def set_priority(self, *selectors: str | int, priority: int) -> tuple[tuple[Job, ...], int]:
        """From now on these jobs have that priority, -1000 to 1000; only an admin raises one. Answers them as they are
        now, and how many of them had another one."""
        return await self._backend().set_priority(selector_texts(selectors), priority)

    async def set_options(
        self, *selectors: str | int, defaults: Sequence[str] = (), **options: Any
    ) -> tuple[tuple[Job, ...], int]:
        """From now on these jobs have these options, given as in `submit`; those of `defaults`, by names, have their
        default again. Answers the jobs as they are now, and how many of them had others.

        What has begun goes on as it was started; of what the scheduler decides later, as retries, they are for all.
        Only an admin raises a priority. What a task asks for (cpus, mem and so on) changes only while workers have none
        of the job's: Conflict says so."""
        changes = {named(name).field: named(name).default for name in defaults} | changes_of(options)
        check_changes(changes)
        return await self._backend().set_options(selector_texts(selectors), changes_in_utc(changes, time.time(), None))

    async def set_share(self, user: str, weight: float) -> QueueStatus:
        """From now on what the user has had is divided by that weight, 0.001 to 1000, when it is compared with
        others'."""
        return await self._backend().set_share(user, weight)

    async def queue(self) -> QueueStatus:
        """The queue: whether anything starts, how many jobs have not ended, and the shares of users."""
        return await self._backend().queue()

    async def pause_queue(self, *, reason: str = "") -> QueueStatus:
        """Pauses the queue: nothing starts until it is resumed; jobs are accepted, and running tasks go on."""
        return await self._backend().pause_queue(reason)

    async def resume_queue(self) -> QueueStatus:
        """Resumes the queue: tasks start again."""
        return await self._backend().resume_queue()
