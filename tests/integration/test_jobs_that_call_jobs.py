"""What a job may call, by its worker, which vouches for it: a scheduler, and workers that tests play by hand."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from cluster.domain.base.errors import Conflict, InvalidInput, NotFound, NotPermitted, Revoked
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec
from cluster.domain.session.messages import Assign
from cluster.domain.trust.identity import Role
from cluster.domain.trust.users import UserRecord
from cluster.rpc.bounds import MOST_OF_A_JOB
from cluster.rpc.errors import calling
from cluster.rpc.roles import ROLES, allowed
from cluster.rpc.specs import spec_to_proto
from cluster.v1 import admin_pb2, admin_pb2_grpc, job_pb2, jobs_pb2, scheduler_pb2, scheduler_pb2_grpc
from tests.integration.schedulers import W2, Cluster, Worker, in_cluster

UNKNOWN = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e99"


class CallingJob:
    """An attempt that a worker holds, and by it calls."""

    def __init__(self, worker: Worker, job: int, index: int = 0, attempt: int = 1) -> None:
        self.worker = worker
        self.key = {"job": job, "index": index, "attempt": attempt}

    async def call(self, method: str, request: Any, response: Any) -> list[Any]:
        """All that is answered. Raises what is answered instead."""
        name = method if method.startswith("/") else f"/cluster.v1.Jobs/{method}"
        vouching = scheduler_pb2.VouchRequest(**self.key, method=name, request=request.SerializeToString())
        with calling(self.worker.address):
            return [response.FromString(each.response) async for each in self.worker.stub.Vouch(vouching)]

    async def submit(self, *argv: str, job_id: str = "", **fields: Any) -> job_pb2.Job:
        spec = spec_to_proto(JobSpec(argv=argv or ("true",), **fields))
        request = jobs_pb2.SubmitRequest(id=job_id or str(uuid.uuid4()), spec=spec)
        answer: jobs_pb2.SubmitResponse
        (answer,) = await self.call("Submit", request, jobs_pb2.SubmitResponse)
        return answer.job

    async def jobs(self, *selectors: str) -> list[int]:
        request = jobs_pb2.ListRequest(selectors=map(_selector, selectors))
        (answer,) = await self.call("List", request, jobs_pb2.ListResponse)
        return [job.number for job in answer.jobs]

    async def get(self, selector: str) -> jobs_pb2.GetResponse:
        answer: jobs_pb2.GetResponse
        (answer,) = await self.call("Get", jobs_pb2.GetRequest(selector=_selector(selector)), jobs_pb2.GetResponse)
        return answer

    async def set_state(self, **values: str) -> None:
        await self.call("SetState", jobs_pb2.SetStateRequest(values=values), jobs_pb2.SetStateResponse)

    async def state(self, selector: str) -> dict[str, str]:
        request = jobs_pb2.GetStateRequest(selector=_selector(selector))
        (answer,) = await self.call("GetState", request, jobs_pb2.GetStateResponse)
        return dict(answer.values)

    async def cancel(self, *selectors: str) -> int:
        request = jobs_pb2.CancelRequest(selectors=map(_selector, selectors))
        (answer,) = await self.call("Cancel", request, jobs_pb2.CancelResponse)
        return int(answer.cancelled)


def _selector(text: str) -> jobs_pb2.Selector:
    return jobs_pb2.Selector(text=text)


async def started(cluster: Cluster, **fields: Any) -> tuple[Worker, CallingJob, Assign]:
    """Job 1 of the user `ada`, whose first task runs on a worker that has room for all that comes after it."""
    await cluster.people(ada=Role.USER, bob=Role.USER)
    worker = cluster.worker(millicpus=64_000)
    await worker.connect()
    job = await cluster.user("ada").submit("caller", **fields)
    assign = await worker.hear(Assign)
    return worker, CallingJob(worker, job.number), assign


Body = Callable[[Cluster], Awaitable[None]]


def test_a_child_is_its_owners_and_known_with_its_callers(tmp_path: Path) -> None:  # S3.13
    async def body(cluster: Cluster) -> None:
        _, first, _ = await started(cluster, array=(ArraySegment(5, 6, 1),))
        child = await first.submit("a", name="child")
        assert (child.number, child.owner) == (2, "ada")
        below = await CallingJob(first.worker, 2).submit("b")
        ada = cluster.user("ada")
        callers = [(c.job, c.task_number, c.attempt) for c in (await ada.get(str(below.number))).job.callers]
        assert callers == [(1, 5, 1), (2, 0, 1)]
        assert list((await ada.get("1")).children) == [2]
        await cluster.restart()
        ada = cluster.user("ada")
        assert [(c.job, c.attempt) for c in (await ada.get("3")).job.callers] == [(1, 1), (2, 1)]
        assert list((await ada.get("2")).children) == [3]
        with pytest.raises(NotFound):
            await cluster.user("bob").get("2")

    in_cluster(tmp_path, body)


def test_a_job_sees_its_tree_and_cancels_only_what_it_has_called(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        worker, first, _ = await started(cluster)
        ada = cluster.user("ada")
        alone = await ada.submit("alone", name="child")  # her own, and of no tree
        left, right = await first.submit("l", name="child"), await first.submit("r")
        below = CallingJob(worker, left.number)
        third = await below.submit("b")
        for caller in (first, below):
            assert await caller.jobs() == [third.number, right.number, left.number, 1]
            assert await caller.jobs("child") == [left.number]
            assert await caller.jobs("last") == [third.number]
            for selector in (str(alone.number), alone.id, f"{alone.number}.1"):
                with pytest.raises(NotFound):
                    await caller.get(selector)
        for mine in ("1", str(right.number), str(left.number), "all"):
            with pytest.raises(NotPermitted, match="may cancel only what it has called"):
                await below.cancel(mine)
        with pytest.raises(NotFound):
            await below.cancel(str(alone.number))
        assert await first.cancel(str(left.number)) == 2  # with what that has called
        assert (await ada.get(str(third.number))).job.cancelled_by == "ada, by job 1"
        assert (await ada.get(str(third.number))).job.cancel_reason == "its caller was cancelled"
        assert (await ada.get(str(right.number))).job.state == job_pb2.TASK_STATE_ASSIGNED

    in_cluster(tmp_path, body)


def test_an_attempt_that_its_worker_does_not_hold_has_no_say(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        worker, first, assign = await started(cluster, retries=1)
        other = cluster.worker(W2, "other")
        await other.connect()
        for nobody in (
            CallingJob(other, 1),  # another worker's
            CallingJob(worker, 1, attempt=2),
            CallingJob(worker, 1, index=1),
            CallingJob(worker, 99),
        ):
            for call in (nobody.submit(), nobody.jobs(), nobody.get("1"), nobody.cancel("1")):
                with pytest.raises(NotPermitted, match=r"has no say in the cluster any more"):
                    await call
        child = await first.submit(job_id=UNKNOWN)
        await worker.fail(assign)
        for call in (first.submit(), first.submit(job_id=UNKNOWN), first.jobs(), first.get(str(child.number))):
            with pytest.raises(NotPermitted, match=r"of job 1 has ended"):
                await call
        assert [job.number for job in await cluster.user("ada").jobs()] == [2, 1]

    in_cluster(tmp_path, body)


def test_a_job_that_is_being_cancelled_calls_for_nothing_more_and_its_children_go_with_it(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        _, first, _ = await started(cluster)
        child, kept = await first.submit("c"), await first.submit("k")
        ada = cluster.user("ada")
        grandchild = await CallingJob(first.worker, child.number).submit("g")
        answer = await ada.cancel(str(child.number), keep_children=True)
        assert answer.cancelled == 1
        assert not (await ada.get(str(grandchild.number))).job.cancelled_by
        answer = await ada.cancel("1", reason="enough")
        assert answer.cancelled == 4  # also what the child has called for, which was cancelled without it
        for number in (1, kept.number, grandchild.number):
            assert (await ada.get(str(number))).job.cancel_reason == "enough"
        with pytest.raises(NotPermitted, match="job 1 is being cancelled"):
            await first.submit()
        assert await first.jobs("1") == [1]  # it may look on
        assert (await ada.cancel("1")).cancelled == 4

    in_cluster(tmp_path, body)


def test_a_job_keeps_a_state_that_others_read(tmp_path: Path) -> None:  # S3.13
    async def body(cluster: Cluster) -> None:
        worker, first, assign = await started(cluster)
        child = CallingJob(worker, (await first.submit()).number)
        await first.set_state(phase="one", note="")
        await first.set_state(phase="two")
        for reader in (first, child):
            assert await reader.state("1") == {"phase": "two", "note": ""}
        for wrong in ({}, {"a b": "x"}, {"a": "x" * 20_000}):
            with pytest.raises(InvalidInput):
                await first.set_state(**wrong)
        with pytest.raises(Conflict, match="the most are"):
            await first.set_state(**{str(n): "x" * 15_000 for n in range(5)})
        await cluster.restart()
        ada: Any = cluster.user("ada").stub
        answer = await ada.GetState(jobs_pb2.GetStateRequest(selector=_selector("1")))
        assert answer.values["phase"] == "two"
        with pytest.raises(grpc.aio.AioRpcError, match="may not call SetState"):
            await ada.SetState(jobs_pb2.SetStateRequest(values={"a": "b"}))
        bob: Any = cluster.user("bob").stub
        with pytest.raises(grpc.aio.AioRpcError, match="there is no job 1"):
            await bob.GetState(jobs_pb2.GetStateRequest(selector=_selector("1")))
        worker = cluster.worker(millicpus=64_000)
        await worker.connect(running=[assign.attempts])
        await worker.finish(assign)
        await cluster.user("ada").wait("1")
        answer = await ada.GetState(jobs_pb2.GetStateRequest(selector=_selector("1")))
        assert answer.values["phase"] == "two"  # also when it has ended
        with pytest.raises(NotPermitted, match="has ended"):
            await CallingJob(worker, 1).set_state(phase="three")

    in_cluster(tmp_path, body)


def test_the_whole_family_is_found_from_anywhere_in_it_while_it_runs(tmp_path: Path) -> None:  # S3.13
    async def body(cluster: Cluster) -> None:
        worker, first, assign = await started(cluster)
        ada = cluster.user("ada")
        await ada.submit("alone")  # 2
        left, right = await first.submit("l"), await first.submit("r", after=("1",))  # 3, 4
        await CallingJob(worker, left.number).submit("below")  # 5
        await ada.submit("later", after_any=("3",))  # 6
        await ada.submit("last", after_fail=("6",))  # 7
        await worker.finish(assign)
        for selector in ("1", "5", "7", "4"):
            found = [job.number for job in await tree(ada.stub, selector)]
            assert found == [1, 3, 4, 5, 6, 7], selector
        assert [job.number for job in await tree(ada.stub, "2")] == [2]
        inside = CallingJob(worker, left.number)
        answers = await inside.call("Tree", jobs_pb2.TreeRequest(selector=_selector("3")), jobs_pb2.TreeResponse)
        assert [job.number for answer in answers for job in answer.jobs] == [1, 3, 4, 5]  # its own tree
        jobs = await tree(ada.stub, "1")
        assert [(job.number, [c.job for c in job.callers], list(job.spec.after)) for job in jobs[:4]] == [
            (1, [], []), (left.number, [1], []), (right.number, [1], ["1"]), (5, [1, 3], []),
        ]  # fmt: skip
        admins = await cluster.user().submit("of the admin", after=("2",))
        assert [job.number for job in await tree(cluster.user().stub, "2")] == [2, admins.number]
        assert [job.number for job in await tree(ada.stub, "2")] == [2]  # she does not see that one

    in_cluster(tmp_path, body)


async def tree(stub: Any, selector: str) -> list[job_pb2.Job]:
    return [job async for some in stub.Tree(jobs_pb2.TreeRequest(selector=_selector(selector))) for job in some.jobs]


def test_a_job_that_waits_for_its_children_ends_with_them_whoever_restarts(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        worker, first, assign = await started(cluster, wait_children=True)
        well, badly = await first.submit("w"), await first.submit("b")
        late = await first.submit("l", array=(ArraySegment(1, 2, 1),))
        assigns = {a.attempts.job: a for a in [await worker.hear(Assign) for _ in range(3)]}
        await worker.fail(assigns[badly.number])
        await worker.finish(assign)
        ada = cluster.user("ada")
        shown = (await ada.get("1")).job
        assert (job_pb2.TaskState.Name(shown.state), shown.counts.finishing) == ("TASK_STATE_FINISHING", 1)
        others = (well.number, late.number)
        assert list(shown.pending_because) == [f"job {n}, which it has called, must end first" for n in others]
        assert (await ada.get("1")).tasks[0].exit_code == 0
        await cluster.restart()
        worker = cluster.worker(millicpus=64_000)
        await worker.connect(running=[assigns[number].attempts for number in others])
        await worker.finish(assigns[well.number])
        await worker.finish(assigns[late.number])
        ada = cluster.user("ada")
        (ended,) = await ada.wait("1")
        assert (ended.reason, ended.exit_code) == ("children", 1)
        task = (await ada.get("1")).tasks[0]
        assert (task.reason, task.exit_code, task.attempt) == ("children", 1, 1)
        assert (task.started_at, task.cpu_seconds) == (1000.0, 0.5)  # of its attempt, as it was

    in_cluster(tmp_path, body)


def test_a_job_may_call_nothing_but_what_is_said(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        _, first, _ = await started(cluster)
        empty = jobs_pb2.ListWorkersRequest()
        for method in ROLES:
            if not allowed(method, Role.ATTEMPT) or not method.startswith("/cluster.v1.Jobs/"):
                with pytest.raises(NotPermitted, match=r"job 1 may not|a job may not call"):
                    await first.call(method, empty, empty)
        with pytest.raises(NotPermitted, match="job 1 may not use `cluster worker list`: only users may"):
            await first.call("ListWorkers", empty, empty)
        with pytest.raises(NotPermitted, match="there is no such method here"):
            await first.call("/cluster.v1.Jobs/Drop", empty, empty)
        with pytest.raises(InvalidInput, match="damaged"):
            await first.call("Submit", scheduler_pb2.VouchResponse(response=b"\xff"), empty)
        with pytest.raises(InvalidInput, match="the limit is"):
            await first.submit("x", lines=b"x\n" * MOST_OF_A_JOB)
        with pytest.raises(InvalidInput, match="the command is empty"):
            await first.submit("")
        assert await first.jobs() == [1]

    in_cluster(tmp_path, body)


def test_with_its_owner_a_job_loses_its_rights_also_in_calls_under_way(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        _, first, _ = await started(cluster)
        watching = asyncio.create_task(
            first.call("Wait", jobs_pb2.WaitRequest(selectors=[_selector("1")]), jobs_pb2.WaitResponse)
        )
        child = await first.submit()
        admin: Any = admin_pb2_grpc.UsersStub(cluster.user().channel)
        await admin.RevokeUser(admin_pb2.RevokeUserRequest(name="ada", keep_jobs=True))
        with pytest.raises(Revoked, match="ada, who owns job 1, was revoked"):
            await watching
        for call in (first.submit(), first.jobs(), CallingJob(first.worker, child.number).submit()):
            with pytest.raises(Revoked, match="was revoked, and its jobs with it"):
                await call
        # Somebody else who is given the name owns nothing of hers.
        admission = cluster.service.admission
        await admission._save(admission.members.keep([UserRecord("ada", Role.USER, 2.0, holder=2)]))
        with pytest.raises(Revoked):
            await first.jobs()

    in_cluster(tmp_path, body)


def test_whoever_vouches_is_a_worker(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        await started(cluster)
        user: Any = scheduler_pb2_grpc.SchedulerStub(cluster.user("ada").channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in user.Vouch(scheduler_pb2.VouchRequest(job=1, attempt=1, method="/cluster.v1.Jobs/List")):
                pass
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

    in_cluster(tmp_path, body)
