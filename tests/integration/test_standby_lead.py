"""Schedulers that stand by for each other, on a real Redis: who leads, and who may write."""

import asyncio
import tempfile
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.domain.base.errors import Conflict, InvalidInput, NotAuthenticated
from cluster.domain.scheduler.leadership import Contender, LeadWish
from cluster.scheduler.leading import Leading, boot_clock
from cluster.scheduler.standby import leading_while
from cluster.store.interface import StoreTroubled, TakenOver
from cluster.store.redis.lead import LeadTable, expect_nobody
from cluster.store.redis.store import RedisStore
from tests.engines.certificate import self_signed
from tests.patience import PATIENCE
from tests.redis_servers import RedisServer, tls_redis_server

pytestmark = pytest.mark.slow

CLUSTER = "0123456789abcdef"
LEASE = 10.0


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
    (strange := tmp_path / "strange").mkdir()
    other, _ = self_signed(strange, "127.0.0.1")

    async def play(url: str) -> None:
        first, second = (Leading(url, each, LEASE, lasting=False) for each in ("a:1", "b:1"))
        await first.take()
        with closing(RedisStore(url, CLUSTER, tmp_path / "one", tenure=first.tenure)) as store:
            store.load()
            store.commit([])
            await first.leave()
            await second.take()
            with closing(RedisStore(url, CLUSTER, tmp_path / "two", tenure=second.tenure)) as next_one:
                next_one.load()
                next_one.commit([])
                with pytest.raises(TakenOver):
                    store.commit([])
        await second.leave()

    with tempfile.TemporaryDirectory(prefix="redis-") as directory:  # noqa: SIM117 (too long)
        with tls_redis_server(Path(directory), tmp_path) as (_, well):
            asyncio.run(play(well))
            where, certificate = well.split("ssl_ca_certs=")
            where += "ssl_ca_certs="
            plain = where.split("?")[0].replace("rediss:", "redis:")
            for url, kind, words in (
                (where + other, StoreTroubled, "cannot be reached: .*certificate verify failed"),
                (where + str(tmp_path / "gone"), InvalidInput, "ssl_ca_certs=.*/gone, which cannot be read"),
                (where.replace("secret", "wrong") + certificate, NotAuthenticated, "mend user and password"),
                (plain, StoreTroubled, "cannot be reached"),
            ):
                with pytest.raises(kind, match=words) as caught:
                    RedisStore(url, CLUSTER, tmp_path / "refused")
                assert "\n" not in str(caught.value)
                assert "secret" not in str(caught.value)
