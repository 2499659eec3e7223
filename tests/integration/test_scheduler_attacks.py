"""What a user or a worker with a certificate of its own may try against the scheduler, over real connections."""

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.domain.base.errors import Conflict, InvalidInput, NotAuthenticated, NotFound, NotPermitted
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.session.messages import Assign, ReportAcknowledged
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.join_client import Joined, join_by_token
from cluster.scheduler.sessions import MOST_ENTRIES
from cluster.v1 import job_pb2, scheduler_pb2
from tests.integration.schedulers import W1, W2, Cluster, User, in_cluster, one, packed, until

Push = scheduler_pb2.PushOutputRequest


async def people(cluster: Cluster) -> tuple[User, User, User]:
    """ann and bob, who are users, and eve, who may only look."""
    roles = {"ann": Role.USER, "bob": Role.USER, "eve": Role.VIEWER}
    await cluster.people(**roles)
    ann, bob, eve = map(cluster.user, roles)
    return ann, bob, eve


def test_a_job_of_somebody_else_is_not_there_whatever_it_is_called_by(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        ann, bob, eve = await people(cluster)
        job_id = str(uuid.uuid4())
        await ann.submit("sleep", job_id=job_id, name="secret", array=())
        for selector in ("1", "1.0", job_id, f"{job_id}.0", "secret", "last"):
            for call in (bob.get, bob.cancel, bob.wait, bob.text, bob.jobs):
                with pytest.raises(NotFound):
                    await call(selector)
        assert not (await bob.cancel("all")).jobs
        assert not await bob.text("all")
        assert not await bob.jobs()
        with pytest.raises(Conflict, match="is taken"):
            await bob.submit("other", job_id=job_id)
        assert [job.number for job in await eve.jobs()] == [1]
        with pytest.raises(NotPermitted, match="viewer, which may not use `cluster job cancel`"):
            await eve.cancel("1")
        assert [job.cancelled_by for job in await ann.jobs()] == [""]

    in_cluster(tmp_path, body)


def test_a_worker_is_no_user_and_no_other_worker(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, good, bad = cluster.user(), cluster.worker(W1), cluster.worker(W2, name="bad")
        pretender = User(cluster.channel(IdentityKind.WORKER, W2), cluster.service.address)
        for call in (pretender.jobs(), pretender.submit("x"), pretender.cancel("all")):
            with pytest.raises(NotPermitted):
                await call
        await user.submit("sleep")
        await good.connect()
        assign = await good.hear(Assign)
        await bad.connect()
        await bad.finish(assign)  # stale to the scheduler: it changes nothing
        await bad.report(started=(one(1),), returned=(one(1),))
        reader = asyncio.create_task(user.text("1", follow=True))
        await good.report(started=(one(1),))
        asked = await good.asked_for()
        for first in (
            Push(job=1, attempt=1),
            Push(job=2**32 - 1, attempt=2**32 - 1),
            Push(transfer_id=asked.transfer_id),
        ):
            with pytest.raises(NotFound):
                await bad.push(first, Push(data=b"forged"), Push(complete=True))
        await good.push(Push(transfer_id=asked.transfer_id), Push(data=b"true"), Push(complete=True))
        await good.finish(assign)
        assert await reader == b"true"

    in_cluster(tmp_path, body)


def test_a_worker_cannot_be_called_by_the_uuid_of_another(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        with pytest.raises(InvalidInput, match="would be taken for the id of a worker"):
            await cluster.worker(W2, name=W1).register()

    in_cluster(tmp_path, body)


def test_an_entry_that_cannot_be_keeps_no_other_from_arriving(tmp_path: Path) -> None:
    """Refused, the report would be said again, for ever. What no store can hold must not reach it either."""

    async def body(cluster: Cluster) -> None:
        worker, user = cluster.worker(millicpus=4000), cluster.user()
        await worker.connect()
        await user.submit("true", array=(ArraySegment(1, 4),))
        assert (await worker.hear(Assign)).attempts.count == 4
        absurd = scheduler_pb2.End(
            job=1,
            index=0,
            attempt=1,
            reason="exit:1\0" * 5000,
            exit_code=-1,
            signal="SIG\0",
            detail="\0",
            started_at=float("nan"),
            ended_at=1e300,
            cpu_seconds=-1.0,
            peak_memory_bytes=2**64 - 1,
            output_bytes=2**64 - 2,
        )
        report = scheduler_pb2.Report(
            sequence=7,
            started=[scheduler_pb2.Attempts(job=1, attempt=1, indexes=[job_pb2.IndexRange(count=2**32 - 1)])],
            ok=[
                scheduler_pb2.OkEnds(job=1, attempt=1, first=1, count=1, packed=packed(1)),
                scheduler_pb2.OkEnds(job=1, attempt=1, first=2, count=1, packed=b"short"),
                scheduler_pb2.OkEnds(job=1, attempt=1, first=2**32 - 1, count=1, packed=packed(1)),
            ],
            ended=[absurd, scheduler_pb2.End(job=1, index=3, attempt=1, reason="exit:3", exit_code=3)],
            outputs=[scheduler_pb2.SmallOutput(job=1, index=3, attempt=1, stdout=b"x" * 100_000)],
        )
        await worker.stream.write(scheduler_pb2.SessionRequest(report=report))
        assert (await worker.hear(ReportAcknowledged)).sequence == 7
        (job,) = await user.wait("1")
        assert (job.counts.succeeded, job.counts.failed) == (2, 2)
        tasks = {task.index: task for task in (await user.get("1")).tasks}
        assert tasks[0].reason.startswith("exit:1\\x00exit:1")
        assert (tasks[0].exit_code, tasks[0].started_at, tasks[0].cpu_seconds) == (70, 0, 0)
        assert (tasks[3].reason, tasks[3].exit_code) == ("exit:3", 3)
        await cluster.restart()  # all of it can be read again
        assert len((await cluster.user().get("1")).tasks) == 4

    in_cluster(tmp_path, body)


def test_a_grace_without_end_is_refused(tmp_path: Path) -> None:
    """A launcher's timer could not be set to it, and would go off at once, for ever."""

    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        await user.submit("sleep")
        with pytest.raises(InvalidInput, match="a grace of 1e\\+300"):
            await user.cancel("1", grace=1e300)

    in_cluster(tmp_path, body)


def test_a_reader_whose_view_fails_takes_nobody_along(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        driver, user = cluster.service.driver, cluster.user()

        def fails(core: object) -> None:
            raise ValueError("a fault of ours")

        submitting = asyncio.create_task(user.submit("true"))
        await until(lambda: not driver._pipeline.agrees)
        with pytest.raises(ValueError, match="of ours"):
            await driver.read(fails)
        assert (await submitting).number == 1
        assert driver.failure is None

    in_cluster(tmp_path, body)


def test_who_is_revoked_loses_the_calls_under_way(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        ann, _, _ = await people(cluster)
        await ann.submit("sleep")
        waiting = asyncio.create_task(ann.wait("1"))
        await until(lambda: any(call.method.endswith("/Wait") for call in cluster.service._gate._calls))
        await cluster.service.admission.expel(lambda members, now: members.revoke_user("ann", now))
        with pytest.raises(NotAuthenticated, match="user/ann was revoked"):
            await waiting
        with pytest.raises(NotAuthenticated, match="user/ann was revoked"):
            await ann.jobs()

    in_cluster(tmp_path, body)


@pytest.mark.slow
def test_a_message_of_too_many_entries_ends_its_session_alone(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        worker = cluster.worker()
        await worker.connect()
        flood = scheduler_pb2.Attempts(job=1, attempt=1, indexes=[job_pb2.IndexRange(count=1)] * MOST_ENTRIES)
        report = scheduler_pb2.Report(sequence=1, started=[flood])
        await worker.stream.write(scheduler_pb2.SessionRequest(report=report))
        with pytest.raises(InvalidInput, match="32769 entries in one message"):
            await worker.end_of_session()

    in_cluster(tmp_path, body)


def test_a_state_that_is_none_is_refused(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        with pytest.raises(InvalidInput, match="there is no state 99"):
            await cluster.user().jobs(states=[99])

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("selectors", [["1"] * 10_001, ["1." + "0," * 100_000 + "0"] * 6])
def test_more_selectors_than_anybody_means_are_refused(tmp_path: Path, selectors: list[str]) -> None:
    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        await user.submit("true")
        with pytest.raises(InvalidInput, match="too many selectors"):
            await user.jobs(*selectors)

    in_cluster(tmp_path, body)


def test_a_job_that_is_named_often_is_answered_once(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        first = await user.submit("true", name="a")
        for _ in range(2):
            await user.submit("true", name="b")
        assert [job.number for job in await user.jobs("b", "a", "b", "all", "all", first.id)] == [3, 2, 1]

    in_cluster(tmp_path, body)


def test_a_token_that_is_shown_at_the_wrong_door_keeps_its_use(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        for role, user, right, wrong in [
            (Role.WORKER, "", IdentityKind.WORKER, IdentityKind.USER),
            (Role.VIEWER, "ada", IdentityKind.USER, IdentityKind.WORKER),
        ]:
            token, record = cluster.service.new_token(role, 60.0, 1, user)
            await cluster.service.admission.add(record)
            token = replace(token, address=cluster.service.join_address)
            with pytest.raises(InvalidInput, match="this join token is for "):
                await join_by_token(token, KeyRequest().request, "box", check_pinned_chain, wrong)
            joined = await join_by_token(token, KeyRequest().request, "box", check_pinned_chain, right)
            assert joined.identity.kind is right

    in_cluster(tmp_path, body)


def test_the_last_use_of_a_token_is_one_use(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        token, record = cluster.service.new_token(Role.WORKER, 60.0, 1)
        await cluster.service.admission.add(record)
        token = replace(token, address=cluster.service.join_address)
        both = [join_by_token(token, KeyRequest().request, "box", check_pinned_chain) for _ in range(2)]
        joined, refused = sorted(
            await asyncio.gather(*both, return_exceptions=True), key=lambda it: isinstance(it, Exception)
        )
        assert isinstance(joined, Joined)
        assert isinstance(refused, NotAuthenticated)

    in_cluster(tmp_path, body)
