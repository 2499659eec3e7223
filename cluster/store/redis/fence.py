"""What Redis knows of whose the rows are (see scripts.py)."""

import secrets
from typing import TYPE_CHECKING, NamedTuple

from cluster.domain.scheduler.leadership import Tenure
from cluster.store.interface import StoreFailed, TakenOver
from cluster.store.redis import scripts
from cluster.store.redis.connecting import troubled
from cluster.store.sqlite.schema_versions import MIGRATIONS

if TYPE_CHECKING:
    import redis

SCHEMA = len(MIGRATIONS)
_TRIES = 10  # to begin an epoch while others do


class Fence(NamedTuple):
    """Where there is none, all is empty or 0."""

    cluster: str = ""
    epoch: int = 0
    commit: int = 0  # the number of the last one
    schema: int = SCHEMA
    format: int = scripts.FORMAT
    moved: int = 0  # 1: all of it counts elsewhere


def read_fence(client: "redis.Redis", place: str) -> Fence:
    """StoreTroubled where nobody answers."""
    with troubled(place):
        found: dict[bytes, bytes] = client.hgetall(scripts.FENCE)  # type: ignore[assignment]
    values = {name.decode(): value.decode() for name, value in found.items()}
    if not values:
        return Fence()
    numbers = {name: int(values.get(name, 0)) for name in ("epoch", "commit", "schema", "format", scripts.MOVED)}
    return Fence(values.get("cluster", ""), **numbers)


def expect_ours(fence: Fence, place: str, cluster_id: str) -> None:
    """StoreFailed for the rows of another cluster, or of another version."""
    if fence.cluster not in ("", cluster_id):
        raise StoreFailed(f"the store {place} is of cluster {fence.cluster}, not of {cluster_id}: use another database")
    if (fence.schema, fence.format) != (SCHEMA, scripts.FORMAT):
        raise StoreFailed(
            f"the store {place} was written by another version of cluster (schema {fence.schema}, this one's is "
            f"{SCHEMA}): bring it into SQLite by `cluster scheduler migrate` of that version, and back by this one's"
        )


def expect_in_use(fence: Fence, place: str) -> None:
    """StoreFailed for rows that count no more."""
    if fence.moved:
        raise StoreFailed(
            f"the jobs that were in the store {place} were brought to SQLite by `cluster scheduler migrate`: start the "
            "scheduler there without --store, and no other; one that broke off goes on when it is given again"
        )


def of_nobody_else() -> Tenure:
    """That of a process which asks nobody who leads."""
    return Tenure(0, secrets.token_hex(8))


def begin_epoch(client: "redis.Redis", place: str, cluster_id: str, tenure: Tenure) -> Fence:
    """The fence with the epoch that is ours from now on; whoever had one before can commit no more. TakenOver where
    the lead is not ours in that term (0: nobody is asked who leads)."""
    for _ in range(_TRIES):
        fence = read_fence(client, place)
        expect_ours(fence, place, cluster_id)
        with troubled(place):
            words = str(fence.epoch), cluster_id, str(SCHEMA), str(tenure.term), tenure.holder
            said = client.eval(scripts.CLAIM, 2, scripts.FENCE, scripts.LEAD, *words)
        if said == b"taken":
            raise TakenOver(place)
        if said == b"claimed":
            return fence._replace(cluster=cluster_id, epoch=fence.epoch + 1)
    raise StoreFailed(f"the store {place} is claimed by others again and again: stop them, and start one scheduler")
