"""Which store a scheduler has: the database in its directory, or Redis. A file there remembers that it is Redis, so
that nobody starts without it, and empty."""

from pathlib import Path

from cluster.domain.base.errors import Conflict, NotFound
from cluster.pki.files import read_private, write_private
from cluster.store.interface import Store
from cluster.store.redis.connecting import connect, expect_fit, place_of, troubled
from cluster.store.redis.fence import read_fence
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
    """The cluster that the store is of; None where it is empty. ClusterError when it cannot be read, or is not fit."""
    if not url:
        return stored_cluster_id(directory / DATABASE)
    client = connect(url)
    try:
        with troubled(place_of(url)):
            expect_fit(client, place_of(url), may_lose=may_lose)
            return read_fence(client, place_of(url)).cluster or None
    finally:
        client.close()


def open_store(directory: Path, url: str, cluster_id: str, *, may_lose: bool, turn_over: bool) -> Store:
    """The store of the scheduler whose lock the caller holds."""
    if not url:
        return SqliteStore(directory / DATABASE, cluster_id, turn_over=turn_over)
    store = RedisStore(url, cluster_id, directory / COPY, may_lose=may_lose)
    if remembered_place(directory) != place_of(url):
        write_private(directory / MEMORY, f"{place_of(url)}\n".encode())
    return store
