"""Expelling users and workers: their certificates are refused, their calls cut, their jobs cancelled."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from cluster.domain.base.errors import NotFound
from cluster.domain.job.target import Target
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import WorkerRemoved
from cluster.domain.trust.expulsion import Expelled
from cluster.domain.trust.identity import ADMIN_NAME, Caller, IdentityKind
from cluster.domain.trust.members import Members
from cluster.domain.trust.users import UserRecord
from cluster.scheduler.admission import Admission
from cluster.scheduler.cancelling import cancel
from cluster.scheduler.driver import Driver


class Removed(NamedTuple):
    """A worker that leaves the list, when it holds no tasks any more; and tokens that let its machine join again."""

    id: str
    name: str
    held: int
    tokens: tuple[str, ...] = ()


class Expelling:
    """What admins may do to members; each returns when it is on disk."""

    def __init__(self, driver: Driver, admission: Admission, renew_admin: Callable[[], Awaitable[None]]) -> None:
        """`renew_admin` gives the first user, on this machine, a certificate of a new enrolment."""
        self._driver = driver
        self._admission = admission
        self._renew_admin = renew_admin
        # Also when the call that asks for it breaks off, or is cut since its caller is expelled at the same time, or
        # the disk is in trouble: nobody may stay half expelled, and no cluster without its first user.
        self._whole = driver.patience.whole

    async def revoke_user(self, name: str, and_joined: bool, keep_jobs: bool, by: Caller) -> tuple[Expelled, int]:
        """Answers what came of it, and how many tasks of their jobs were asked to stop. NotFound."""
        return await self._whole(self._expel(lambda m, now: m.revoke_user(name, now, and_joined), keep_jobs, by))

    async def revoke_token(self, token_id: str, and_joined: bool, keep_jobs: bool, by: Caller) -> tuple[Expelled, int]:
        """Revokes a token, as `revoke_user` does a user."""
        return await self._whole(self._expel(lambda m, now: m.revoke_token(token_id, and_joined, now), keep_jobs, by))

    async def remove_worker(self, worker: str, revoke: bool) -> "Removed":
        """Takes the worker of that id or name off the list. With `revoke` every certificate of it is refused.

        NotFound, or Conflict for one that is connected and is not revoked."""
        worker_id, name = await self._driver.read(lambda core: _find(core, worker))
        if not worker_id:
            if not self._admission.members.live_enrolments(IdentityKind.WORKER, worker):
                raise NotFound(f"there is no worker {worker!r}; `cluster worker list` shows those there are")
            worker_id = worker  # it has joined, and never registered
        if revoke:
            tokens = self._admission.members.tokens_open_to(worker_id, self._driver.clock().wall)
            return Removed(worker_id, name, await self._whole(self._expel_worker(worker_id, bool(name))), tokens)
        held: int = await self._driver.ask(lambda ask: WorkerRemoved(ask, worker_id))
        return Removed(worker_id, name, held)

    async def _expel(
        self, decide: Callable[[Members, float], Expelled], keep_jobs: bool, by: Caller
    ) -> tuple[Expelled, int]:
        expelled = await self._admission.expel(decide)
        return expelled, await self._follow_up(expelled, keep_jobs, by)

    async def _follow_up(self, expelled: Expelled, keep_jobs: bool, by: Caller) -> int:
        """What nothing may break off half way: it asks the disk for nothing. Should the first user's new certificate
        fail all the same, the rest is done before that is told; the same again, or a start, makes another."""
        try:
            if any(user.name == ADMIN_NAME for user in expelled.users):
                await self._renew_admin()
        finally:
            cancelled = await self._take_from(expelled, keep_jobs, by)
        return cancelled

    async def _take_from(self, expelled: Expelled, keep_jobs: bool, by: Caller) -> int:
        """Takes the workers off the list, and cancels the jobs unless they are kept."""
        for worker_id in expelled.workers:
            with suppress(NotFound):  # it has joined, and never registered
                await self._take_off(worker_id)
        return 0 if keep_jobs else sum([await self._cancel_jobs_of(user, by) for user in expelled.users])

    async def _expel_worker(self, worker_id: str, listed: bool) -> int:
        await self._admission.expel(lambda members, now: members.revoke_worker(worker_id, now))
        return await self._take_off(worker_id) if listed else 0

    async def _take_off(self, worker_id: str) -> int:
        held: int = await self._driver.ask(lambda ask: WorkerRemoved(ask, worker_id, expelled=True))
        return held

    async def _cancel_jobs_of(self, user: UserRecord, by: Caller) -> int:
        """Cancels all that was submitted before: nothing is accepted from the user any more when this is called."""
        targets = self._driver.peek(
            lambda core: [Target(job.number) for job in core.unfinished() if job.record.owner == user.id]
        )
        return await cancel(self._driver, targets, by.identity.name, reason=f"user {user.name} was revoked")


def _find(core: SchedulerCore, text: str) -> tuple[str, str]:
    """Id and name of the worker that is meant; both empty where there is none."""
    found = [w for w in core.workers.values() if w.is_called(text)]
    return (found[0].id, found[0].record.name) if found else ("", "")
