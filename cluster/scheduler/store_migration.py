"""A scheduler's jobs from its database to Redis and back. A file in its directory says which of the two counts: what
else is done is done before it is written, or can be left out (see store_choice)."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from cluster.domain.base.errors import Conflict, InvalidInput, NotFound, unusable
from cluster.pki.authority import CA_FILE, open_authority
from cluster.pki.files import the_only_one, write_private
from cluster.scheduler.store_choice import DATABASE, LOCK, MEMORY, cluster_in, cluster_moved_from, remembered_place
from cluster.store.lasting import sync_directory
from cluster.store.redis.connecting import place_of
from cluster.store.redis.moving import to_redis, to_sqlite

SQLITE = "sqlite"


class StoreMoved(NamedTuple):
    cluster_id: str
    source: str
    target: str
    jobs: int
    rows: int
    left: str  # where the former is


def move(directory: Path, source: str, target: str, *, may_lose: bool) -> StoreMoved:
    """Each of the two is `sqlite` or a URL of Redis, and one is each. Conflict while the scheduler runs, where its jobs
    are elsewhere, and where the target has some. ClusterError where one does not work; then nothing was moved."""
    if (source == SQLITE) == (target == SQLITE):
        raise InvalidInput(
            f"from {_shown(source)} to {_shown(target)}: one must be sqlite, and the other a URL of Redis"
        )
    url = source if target == SQLITE else target
    place = place_of(url)
    if not (directory / CA_FILE).exists():
        if there := remembered_place(directory):
            raise NotFound(
                f"there is no {CA_FILE} in {directory}, whose jobs are in {there}: bring it there first, with all else "
                "that lies in the directory that its schedulers share (--shared)"
            )
        raise NotFound(f"there is no scheduler in {directory}: name its directory with --directory")
    with the_only_one("scheduler", directory / LOCK):
        before = remembered_place(directory)
        if before != (place if target == SQLITE else ""):
            raise Conflict(f"the jobs of this scheduler are in {before or directory / DATABASE}: bring them from there")
        try:
            return (_to_sqlite if target == SQLITE else _to_redis)(directory, url, may_lose)
        except OSError as error:
            raise unusable(f"{directory} cannot be written", error) from None


def _to_redis(directory: Path, url: str, may_lose: bool) -> StoreMoved:
    database = directory / DATABASE
    if not database.exists():
        raise NotFound(f"there is no {database}: this scheduler has no jobs to bring")
    cluster_id = _cluster_id(directory, "")
    counts = to_redis(database, url, cluster_id, may_lose=may_lose)
    write_private(directory / MEMORY, f"{place_of(url)}\n".encode())
    former = database.with_name(f"{DATABASE}.before-redis")
    os.replace(database, former)
    sync_directory(directory)
    return StoreMoved(cluster_id, SQLITE, place_of(url), counts["jobs"], sum(counts.values()), str(former))


def _to_sqlite(directory: Path, url: str, may_lose: bool) -> StoreMoved:
    cluster_id = _cluster_id(directory, url)
    fresh = directory / f"{DATABASE}.new"
    for end in ("", "-wal", "-shm"):  # of a move that broke off
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    counts = to_sqlite(url, fresh, cluster_id)  # from now on Redis says that it was done: so nobody goes on there
    for end in ("-wal", "-shm"):  # of the database before, whose log is none of the new one's
        (directory / f"{DATABASE}{end}").unlink(missing_ok=True)
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    os.replace(fresh, directory / DATABASE)
    sync_directory(directory)
    (directory / MEMORY).unlink()
    sync_directory(directory)
    return StoreMoved(cluster_id, place_of(url), SQLITE, counts["jobs"], sum(counts.values()), place_of(url))


def _cluster_id(directory: Path, url: str) -> str:
    """That of the directory's keys; Conflict where the store is of another."""
    known = cluster_moved_from(url) if url else cluster_in(directory, "", may_lose=True)
    return open_authority(directory, time.time(), known).cluster_id


def _shown(store: str) -> str:
    return store if store == SQLITE else place_of(store)
