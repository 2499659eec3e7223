"""Members as admins see them, and what has come of expelling some."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.trust.expulsion import Expelled
from cluster.domain.trust.identity import IdentityKind
from cluster.scheduler.driver import Driver

MOST_JOINED = 100  # members that an answer names of those who have joined by a token

Names = Mapping[str, str]  # worker ids: names


class MemberView(NamedTuple):
    kind: IdentityKind
    id: str  # of a user the name
    name: str
    token: str = ""  # by which it has joined, where that matters


class Revocation(NamedTuple):
    """What has come of revoking a user or a token."""

    cancelled: int  # tasks that were asked to stop
    expelled: list[MemberView]
    tokens: tuple[str, ...]  # ids of those that the expelled had made
    joined: list[MemberView]  # the first of those who joined by such tokens, and stay
    joined_total: int
    kept: list[MemberView]  # the first of the other joinings by which users stay of whom one is refused now


def member(kind: IdentityKind, name: str, names: Names, token: str = "") -> MemberView:
    return MemberView(kind, name, name if kind is IdentityKind.USER else names.get(name, ""), token)


def revoked(expelled: Expelled, cancelled: int, names: Names) -> Revocation:
    workers = [member(IdentityKind.WORKER, worker_id, names) for worker_id in expelled.workers]
    users = [member(IdentityKind.USER, user.name, names) for user in expelled.users]
    left = [member(e.kind, e.name, names, e.token) for e in expelled.left[:MOST_JOINED]]
    kept = [member(e.kind, e.name, names, e.token) for e in expelled.kept[:MOST_JOINED]]
    return Revocation(cancelled, workers + users, expelled.tokens, left, len(expelled.left), kept)


async def worker_names(driver: Driver, ids: Iterable[str] | None = None) -> Names:
    """The names of these workers, as far as they are on the list; None: of all."""

    def names(core: SchedulerCore) -> Names:
        among = core.workers.values() if ids is None else (core.workers[i] for i in ids if i in core.workers)
        return {worker.id: worker.record.name for worker in among}

    return await driver.read(names)
