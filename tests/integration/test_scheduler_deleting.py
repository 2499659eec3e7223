"""Jobs are deleted, pinned and kept no longer: what readers, submitters and workers see of that, and what is left."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.client.aio import AsyncClient
from cluster.client.discovery import Endpoint
from cluster.domain.base.errors import Conflict, InvalidInput, NotFound
from cluster.domain.job.records import SmallOutput
from cluster.domain.job.usage import UsageKind
from cluster.domain.scheduler.retention import Keep, Limits, Tombstone
from cluster.domain.session.messages import Assign
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.rpc.errors import calling
from cluster.v1 import jobs_pb2, room_pb2, room_pb2_grpc
from cluster.v1.scheduler_pb2 import PushOutputRequest
from tests.integration.schedulers import Cluster, User, Worker, in_cluster, until
from tests.integration.test_scheduler_output import end_with_output, to_keep

ID = "0195f0b0-0000-7000-8000-000000000001"


def selected(texts: Sequence[str]) -> list[jobs_pb2.Selector]:
    return [jobs_pb2.Selector(text=text) for text in texts]


async def delete(user: User, *texts: str) -> jobs_pb2.DeleteResponse:
    with calling(user.address):
        answer: jobs_pb2.DeleteResponse = await user.stub.Delete(jobs_pb2.DeleteRequest(selectors=selected(texts)))
    return answer


async def pin(user: User, *texts: str) -> int:
    with calling(user.address):
        return int((await user.stub.Pin(jobs_pb2.PinRequest(selectors=selected(texts)))).pinned)


async def unpin(user: User, *texts: str) -> int:
    with calling(user.address):
        return int((await user.stub.Unpin(jobs_pb2.UnpinRequest(selectors=selected(texts)))).unpinned)


async def prune(user: User, **fields: Any) -> room_pb2.PruneResponse:
    stub: Any = room_pb2_grpc.RoomStub(user.channel)
    with calling(user.address):
        answer: room_pb2.PruneResponse = await stub.Prune(room_pb2.PruneRequest(**fields))
    return answer


async def run_one(user: User, worker: Worker, written: bytes = b"", **fields: Any) -> int:
    """A job of one task that succeeds; large outputs are pushed."""
    job = await user.submit("true", **fields)
    assign: Assign = await worker.hear(Assign)
    a = assign.attempts
    if len(written) <= 16384:
        await worker.finish(assign, *([SmallOutput(a.job, 0, 1, written, b"")] if written else []))
    else:
        await end_with_output(worker, assign, len(written))
        _, *rest = to_keep(written)
        await worker.push(PushOutputRequest(job=job.number, attempt=1), *rest)
    return int(job.number)


def test_a_job_that_was_deleted_is_there_for_nobody_and_its_id_makes_no_other(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.people(ada=Role.USER, bob=Role.USER)
        ada, bob, worker = cluster.user("ada"), cluster.user("bob"), cluster.worker()
        await worker.connect()
        await run_one(ada, worker, b"small", job_id=ID)
        await run_one(ada, worker, b"x" * 20_000)
        assert (cluster.directory / "outputs" / "2").exists()
        with pytest.raises(NotFound, match="there is no job 1"):
            await delete(bob, "1")
        done = await delete(ada, "1", "2")
        assert (list(done.jobs), done.deleted) == ([1, 2], 2)
        assert await ada.jobs() == []
        for ask in (ada.get("1"), ada.text("1"), ada.get(ID), delete(ada, "1"), pin(ada, "1")):
            with pytest.raises(NotFound, match=r"job 1 was deleted on 20.*Z, by ada"):
                await ask
        with pytest.raises(NotFound, match="there is no job 1"):
            await bob.get("1")
        with pytest.raises(NotFound, match=r"was deleted on .*, by ada"):
            await cluster.user().get("2")
        await until(lambda: cluster.service._clearing.is_idle)
        assert not (cluster.directory / "outputs" / "2").exists()
        assert cluster.store.keeping.remains(9) == ([], [], False)
        await cluster.restart()
        ada, worker = cluster.user("ada"), cluster.worker()
        with pytest.raises(Conflict, match="the job of that id or key was deleted on"):
            await ada.submit("true", job_id=ID)
        await worker.connect(incarnation="two")
        assert await run_one(ada, worker) == 3
        with pytest.raises(NotFound, match="job 2 was deleted"):
            await ada.submit("true", after=("2",))
        kept: dict[str, Any] = {"job_id": f"{ID[:-1]}2", "after": ("3",)}
        await ada.submit("true", **kept)
        await worker.finish(await worker.hear(Assign))
        several = [
            {"command": ["true"], "key": "a", "name": "first", "after": ["3"]},
            {"command": ["true"], "key": "b", "after": ["first"]},
        ]
        credentials = cluster.credentials(IdentityKind.USER, "ada")
        async with AsyncClient(Endpoint(cluster.service.address, credentials)) as client:
            assert await client.submit_many(several) == (5, 6)
            for _ in range(2):
                await worker.finish(await worker.hear(Assign))
            await delete(ada, "3")
            assert await client.submit_many(several) == (5, 6)
            for other in ({"after": ["2"]}, {"key": "c"}):
                with pytest.raises(NotFound, match=r"job first waits for .: job . was deleted"):
                    await client.submit_many([{**several[0], **other}, several[1]])
        assert (await ada.submit("true", **kept)).number == 4  # as nobody knows whether the first answer came
        with pytest.raises(NotFound, match="job 3 was deleted"):
            await ada.submit("true", **{**kept, "after": ("3", "4")})
        bob = cluster.user()
        with pytest.raises(Conflict, match="is taken"):
            await bob.submit("true", **kept)

    in_cluster(tmp_path / "s", body)


def test_what_must_be_kept_is_refused_by_name_and_of_all_just_stays(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=1000)
        await worker.connect()
        for _ in range(4):
            await run_one(user, worker)
        await user.submit("sleep", after=("3",), hold=True)
        assert (await pin(user, "2"), await pin(user, "2")) == (1, 0)
        with pytest.raises(Conflict) as refused:
            await delete(user, "1", "2", "3", "5")
        assert str(refused.value) == (
            "nothing was deleted: job 5 has not ended: `cluster job cancel 5` stops it; "
            "job 2 is pinned by admin: `cluster job unpin 2`; job 3 is waited for by a job that goes on"
        )
        with pytest.raises(InvalidInput, match="delete takes whole jobs"):
            await delete(user, "4:succeeded")
        assert (await user.get("2")).pin.by == "admin"
        done = await delete(user, "all")
        assert (list(done.jobs), done.deleted, done.kept) == ([1, 4], 2, 3)
        assert await unpin(user, "2") == 1
        await user.cancel("5")
        assert (await delete(user, "all")).deleted == 3
        assert await user.jobs() == []
        with pytest.raises(NotFound, match="there is no job 6"):
            await delete(user, "6")

    in_cluster(tmp_path / "s", body)


def test_what_is_kept_no_longer_goes_by_itself_and_says_when_and_why(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker, wall = cluster.user(), cluster.worker(), cluster.service.driver.clock
        await worker.connect()
        for written in (b"small", b"x" * 20_000, b"", b"kept" * 5000):
            await run_one(user, worker, written)
        await pin(user, "4")
        would = await prune(user, dry_run=True, keep_output="1h", keep_jobs="forever")
        assert (would.jobs, would.outputs) == (0, 0)  # nothing is that old
        later = cluster.service.driver
        later.clock = lambda: wall()._replace(wall=time.time() + 86400.0)
        would = await prune(user, dry_run=True, keep_output="1h", keep_jobs="forever")
        assert (would.jobs, would.outputs, would.output_bytes) == (0, 2, 20_005)
        assert (would.keep_jobs, would.keep_output) == ("forever", "1h00m")
        assert await user.text("1") == b"small"
        did = await prune(user, keep_output="1h", keep_jobs="forever")
        assert (did.outputs, did.output_bytes) == (2, 20_005)
        (piece,) = [piece async for piece in user.output("2")]
        assert piece.note.startswith("what it wrote was deleted on 20")
        assert piece.note.endswith(", as --keep-output 1h00m says")
        assert (await user.get("1")).output_expired.why == "as --keep-output 1h00m says"
        assert (await user.get("3")).output_expired.why == ""
        assert await user.text("4") == b"kept" * 5000
        assert not (cluster.directory / "outputs" / "2").exists()
        did = await prune(user, keep_jobs="1h", keep_output="forever")
        assert did.jobs == 3
        with pytest.raises(NotFound, match=r"job 2 was deleted on .*, as --keep-jobs 1h00m says"):
            await user.get("2")
        await unpin(user, "4")
        did = await prune(user, keep_jobs="forever", keep_output="10k")
        assert (did.outputs, did.output_bytes) == (1, 20_000)
        with pytest.raises(InvalidInput, match="'soon' says neither how long nor how much"):
            await prune(user, keep_jobs="soon")

    in_cluster(tmp_path / "s", body)


def test_what_a_crash_broke_off_is_cleared_after_it_and_stray_files_are_found(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await run_one(user, worker, b"x" * 20_000)
        await run_one(user, worker, b"y" * 20_000)
        record = cluster.store.records([1])[0]
        for task in cluster.service._beside:  # nothing is cleared any more in this life
            task.cancel()
        await cluster.service.driver.save(Tombstone(1, record.id, record.owner, 5.0, "by admin"))
        stray = cluster.directory / "outputs" / "77"
        stray.mkdir()
        (stray / "0.1.out").write_bytes(b"pushed when its job was just being deleted")
        await cluster.restart()
        await until(lambda: cluster.service._clearing.is_idle and not stray.exists())
        assert sorted(path.name for path in (cluster.directory / "outputs").iterdir()) in (["2"], ["2", "new"])
        assert cluster.store.progress_of([1]) == []
        await until(lambda: cluster.service._expiring._outputs.used == 20_000)

    in_cluster(tmp_path / "s", body)


def test_a_worker_that_pushes_what_a_deleted_job_wrote_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await user.submit("noisy")
        await end_with_output(worker, await worker.hear(Assign), 20_000)
        await delete(user, "1")
        # As it is asked while that is being saved, or after.
        with pytest.raises(NotFound, match=r"not known as yours|was deleted"):
            await worker.push(*to_keep(b"x" * 20_000))
        await worker.report(ended=())
        assert not (cluster.directory / "outputs" / "1").exists()

    in_cluster(tmp_path / "s", body)


def test_who_lists_and_waits_while_jobs_are_deleted_just_misses_these(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        for _ in range(3):
            await run_one(user, worker)
        fetch = cluster.service.driver.fetch
        deleted = False

        async def late(query: Any) -> Any:
            """Whoever has asked for numbers hears of the jobs when one was deleted."""
            nonlocal deleted
            found = await fetch(query)
            if isinstance(found, list) and found == [3, 2, 1] and not deleted:
                deleted = True
                cluster.store.keeping.ended_among([2])
                (job,) = cluster.store.keeping.ended_among([2])
                await cluster.service._expiring.delete([job], "by admin", refuses=True)
            return found

        cluster.service.driver.fetch = late  # type: ignore[method-assign]
        assert [job.number for job in await user.jobs()] == [3, 1]
        assert deleted
        assert {job.number for job in await asyncio.wait_for(user.wait("all"), 60)} == {1, 3}

    in_cluster(tmp_path / "s", body)


def test_beyond_so_many_bytes_the_oldest_go(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        for _ in range(3):
            await run_one(user, worker, b"x" * 20_000)
        await cluster.service._clearing.done()
        expiring = cluster.service._expiring
        await expiring._clearing.look_through_files()
        done = await expiring.expire(Limits(Keep(), Keep(size=45_000)))
        assert (done.outputs, done.output_bytes) == (1, 20_000)
        assert [bool((await user.get(str(n))).output_expired.at) for n in (1, 2, 3)] == [True, False, False]
        await cluster.service._clearing.done()
        used = cluster.store.keeping.size().used
        done = await expiring.expire(Limits(Keep(size=used - 1), Keep()))
        assert done.jobs == 1
        with pytest.raises(NotFound, match=r"as --keep-jobs .* says"):
            await user.get("1")

    in_cluster(tmp_path / "s", body)


def test_of_one_users_output_so_much_is_kept_and_usage_for_so_long(tmp_path: Path) -> None:
    """What others have written stays, and what is pinned; of the rest what ended first goes."""

    async def body(cluster: Cluster) -> None:
        cluster.limits = Limits(user_output=25_000)
        await cluster.restart()
        await cluster.people(bob=Role.USER)
        user, bob, worker = cluster.user(), cluster.user("bob"), cluster.worker()
        await worker.connect()
        for who in (user, user, bob, user):
            await run_one(who, worker, b"x" * 10_000)
        await pin(user, "1")
        expiring = cluster.service._expiring
        assert (await prune(user, dry_run=True)).outputs == 1
        done = await expiring.expire(expiring.limits)
        assert (done.jobs, done.outputs, done.output_bytes) == (0, 1, 10_000)
        await cluster.service._clearing.done()
        fetch = cluster.service.driver.fetch
        kept = await fetch(lambda store: [store.small_outputs(n, 0, 1) for n in range(1, 5)])
        assert [bool(some) for some in kept] == [True, False, True, True]
        gone = await fetch(lambda store: store.keeping.output_expired(2))
        assert gone
        assert gone.why == "as --user-output 24.4 KiB says"
        assert (await expiring.expire(expiring.limits)).outputs == 0
        credentials = cluster.credentials(IdentityKind.USER, "bob")
        async with AsyncClient(Endpoint(cluster.service.address, credentials)) as client:
            room = await client.room()
        assert (room.user_output, room.outputs) == (25_000, (("bob", 10_000),)), "of others it is told nothing"

        assert (await prune(user, keep_usage="1s", dry_run=True)).usage_days == 0, "today is not over"
        clock = cluster.service.driver.clock
        cluster.service.driver.clock = lambda: clock()._replace(wall=clock().wall + 2 * 86_400)
        assert (await prune(user, dry_run=True)).usage_days == 0
        assert (await prune(user, keep_usage="1d")).usage_days == 1
        assert not await fetch(lambda store: store.usage(UsageKind.NAME, 0, None))
        with pytest.raises(InvalidInput, match=r"^'5GB': sums of usage go by their age alone"):
            await prune(user, keep_usage="5GB")

    in_cluster(tmp_path / "s", body)
