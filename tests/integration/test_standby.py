"""Schedulers that stand by for each other, on a real Redis: who leads, who may write, and what is refused."""

import asyncio
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.client.discovery import local_endpoint
from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotAuthenticated, NotFound, Unreachable
from cluster.domain.scheduler.leadership import Contender, LeadWish
from cluster.domain.trust.identity import IdentityKind
from cluster.domain.trust.tokens import TokenRecord
from cluster.pki.authority import open_authority
from cluster.pki.files import write_private
from cluster.rpc import channel
from cluster.rpc.addresses import resolved
from cluster.rpc.errors import calling
from cluster.scheduler.admission import Admission
from cluster.scheduler.backup import back_up
from cluster.scheduler.leading import Leading, LeadUnsure, boot_clock
from cluster.scheduler.process import ReadyScheduler, SchedulerOptions, serve
from cluster.scheduler.standby import StandbyNotes, leading_while, shared_id
from cluster.scheduler.store_migration import StoreMoved, move
from cluster.store.interface import StoreFailed, StoreTroubled, TakenOver
from cluster.store.redis.connecting import place_of
from cluster.store.redis.lead import LeadTable, expect_nobody
from cluster.store.redis.store import RedisStore
from cluster.v1 import jobs_pb2, jobs_pb2_grpc
from cluster.worker.known_schedulers import KnownSchedulers
from tests.acceptance.daemons import free_port
from tests.engines.certificate import self_signed
from tests.integration.trust import SmallCluster, in_cluster
from tests.patience import PATIENCE
from tests.redis_servers import SAFE, RedisServer, redis_server
from tools.environments import REPOSITORY

pytestmark = pytest.mark.slow

CLUSTER = "0123456789abcdef"
LEASE = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="redis-") as directory, redis_server(Path(directory)) as server:
        yield server


@pytest.fixture
def empty(server: RedisServer) -> RedisServer:
    with server.client() as client:
        client.flushall()
    return server


def test_the_scripts_in_redis_do_what_the_simulation_has_them_do(empty: RedisServer) -> None:
    one, other = Contender("one", LEASE), Contender("other", LEASE)
    with closing(LeadTable(empty.url, "a:1")) as here, closing(LeadTable(empty.url, "b:1")) as there:
        seen = here.ask(LeadWish.LOOK, one)
        assert (seen.lead.term, seen.lead.holder, seen.done) == (0, "", False)
        one.answered(LeadWish.LOOK, 0.0, 0.0, seen.lead, done=False)
        other.answered(LeadWish.LOOK, 0.0, 0.0, there.ask(LeadWish.LOOK, other).lead, done=False)
        taken = here.ask(LeadWish.TAKE, one)
        assert (taken.lead.term, taken.lead.holder, taken.lead.address, taken.done) == (1, "one", "a:1", True)
        one.answered(LeadWish.TAKE, 0.0, 0.0, taken.lead, done=True)
        late = there.ask(LeadWish.TAKE, other)
        assert (late.lead, late.done, sorted(late.words)) == (taken.lead, False, ["a:1", "b:1"])
        kept = here.ask(LeadWish.KEEP, one)
        assert (kept.lead.beat, kept.done) == (2, True)
        other.answered(LeadWish.LOOK, 0.0, 0.0, kept.lead, done=False)
        assert there.ask(LeadWish.TAKE, other).lead.term == 2
        lost = here.ask(LeadWish.KEEP, one)
        one.answered(LeadWish.KEEP, 1.0, 1.0, lost.lead, done=lost.done)
        assert (lost.done, one.is_over, one.leads(1.0)) == (False, True, False)
        assert not here.ask(LeadWish.LEAVE, one).done
        assert sorted(there.ask(LeadWish.LOOK, other).words) == ["b:1"]


def test_who_has_lost_the_lead_begins_no_epoch_and_writes_nothing(empty: RedisServer, tmp_path: Path) -> None:
    async def take(address: str) -> Leading:
        leading = Leading(empty.url, address, LEASE, lasting=False)
        await leading.take()
        return leading

    async def play() -> None:
        first = await take("a:1")
        with closing(RedisStore(empty.url, CLUSTER, tmp_path / "one", tenure=first.tenure)) as store:
            store.load()
            await first.leave()  # so the next one need not wait
            second = await take("b:1")
            store.commit([])  # until the other has begun, it is the one that writes
            with closing(RedisStore(empty.url, CLUSTER, tmp_path / "two", tenure=second.tenure)) as other:
                other.load()
                with pytest.raises(TakenOver):
                    store.commit([])
                with pytest.raises(TakenOver):
                    store.load()
                other.commit([])
        await first.keep()
        assert (first.over.is_set(), first.holds, second.holds, second.address) == (True, False, True, "b:1")
        for said, listed in ((False, ("a:1", "b:1")), (True, ("b:1",))):
            again, stop = Leading(empty.url, "a:1", LEASE, lasting=False), asyncio.Event()
            await again._ask(LeadWish.LOOK)
            if said:
                stop.set()
            async with leading_while(again, stop):
                pass
            await second._ask(LeadWish.KEEP)
            assert second.roster.addresses == listed, "who is not told to stop comes back there: workers keep it"
        await second.leave()

    asyncio.run(play())


def test_a_scheduler_on_whatever_port_is_free_is_on_no_list_and_is_found_all_the_same(empty: RedisServer) -> None:
    async def play() -> None:
        leading = Leading(empty.url, "", 2.0, lasting=True)
        await leading.take()
        keeping = asyncio.create_task(leading.keep())
        assert list(leading.schedulers()) == []
        with pytest.raises(Conflict, match="the scheduler at somewhere leads on the store unix://"):
            await asyncio.to_thread(expect_nobody, empty.url)
        keeping.cancel()
        await leading.leave()
        await asyncio.to_thread(expect_nobody, empty.url)

    asyncio.run(play())


def test_a_leader_that_is_cut_off_from_the_store_ends_where_another_stands_by(
    empty: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        first, second = (Leading(empty.url, address, 0.5, lasting=False) for address in ("a:1", "b:1"))
        both = asyncio.Event()
        first.changed = lambda: both.set() if len(first.roster.addresses) == 2 else None
        await first.take()
        keeping, standing = asyncio.create_task(first.keep()), asyncio.create_task(second.take())
        await both.wait()

        def parted(*_: object) -> None:
            raise StoreTroubled("no route to it")

        monkeypatch.setattr(first._table, "ask", parted)
        await asyncio.gather(keeping, standing)
        assert (first.over.is_set(), first.holds, second.tenure.term, second.address) == (True, False, 2, "b:1")
        await second.leave()

    async def patiently() -> None:
        async with asyncio.timeout(PATIENCE):
            await play()

    asyncio.run(patiently())


def test_a_store_that_gives_a_term_or_an_epoch_twice_is_written_by_one(empty: RedisServer, tmp_path: Path) -> None:
    """As one does that has lost the last of what it said: a replica that was promoted too early."""

    async def play() -> None:
        first = Leading(empty.url, "a:1", LEASE, lasting=False)
        await first.take()
        with closing(RedisStore(empty.url, CLUSTER, tmp_path / "one", tenure=first.tenure)) as store:
            store.load()
            store.commit([])
            with empty.client() as client:
                client.hset("{cluster}:fence", "holder", "other")
                with pytest.raises(TakenOver):
                    store.commit([])
                client.hset("{cluster}:lead", "holder", "other")
                with pytest.raises(TakenOver):
                    store.load()
        await first.keep()
        assert first.over.is_set()
        await first.leave()

    asyncio.run(play())


def test_a_leader_that_was_paused_asks_before_it_gives_up_and_ends_where_it_cannot_keep_the_lead(
    empty: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        leading = Leading(empty.url, "a:1", LEASE, lasting=False)
        other = Leading(empty.url, "b:1", LEASE, lasting=False)
        await leading.take()
        await other._ask(LeadWish.LOOK)
        await leading._ask(LeadWish.KEEP)
        monkeypatch.setattr("cluster.scheduler.leading.boot_clock", lambda: boot_clock() + 100)
        assert not leading.holds
        asked: list[bool] = []
        ask = leading._table.ask

        def fails_then(*words: object) -> object:
            asked.append(leading.holds)
            if len(asked) > 1:
                raise RuntimeError("can't start new thread")
            return ask(*words)  # type: ignore[arg-type]

        monkeypatch.setattr(leading._table, "ask", fails_then)
        monkeypatch.setattr(leading._node, "pause", lambda **_: 0.0)
        await leading.keep()
        assert (asked, leading.over.is_set()) == ([False, True], True)
        assert "the lead cannot be kept any more" in caplog.text
        assert "can't start new thread" in caplog.text
        await other.leave()

    asyncio.run(play())


def test_who_stands_by_compares_directories_and_clocks_with_the_one_that_leads(
    empty: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        first = Leading(empty.url, "a:1", LEASE, lasting=False, shared="this one")
        same = Leading(empty.url, "b:1", LEASE, lasting=False, shared="this one")
        wrong = Leading(empty.url, "c:1", LEASE, lasting=False, shared="a copy")
        await first.take()
        await same._ask(LeadWish.LOOK)
        with pytest.raises(Conflict, match=r"^the scheduler at a:1, which leads, has another directory at --shared"):
            await wrong.take()
        now = time.time()
        monkeypatch.setattr("cluster.store.redis.lead.time", SimpleNamespace(time=lambda: now + 3600))
        for _ in range(3):
            await first._ask(LeadWish.KEEP)
            await same._ask(LeadWish.LOOK)
        await first.leave()
        assert [line for line in caplog.messages if "clock" in line] == [
            "the clock here is 3600 s behind that of the scheduler at a:1, which leads: set both (NTP), or jobs' times "
            "jump when this one takes over"
        ]
        assert sorted(same.roster.addresses) == ["a:1", "b:1"], "who could not do the work is off the list"
        await same.leave()

    asyncio.run(play())


def test_schedulers_stand_by_over_tls_as_a_user_of_the_acl(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    (strange := tmp_path / "strange").mkdir()
    other, _ = self_signed(strange, "127.0.0.1")
    port = free_port()
    files = "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate
    tls = "--tls-port", str(port), *files, "--tls-auth-clients", "no"
    (shown,) = re.findall(r"^user cluster (.*)$", (REPOSITORY / "docs" / "redis.md").read_text(), re.MULTILINE)
    where = f"rediss://cluster:secret@127.0.0.1:{port}/0?ssl_ca_certs="

    async def play() -> None:
        first, second = (Leading(where + certificate, each, LEASE, lasting=False) for each in ("a:1", "b:1"))
        await first.take()
        with closing(RedisStore(where + certificate, CLUSTER, tmp_path / "one", tenure=first.tenure)) as store:
            store.load()
            store.commit([])
            await first.leave()
            await second.take()
            with closing(RedisStore(where + certificate, CLUSTER, tmp_path / "two", tenure=second.tenure)) as next_one:
                next_one.load()
                next_one.commit([])
                with pytest.raises(TakenOver):
                    store.commit([])
        await second.leave()

    with tempfile.TemporaryDirectory(prefix="redis-") as directory:  # noqa: SIM117 (too long)
        with redis_server(Path(directory), *SAFE, *tls) as server:
            with server.client() as client:
                client.execute_command("ACL", "SETUSER", "cluster", *shown.split())
            asyncio.run(play())
            for url, kind, words in (
                (where + other, StoreTroubled, "cannot be reached: .*certificate verify failed"),
                (where + str(tmp_path / "gone"), InvalidInput, "ssl_ca_certs=.*/gone, which cannot be read"),
                (where.replace("secret", "wrong") + certificate, NotAuthenticated, "mend user and password"),
                (f"redis://cluster:secret@127.0.0.1:{port}/0", StoreTroubled, "cannot be reached"),
            ):
                with pytest.raises(kind, match=words) as caught:
                    RedisStore(url, CLUSTER, tmp_path / "refused")
                assert "\n" not in str(caught.value)
                assert "secret" not in str(caught.value)


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


def test_a_worker_looks_where_it_was_told_and_forgets_who_is_no_scheduler_any_more(tmp_path: Path) -> None:
    known = KnownSchedulers(tmp_path)
    assert known.beside("a:1", given=False) == "a:1"
    known.replace(["b:1", "c:1"])
    known.replace(["b:1", "nonsense"])  # is not believed, and nothing of it
    again = KnownSchedulers(tmp_path)
    assert (again.beside("a:1", given=False), again.beside("a:1,c:1", given=True)) == ("b:1,c:1", "a:1,c:1,b:1")
    again.replace([])
    assert KnownSchedulers(tmp_path).beside("a:1", given=False) == "a:1"
    (tmp_path / "schedulers.json").write_text("{")
    assert KnownSchedulers(tmp_path).beside("a:1", given=False) == "a:1"


def test_a_caller_leaves_a_scheduler_that_gives_no_sign_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that is stopped: its kernel takes connections, and what is sent, all the same."""
    monkeypatch.setattr(channel, "_SIGN_AFTER_OF_SEVERAL", 100)
    monkeypatch.setattr(channel, "_SIGN_WITHIN_OF_SEVERAL", 100)

    async def body(cluster: SmallCluster) -> None:
        deaf, used = set[int](), list[int]()
        relaying, ends = list[asyncio.Task[None] | None](), list[asyncio.StreamWriter]()

        async def pump(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with closing(writer), suppress(OSError):
                while data := await reader.read(65536):
                    if number not in deaf:
                        writer.write(data)

        async def relay(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            relaying.append(asyncio.current_task())
            used.append(number)
            there, here = await asyncio.open_connection(*cluster.address.split(":"))
            ends.extend((writer, here))
            await asyncio.gather(pump(number, reader, here), pump(number, there, writer))

        relays = [await asyncio.start_server(partial(relay, number), "127.0.0.1", 0) for number in range(2)]
        addresses = ",".join("{}:{}".format(*each.sockets[0].getsockname()) for each in relays)
        name = cluster.credentials.identity.server_name or ""
        async with channel.dial(addresses, cluster.issue(IdentityKind.USER, "ann"), name) as dialled:
            stub = jobs_pb2_grpc.JobsStub(dialled)
            call = stub.Wait(jobs_pb2.WaitRequest())
            await call.read()
            (first,) = used
            deaf.add(first)
            with pytest.raises(Unreachable), calling(addresses):
                await call.read()
            again = stub.Wait(jobs_pb2.WaitRequest(), wait_for_ready=True)
            await again.read()
            assert set(used) == {0, 1}
            again.cancel()
        for each in relays:
            each.close()
        for end in ends:
            end.transport.abort()
        await asyncio.gather(*filter(None, relaying))

    in_cluster(tmp_path, body)


def test_several_addresses_are_one_target() -> None:
    assert resolved(["127.0.0.1:1", "127.0.0.2:2"]) == "ipv4:127.0.0.1:1,127.0.0.2:2"
    assert resolved(["127.0.0.1:1", "[::1]:2"]) == "ipv6:[::ffff:127.0.0.1]:1,[::1]:2"
    assert resolved(["nobody.invalid:1", "127.0.0.2:2"]) == "ipv4:127.0.0.2:2"
    with pytest.raises(Unreachable, match="none of these host names is known"):
        resolved(["nobody.invalid:1"])


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
