"""Users: listed, revoked."""

from collections.abc import Sequence
from typing import NamedTuple

from cluster.domain.scheduler.view_sizes import size_of_texts
from cluster.domain.trust.identity import Caller
from cluster.domain.trust.users import UserRecord
from cluster.scheduler.driver import Driver
from cluster.scheduler.expulsion import Expelling
from cluster.scheduler.leading import ALONE, Leadership, SchedulerView
from cluster.scheduler.listing import listed
from cluster.scheduler.message_checks import check_text
from cluster.scheduler.operations.members import Revocation, revoked, worker_names
from cluster.store.interface import Store

_NUMBERS = 40  # bytes of an answer that the numbers of a user take, about


class UserView(NamedTuple):
    record: UserRecord
    joined: int  # how many times, by tokens, and was not expelled


class UserOperations:
    def __init__(self, driver: Driver, expelling: Expelling, leading: Leadership = ALONE) -> None:
        self._driver, self._leading = driver, leading
        self._expelling = expelling

    def schedulers(self) -> Sequence[SchedulerView]:
        """Those of the cluster, as whoever asks who it is may know, too; none: there is one."""
        return self._leading.schedulers()

    async def list(self, after: str = "", limit: int = 0) -> tuple[Sequence[UserView], str]:
        """Oldest first, those after the user of that name; as `WorkerOperations.list` in the rest."""
        return await listed(self._piece, lambda user: user.record.name, _size_of, after, limit)

    async def revoke(self, caller: Caller, name: str, and_joined: bool, keep_jobs: bool) -> Revocation:
        """Expels the user, with `and_joined` all who joined by tokens that it had made, too; the jobs of all of these
        are cancelled unless they are to be kept. NotFound."""
        check_text("the name", name)
        names = await worker_names(self._driver)
        expelled, cancelled = await self._expelling.revoke_user(name, and_joined, keep_jobs, caller)
        return revoked(expelled, cancelled, names)

    async def _piece(self, after: str, most: int) -> Sequence[UserView]:
        def ask(store: Store) -> list[UserView]:
            return [UserView(user, store.joinings_of(user.name)) for user in store.users(after, most)]

        return await self._driver.fetch(ask)


def _size_of(user: UserView) -> int:
    return _NUMBERS + size_of_texts((user.record.name, user.record.id, user.record.role))
