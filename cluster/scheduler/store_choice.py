"""Which store a scheduler has: the database in its directory, or Redis. A file there remembers that it is Redis, so
that nobody starts without it, and empty."""

from contextlib import closing
from pathlib import Path

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.scheduler.leadership import Tenure
from cluster.pki.files import read_private, write_private
from cluster.scheduler.reading_ahead import ReadAhead
from cluster.store.interface import Store, StoreFailed
from cluster.store.redis.connecting import connect, expect_fit, place_of, troubled
from cluster.store.redis.fence import expect_in_use, read_fence
from cluster.store.redis.store import RedisStore
from cluster.store.sqlite.store import SqliteStore, stored_cluster_id

DATABASE, COPY, LOCK = "cluster.db", "redis-copy.db", "scheduler.lock"
MEMORY = "store"  # where the store is, without its password; no such file: in the directory


def remembered_place(directory: Path) -> str:
    """Where the store of that scheduler is when it is not in the directory; else empty."""
    try:
        return read_private(directory / MEMORY).decode().strip()
    except NotFound:
        return ""


def expect_choice(directory: Path, url: str) -> None:
    """Conflict where that directory's scheduler has its jobs elsewhere than in that store (empty: the database)."""
    place, before = place_of(url) if url else "", remembered_place(directory)
    if before and not place:
        raise Conflict(
            f"the jobs of this scheduler are in {before}: start it with --store, or bring them back by "
            "`cluster scheduler migrate`"
        )
    if place and not before and (directory / DATABASE).exists():
        raise Conflict(
            f"the jobs of this scheduler are in {directory / DATABASE}: bring them to {place} by "
            "`cluster scheduler migrate --to URL`, and start it with --store then"
        )


def cluster_in(directory: Path, url: str, *, may_lose: bool) -> str | None:
    """The cluster that the store is of; None where it is empty. ClusterError when it cannot be read, is not fit, or is
    empty although this scheduler's jobs were in Redis."""
    if not url:
        return stored_cluster_id(directory / DATABASE)
    place = place_of(url)
    with closing(connect(url)) as client, troubled(place):
        expect_fit(client, place, may_lose=may_lose)
        fence = read_fence(client, place)
    expect_in_use(fence, place)
    cluster = fence.cluster
    if not cluster and (before := remembered_place(directory)):
        raise StoreFailed(
            f"the store {place} is empty, and the jobs of this scheduler were in {before}: bring them back there; if "
            f"there are none to bring, remove {directory / MEMORY}"
        )
    return cluster or None


def open_store(
    directory: Path,
    url: str,
    cluster_id: str,
    *,
    may_lose: bool,
    turn_over: bool,
    tenure: Tenure | None = None,
    ahead: ReadAhead | None = None,
) -> Store:
    """The store of the scheduler whose lock the caller holds, and which leads so (None: nobody is asked). `ahead`: what
    it has read while it stood by."""
    if not url:
        return SqliteStore(directory / DATABASE, cluster_id, turn_over=turn_over)
    store = ahead.take(tenure) if ahead and tenure else None
    store = store or RedisStore(url, cluster_id, directory / COPY, may_lose=may_lose, tenure=tenure)
    remember(directory, url)
    return store


def reading_ahead(directory: Path, url: str, *, may_lose: bool) -> ReadAhead:
    """Of the scheduler whose lock the caller holds."""

    def open_copy() -> RedisStore | None:
        cluster_id = cluster_in(directory, url, may_lose=may_lose)
        return RedisStore(url, cluster_id, directory / COPY, may_lose=may_lose) if cluster_id else None

    return ReadAhead(open_copy)


def remember(directory: Path, url: str) -> None:
    """Notes that this scheduler's jobs are in that Redis."""
    if remembered_place(directory) != place_of(url):
        write_private(directory / MEMORY, f"{place_of(url)}\n".encode())


def cluster_moved_from(url: str) -> str | None:
    """The cluster whose jobs are in that Redis, also where a migration from it broke off."""
    place = place_of(url)
    with closing(connect(url)) as client:
        return read_fence(client, place).cluster or None
