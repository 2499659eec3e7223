"""What callers may do, without any door: nothing here is a message, and nothing listens."""

import asyncio
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotAuthenticated, NotFound, NotPermitted
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.workflow import NewJob
from cluster.domain.pools.told import PoolWorker
from cluster.domain.scheduler.effects import Decided
from cluster.domain.scheduler.pool_board import PoolTold, PoolWish
from cluster.domain.scheduler.retention import Limits
from cluster.domain.scheduler.views import Detail
from cluster.domain.session.home import Home
from cluster.domain.session.offer import Offer
from cluster.domain.trust.enrolments import Maker
from cluster.domain.trust.identity import Caller, Identity, IdentityKind, Role
from cluster.domain.trust.tokens import JoinToken, TokenRecord
from cluster.pki import issuer
from cluster.pki.authority import open_authority
from cluster.pki.issuer import KeyRequest
from cluster.scheduler import gathering
from cluster.scheduler.admission import Admission
from cluster.scheduler.clearing import Clearing
from cluster.scheduler.driver import Driver
from cluster.scheduler.expiring import Expiring
from cluster.scheduler.expulsion import Expelling
from cluster.scheduler.notices.targets import NOWHERE
from cluster.scheduler.operations.all import Operations, operations
from cluster.scheduler.operations.contents import sender_of
from cluster.scheduler.operations.keeping import KeepingOperations
from cluster.scheduler.output.files import OutputFiles
from cluster.scheduler.output.locating import Sources, Wish
from cluster.scheduler.output.relay import Relay
from cluster.scheduler.service import recovered
from cluster.scheduler.sessions import SessionLines
from cluster.store.contents.store import StoredContents
from cluster.store.memory import Disk, MemoryStore

CLUSTER = "0123456789abcdef"
IDS = [f"018f0000-0000-7000-8000-00000000000{n}" for n in range(10)]
WORKER_ID = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"
HOME = Home("machine", "boot", "directory")


def caller(name: str, role: Role, kind: IdentityKind = IdentityKind.USER) -> Caller:
    return Caller(Identity(CLUSTER, kind, name), role, user_id=name if kind is IdentityKind.USER else "")


ADMIN, VIEWER = caller("admin", Role.ADMIN), caller("vera", Role.VIEWER)
ADA, BOB = caller("ada", Role.USER), caller("bob", Role.USER)
BOX = caller(WORKER_ID, Role.WORKER, IdentityKind.WORKER)


class House(NamedTuple):
    """A scheduler without a door."""

    driver: Driver
    admission: Admission
    may: Operations
    join: Callable[[JoinToken, str], Awaitable[str]]  # by a token, as a kind; answers the name


@asynccontextmanager
async def house(directory: Path) -> AsyncIterator[House]:
    authority, store = open_authority(directory, time.time()), MemoryStore(Disk())
    core = await recovered(store)
    driver, admission = Driver(core, store), Admission(store, lambda: None)

    def new_token(role: Role, life: float, uses: int | None, user: str, maker: Maker) -> tuple[JoinToken, TokenRecord]:
        return issuer.new_token("127.0.0.1:1", authority.pin, role, time.time(), life, uses, user, maker)

    async def renew_admin() -> None:
        await admission.enrol_admin()

    async def join(token: JoinToken, kind: str) -> str:
        return (await admission.join(authority, token.secret, KeyRequest().request, kind)).identity.name

    files, relay = OutputFiles(directory / "outputs"), Relay()
    sources = Sources(driver, files, relay, SessionLines(driver, admission.members.expelled_users))
    expelling = Expelling(driver, admission, renew_admin)
    running = asyncio.create_task(driver.run())
    await admission.begin(driver)
    try:
        clearing, contents = Clearing(driver, files.room), StoredContents(directory)
        expiring = Expiring(driver, clearing, files.room, Limits(), contents)
        keeping = KeepingOperations(driver, expiring, clearing, (), directory, contents, dict)
        kept = (sources, files, NOWHERE, contents, keeping)
        yield House(driver, admission, operations(driver, admission, expelling, new_token, *kept), join)
    finally:
        driver.stop()
        await running


def in_house(directory: Path, body: Callable[[House], Awaitable[None]]) -> None:
    directory.chmod(0o700)

    async def run() -> None:
        async with house(directory) as present:
            await body(present)

    asyncio.run(run())


def test_jobs_are_submitted_listed_shown_watched_and_cancelled(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        jobs = house.may.jobs
        first = await jobs.submit(ADA, IDS[0], JobSpec(("true",), name="sweep", array=(ArraySegment(1, 3),)))
        again = await jobs.submit(ADA, IDS[0], JobSpec(("true",)))
        assert (first.record.number, first.record.owner, again.record) == (1, "ada", first.record)
        await jobs.submit(BOB, IDS[1], JobSpec(("false",), env=(("A", "1"),)))
        with pytest.raises(InvalidInput, match="no lower-case UUID"):
            await jobs.submit(ADA, "5", JobSpec(("true",)))
        with pytest.raises(InvalidInput, match="command is empty"):
            await jobs.submit(ADA, IDS[2], JobSpec(()))

        async def numbers(who: Caller, *selectors: str) -> list[int]:
            return [job.record.number for job in (await jobs.list(who, selectors)).jobs]

        assert [await numbers(who) for who in (ADMIN, VIEWER, ADA, BOB)] == [[2, 1], [2, 1], [1], [2]]
        page = await jobs.list(ADMIN, limit=1)
        assert ([job.record.number for job in page.jobs], page.below) == ([2], 2)
        for call in (numbers(BOB, "1"), jobs.show(BOB, "sweep"), jobs.cancel(BOB, ["1.2"]), numbers(BOB, "7")):
            with pytest.raises(NotFound):
                await call

        changes = jobs.watch(ADA, ["1.2-3"])
        seen, more, detail = await anext(changes)
        assert ([job.part for job in seen], more, detail) == (["2-3"], False, Detail.LISTED)
        done = await jobs.cancel(ADA, ["1.2", "1.3"], grace=1.0, reason="enough")
        assert (done.tasks, done.more, done.jobs[0].counts[TaskState.CANCELLED]) == (2, False, 2)
        last = [change async for change in changes][-1]
        assert [(job.state, job.reason) for job in last.jobs] == [(TaskState.CANCELLED, "cancelled")]

        job, tasks, more, *_ = await jobs.show(ADA, "1", most=2)
        assert (job.cancelled_by, job.cancel_reason) == ("ada", "enough")
        assert ([(task.number, task.reason) for task in tasks], more) == ([(2, "cancelled"), (3, "cancelled")], True)

    in_house(tmp_path, body)


def test_many_jobs_are_submitted_by_one_call_all_of_them_or_none(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        jobs, true = house.may.jobs, JobSpec(("true",))
        await jobs.submit(ADA, IDS[0], replace(true, name="old", array=(ArraySegment(1, 3),)))
        await jobs.submit(ADA, IDS[9], replace(true, name="fetch"))
        build = NewJob(IDS[1], replace(true, name="build", after=("fetch",), after_any=("old",)))
        calls = [build, NewJob(IDS[2], replace(true, name="fetch")), NewJob(IDS[3], replace(true, after=(IDS[1],)))]
        assert await jobs.submit_many(ADA, calls) == [4, 3, 5]
        assert await jobs.submit_many(ADA, calls[::-1]) == [5, 3, 4]
        specs = {job.record.number: job.record.spec for job in (await jobs.list(ADA)).jobs}
        assert (specs[4].after, specs[4].after_any, specs[5].after) == (("3",), ("1",), ("4",))
        assert await jobs.submit_many(ADA, []) == []

        many = [NewJob(str(uuid.UUID(int=n)), replace(true, name=f"j{n}")) for n in range(1, 1001)]
        many.append(NewJob(IDS[4], replace(true, after=tuple(f"j{n}" for n in range(1, 1001)))))
        assert await jobs.submit_many(ADA, many) == list(range(6, 1007))

        def refused(*more: NewJob, by: Caller = ADA) -> Awaitable[list[int]]:
            return jobs.submit_many(by, [NewJob(IDS[5], replace(true, name="good")), *more])

        wrong: list[tuple[type[ClusterError], str, Awaitable[list[int]]]] = [
            (NotFound, "job late waits for nightly: there is no job 'nightly'", refused(
                NewJob(IDS[6], replace(true, name="late", after=("nightly",))))),
            (NotFound, "job number 2 of the call waits for 1", refused(
                NewJob(IDS[6], replace(true, after=("1",))), by=BOB)),
            (InvalidInput, "job 1 has 3 tasks and job each 1", refused(
                NewJob(IDS[6], replace(true, name="each", after_each=("old",))))),
            (InvalidInput, "no lower-case UUID", refused(NewJob("6", true))),
            (InvalidInput, "job number 2 of the call: the command is empty", refused(NewJob(IDS[6], JobSpec(())))),
            (InvalidInput, "in a circle: it -> it ", refused(NewJob(IDS[6], replace(true, name="it", after=("it",))))),
            (InvalidInput, "job yesterday: --at .* is past", refused(
                NewJob(IDS[6], replace(true, name="yesterday", at="2020-01-01T00:00:00Z")))),
            (Conflict, "job 4 is there already", refused(build)),
        ]  # fmt: skip
        for kind, words, call in wrong:
            with pytest.raises(kind, match=words):
                await call
        assert (await jobs.list(ADA, limit=1)).jobs[0].record.number == 1006

    in_house(tmp_path, body)


def test_output_is_read_by_who_sees_the_job_and_taken_in_from_who_has_run_it(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        await house.may.jobs.submit(ADA, IDS[0], JobSpec(("true",)))
        everything = Wish(stdout=True, stderr=True, follow=False, tail_lines=None)
        assert [read async for read in house.may.output.read(ADA, "1", everything)] == []
        with pytest.raises(NotFound):
            await anext(house.may.output.read(BOB, "1", everything))
        with pytest.raises(NotFound, match="not known as yours"):
            await house.may.output.new(BOX, AttemptKey(1, 0, 1))

    in_house(tmp_path, body)


def test_who_keeps_pools_hears_what_waits_and_touches_nothing_but_its_workers(tmp_path: Path) -> None:
    pools = caller("keeper", Role.POOLS)
    gpu = PoolTold("gpu", "command", 0, 5, 2, time.time() - 40, trouble="no quota", millicpus=2000)

    async def body(house: House) -> None:
        may = house.may
        with pytest.raises(NotFound, match="no pool 'gpu'"):
            await may.pools.set(PoolWish("gpu", 3))
        await may.jobs.submit(ADA, IDS[0], JobSpec(("true",), array=(ArraySegment(1, 3),)))
        await may.jobs.submit(ADA, IDS[1], JobSpec(("true",), millicpus=4000))
        news = await may.pools.exchange([gpu])
        assert sorted((request.millicpus, ready) for request, ready in news.demand) == [(1000, 3), (4000, 1)]
        assert (news.workers, news.wishes) == ([], [])
        why = [(await may.jobs.show(ADA, number))[0].pending_because for number in ("1", "2")]
        assert [sum("pool gpu" in line for line in lines) for lines in why] == [2, 0]
        assert any("pool gpu is starting 2 workers, 4" in line for line in why[0])

        await may.pools.set(PoolWish("gpu", 3, is_paused=True))
        await may.queue.pause(ADMIN)
        assert await may.pools.exchange([gpu]) == ([], [], [PoolWish("gpu", 3, is_paused=True)], [])
        with pytest.raises(InvalidInput, match="is no name of a pool"):
            await may.pools.exchange([replace(gpu, name="G P U")])

        await may.workers.register(BOX, "box", 2000, "", "1.0", HOME, 5.0)
        for touch in (may.workers.drain(pools, ["box"]), may.workers.remove(pools, WORKER_ID, revoke=True)):
            with pytest.raises(NotPermitted, match="worker box has no label `pool`"):
                await touch
        labels = Offer(labels=(("pool", "gpu"), ("pool-machine", "gpu-a-1")))
        await may.workers.register(BOX, "box", 2000, "", "1.0", HOME, 5.0, labels)
        await may.workers.drain(pools, ["box"])
        told = (await may.pools.exchange([gpu])).workers
        assert told == [PoolWorker("gpu", "gpu-a-1", WORKER_ID, is_online=False, held=0, is_drained=True)]
        await may.tokens.create(pools, "worker", 3600.0, 1)
        for wrong in (("worker", 86401.0, 1), ("worker", 60.0, None), ("worker", 60.0, 2)):
            with pytest.raises(NotPermitted, match="one worker each"):
                await may.tokens.create(pools, *wrong)
        with pytest.raises(NotPermitted, match="one worker each"):
            await may.tokens.create(pools, "admin", 60.0, 1, "eve")
        with pytest.raises(NotPermitted, match="one worker each"):
            await may.tokens.create_bearer(pools, "admin", 60.0, "eve")

    in_house(tmp_path, body)


def test_workers_come_go_and_are_taken_off(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        workers = house.may.workers
        assert await workers.register(BOX, "box", 2000, "", "1.0", HOME, 5.0) == "box"
        with pytest.raises(InvalidInput, match="taken for the id of a worker"):
            await workers.register(BOX, IDS[0], 2000, "", "1.0", HOME, 5.0)
        with pytest.raises(InvalidInput, match="without cpus"):
            await workers.register(BOX, "box", 0, "", "1.0", HOME, 5.0)
        listed, after = await workers.list()
        assert ([(w.record.id, w.record.name, w.record.millicpus) for w in listed], after) == (
            [(WORKER_ID, "box", 2000)],
            "",
        )
        await workers.deregister(BOX, "it goes home")
        assert (await workers.remove(ADMIN, "box", revoke=False))[:3] == (WORKER_ID, "box", 0)
        with pytest.raises(NotFound, match="no worker 'box'"):
            await workers.remove(ADMIN, "box", revoke=False)

    in_house(tmp_path, body)


def test_tokens_let_members_in_and_revoking_lets_them_out(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        tokens, users = house.may.tokens, house.may.users
        made, token = await tokens.create(ADMIN, "user", 60.0, 1, "ada")
        assert (made.record.role, made.record.user, str(made.record.maker)) == (Role.USER, "ada", "user/admin")
        with pytest.raises(InvalidInput, match="cannot grant the role 'king'"):
            await tokens.create(ADMIN, "king", 60.0)
        assert await house.join(token, "user") == "ada"
        with pytest.raises(NotAuthenticated):
            await house.join(token, "user")
        (listed,), after = await tokens.list()
        assert (listed.joined_total, [member.name for member in listed.joined], after) == (1, ["ada"], "")
        assert [(user.record.name, user.joined) for user in (await users.list())[0]][-1] == ("ada", 1)

        await house.may.jobs.submit(ADA, IDS[0], JobSpec(("true",)))
        revoked = await users.revoke(ADMIN, "ada", and_joined=False, keep_jobs=False)
        assert (revoked.cancelled, [member.name for member in revoked.expelled]) == (1, ["ada"])
        assert (await house.may.jobs.list(ADMIN)).jobs[0].cancel_reason == "user ada was revoked"
        assert (await users.list())[0][-1].record.revoked
        with pytest.raises(NotFound):
            await users.revoke(ADMIN, "nobody", and_joined=False, keep_jobs=False)
        with pytest.raises(NotFound):
            await tokens.revoke(ADMIN, "nothing", and_joined=False, keep_jobs=False)
        await tokens.revoke(ADMIN, made.record.id, and_joined=True, keep_jobs=False)
        assert (await tokens.list())[0][0].record.revoked

    in_house(tmp_path, body)


def test_no_operation_asks_again_in_what_role_somebody_calls() -> None:
    """The gate's table does, before anything is parsed. Asked twice, the two answers would drift apart."""
    here = Path(__file__).parents[2] / "cluster/scheduler/operations"
    asking = [
        path.name for path in here.glob("*.py") if "caller.role" in path.read_text() or "allowed(" in path.read_text()
    ]
    assert asking == []


def test_operations_know_no_wire() -> None:
    """Whoever imports them has loaded neither gRPC nor a message."""
    program = (
        "import sys; from cluster.scheduler.operations import jobs, tokens, users, workers;"
        "print([name for name in sys.modules if name.split('.')[0] in ('grpc', 'google') or name == 'cluster.v1'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_who_comes_at_nearly_the_same_time_shares_a_turn_and_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "GATHERS", 60.0)  # a slow machine does not part them

    async def body(house: House) -> None:
        saving, turned = list[Decided](), house.driver.turned

        def note(decided: Decided) -> None:
            saving.extend([decided] if decided.saves else [])
            turned(decided)

        monkeypatch.setattr(house.driver, "turned", note)

        async def submit(rounds: int) -> None:
            for _ in range(rounds):
                await asyncio.sleep(0)
            await house.may.jobs.submit(ADA, str(uuid.uuid4()), JobSpec(("true",)))

        await asyncio.gather(*map(submit, range(0, 12, 2)))
        assert len(saving) == 1

    in_house(tmp_path, body)


def test_files_do_not_go_from_under_a_job_that_is_tried_again_just_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    expire = StoredContents.expire

    def slowly(contents: StoredContents, *given: Any, **more: Any) -> tuple[int, int]:
        begun.set()
        assert goes_on.wait(10.0)
        return expire(contents, *given, **more)

    async def body(house: House) -> None:
        data = b"a line for its stdin"
        StoredContents(tmp_path).add(sender_of(ADA), [(sha256(data).digest(), data)])
        await house.may.jobs.submit(ADA, IDS[0], JobSpec(("cat",), stdin=sha256(data).hexdigest()))
        await house.may.jobs.cancel(ADA, ["1"])
        monkeypatch.setattr(StoredContents, "expire", slowly)
        pruning = asyncio.create_task(house.may.keeping.prune("", "", "1B", "", dry=False))
        assert await asyncio.to_thread(begun.wait, 10.0)
        again = asyncio.create_task(house.may.again.retry(ADA, ["1"]))
        await asyncio.sleep(0.1)
        goes_on.set()
        with pytest.raises(Conflict, match="job 1 cannot be tried again: its files were deleted on"):
            await again
        pruning.cancel()  # nobody gives room back here

    in_house(tmp_path, body)
