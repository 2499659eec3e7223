"""A scheduler that stands by, as it starts: what it lets its machine find, what it is refused for, what it needs."""

import asyncio
import os
import shutil
import signal
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.client.discovery import local_endpoint
from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotFound
from cluster.domain.trust.tokens import TokenRecord
from cluster.pki.authority import open_authority
from cluster.pki.files import write_private
from cluster.scheduler.admission import Admission
from cluster.scheduler.backup import back_up
from cluster.scheduler.leading import Leading, LeadUnsure
from cluster.scheduler.process import ReadyScheduler, SchedulerOptions, serve
from cluster.scheduler.standby import StandbyNotes, shared_id
from cluster.scheduler.store_migration import StoreMoved, move
from cluster.store.interface import StoreFailed
from cluster.store.redis.connecting import place_of
from cluster.store.redis.store import RedisStore
from tests.acceptance.daemons import free_port
from tests.redis_servers import RedisServer

pytestmark = pytest.mark.slow

CLUSTER = "0123456789abcdef"


def test_who_stands_by_lets_its_machine_find_the_leader_and_nobody_takes_the_jobs_from_below_it(
    empty: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, home, elsewhere = tmp_path / "shared", tmp_path / "home", tmp_path / "elsewhere"
    shared.mkdir(mode=0o700)
    port, own = f"127.0.0.1:{free_port()}", home / "scheduler"
    options = SchedulerOptions(
        *(own, port, f"127.0.0.1:{free_port()}"),
        **{"store": empty.url, "standby": True, "shared": shared, "takeover_after": 2.0},  # type: ignore[arg-type]
    )

    def bring_back(directory: Path) -> StoreMoved:
        return move(directory, empty.url, "sqlite", may_lose=False)

    async def stand_by(noted: asyncio.Event) -> None:
        serving = asyncio.create_task(serve(options, print))
        await asyncio.wait([serving, asyncio.create_task(noted.wait())], return_when=asyncio.FIRST_COMPLETED)
        found = local_endpoint(home)
        assert (found.address, found.user) == (f"127.0.0.1:1,{port}", "admin")
        with pytest.raises(Conflict, match="the jobs of this scheduler are in unix://"):
            back_up(own, tmp_path / "backup")
        with pytest.raises(NotFound, match=r"no ca\.pem in .*, whose jobs are in unix://.*: bring it there first"):
            bring_back(own)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await serving == 0
        assert not (own / "scheduler.json").exists()

    async def play() -> None:
        noted, note = asyncio.Event(), StandbyNotes.note

        def and_tell(self: StandbyNotes) -> None:
            note(self)
            noted.set()

        monkeypatch.setattr(StandbyNotes, "note", and_tell)
        leading = Leading(empty.url, "127.0.0.1:1", 2.0, lasting=False, shared=shared_id(shared))
        await leading.take()
        keeping = asyncio.create_task(leading.keep())
        authority = open_authority(shared, time.time())
        with closing(RedisStore(empty.url, authority.cluster_id, tmp_path / "copy", tenure=leading.tenure)) as store:
            store.load()
        await stand_by(noted)
        shutil.copytree(shared, elsewhere)
        write_private(elsewhere / "store", f"{place_of(empty.url)}\n".encode())
        with pytest.raises(Conflict, match=r"at 127\.0\.0\.1:1 leads on the store unix://.*: stop it, and all there"):
            await asyncio.to_thread(bring_back, elsewhere)
        assert leading.holds
        keeping.cancel()
        await leading.leave()
        assert (await asyncio.to_thread(bring_back, elsewhere)).target == "sqlite"
        with pytest.raises(StoreFailed, match="were brought to SQLite by `cluster scheduler migrate`: start"):
            await serve(options, print)

    asyncio.run(play())


def test_a_first_start_on_a_machine_that_stalls_goes_on_when_the_lead_is_kept_again(
    empty: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shared := tmp_path / "shared").mkdir(mode=0o700)
    options = SchedulerOptions(
        *(tmp_path / "home", f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"),
        **{"store": empty.url, "standby": True, "shared": shared},  # type: ignore[arg-type]
    )
    add, unsure, told = Admission.add, [LeadUnsure(), LeadUnsure()], list[ReadyScheduler]()

    async def stalls(self: Admission, token: TokenRecord) -> None:
        if unsure:
            raise unsure.pop()
        await add(self, token)

    def ready(status: ReadyScheduler) -> None:
        told.append(status)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Admission, "add", stalls)
    assert asyncio.run(serve(options, ready)) == 0
    assert (unsure, bool(told[0].join_token)) == ([], True)


def test_what_cannot_stand_by_is_refused_in_one_line(empty: RedisServer, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o700)
    well = SchedulerOptions(
        tmp_path / "home", "127.0.0.1:1", store=empty.url, standby=True, shared=shared, store_may_lose=True
    )

    def refused(kind: type[ClusterError], **wrong: object) -> str:
        with pytest.raises(kind) as caught:
            asyncio.run(serve(replace(well, **wrong), print))  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "is of one machine alone" in refused(InvalidInput, store="")
    assert "--standby needs --shared DIR" in refused(InvalidInput, shared=None)
    assert "--takeover-after 40: use 2 to 20 s" in refused(InvalidInput, takeover_after=40.0)
    assert "name a port" in refused(InvalidInput, listen="127.0.0.1:0")
    assert f"{tmp_path / 'gone'} is not there: mount it" in refused(NotFound, shared=tmp_path / "gone")
    well = replace(well, listen="127.0.0.1:65001", join_listen="127.0.0.1:65002")
    with empty.client() as client:
        client.hset("{cluster}:fence", mapping={"cluster": CLUSTER, "epoch": 1})
    assert f"has no ca.pem, and the store is of cluster {CLUSTER}: mount" in refused(NotFound)
    assert not any(shared.iterdir()), "nothing is made in a directory that is not the right one"
    own = open_authority(shared, time.time()).cluster_id
    assert f"its CA is of {own}, its data of {CLUSTER}" in refused(ClusterError)


def test_a_scheduler_that_could_not_wait_for_the_lead_does_not_serve(
    empty: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would begin an epoch in no term at all, and the one that leads could write no more."""

    async def fails(_: Leading) -> None:
        raise RuntimeError("can't start new thread")

    async def would_serve(*_: object) -> int:
        return 0

    (shared := tmp_path / "shared").mkdir(mode=0o700)
    options = SchedulerOptions(
        *(tmp_path / "home", f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"),
        **{"store": empty.url, "standby": True, "shared": shared, "store_may_lose": True},  # type: ignore[arg-type]
    )
    monkeypatch.setattr(Leading, "take", fails)
    monkeypatch.setattr("cluster.scheduler.process._serve", would_serve)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        asyncio.run(serve(options, print))
