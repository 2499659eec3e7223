"""The gate before every call, with real servers and channels: who gets in, what they may, and when they are cut."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor_pool import Default
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.domain.base.errors import ClusterError, Conflict, Internal, NotAuthenticated, NotPermitted, Unreachable
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.rpc.errors import calling
from cluster.rpc.roles import ROLES, allowed
from cluster.rpc.server import mutual_tls_server
from cluster.v1 import jobs_pb2, jobs_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc
from tests.integration.trust import WORKER, SmallCluster, in_cluster

Call = Callable[[grpc.aio.Channel], Awaitable[Any]]


async def call(cluster: SmallCluster, credentials: Credentials, make: Call) -> Any:
    async with cluster.dial(credentials) as channel:
        with calling(cluster.address):
            return await make(channel)


async def list_jobs(channel: grpc.aio.Channel) -> object:
    return await jobs_pb2_grpc.JobsStub(channel).List(jobs_pb2.ListRequest())


async def submit(channel: grpc.aio.Channel) -> object:
    return await jobs_pb2_grpc.JobsStub(channel).Submit(jobs_pb2.SubmitRequest())


async def drain(stream: Any) -> None:
    while await stream.read():
        pass


async def health(channel: grpc.aio.Channel) -> object:
    return (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status


# --- the table ---


def test_the_table_is_exactly_what_the_protos_offer() -> None:
    names = ("admin", "events", "files", "gateways", "jobs", "metrics", "pools", "room", "scheduler", "worker")
    files = [f"cluster/v1/{name}.proto" for name in names]
    import cluster.v1.admin_pb2
    import cluster.v1.events_pb2
    import cluster.v1.files_pb2
    import cluster.v1.gateways_pb2
    import cluster.v1.metrics_pb2
    import cluster.v1.pools_pb2
    import cluster.v1.room_pb2
    import cluster.v1.worker_pb2  # noqa: F401 - registers those that nobody else has loaded

    services = [s for name in files for s in Default().FindFileByName(name).services_by_name.values()]
    offered = {f"/{s.full_name}/{m.name}" for s in services for m in s.methods}
    assert {method for method in ROLES if method.startswith("/cluster.")} == offered


def test_what_is_not_in_the_table_is_for_nobody() -> None:
    assert not any(allowed("/cluster.v1.Jobs/DropEverything", role) for role in Role)
    assert not any(allowed("/cluster.v1.Scheduler/Join", role) for role in Role)


def test_a_server_with_a_method_outside_the_table_does_not_start(tmp_path: Path) -> None:
    def add(server: grpc.aio.Server) -> None:
        handler: Any = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
        server.add_registered_method_handlers("cluster.v1.Jobs", {"DropEverything": handler})

    async def start() -> None:
        mutual_tls_server(SmallCluster(tmp_path).gate, [add])

    with pytest.raises(ClusterError, match=r"who may call /cluster\.v1\.Jobs/DropEverything"):
        asyncio.run(start())


# --- one call ---


def test_handlers_know_the_caller_and_their_errors_arrive_unchanged(tmp_path: Path) -> None:  # S2.3
    async def body(cluster: SmallCluster) -> None:
        with pytest.raises(Conflict, match=r"^user/ann as user$"):
            await call(cluster, cluster.issue(IdentityKind.USER, "ann"), list_jobs)

    in_cluster(tmp_path, body)


def test_a_bug_is_answered_by_an_id_and_told_only_to_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(cluster: SmallCluster) -> None:
        with pytest.raises(Internal, match=r"^internal error [0-9a-f]{8};") as caught:
            await call(
                cluster,
                cluster.issue(IdentityKind.USER, "ann"),
                lambda channel: jobs_pb2_grpc.JobsStub(channel).Get(jobs_pb2.GetRequest()),
            )
        assert "secret" not in str(caught.value)
        number = str(caught.value).split()[2].rstrip(";")
        assert number in caplog.text
        assert "ZeroDivisionError: a secret of ours" in caplog.text

    in_cluster(tmp_path, body)


def test_a_role_may_what_the_table_says(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        for name, make in [
            ("eve", submit),
            ("ann", lambda c: scheduler_pb2_grpc.SchedulerStub(c).Join(scheduler_pb2.JoinRequest())),
        ]:
            with pytest.raises(NotPermitted, match=rf"^user/{name} has the role \w+, which may not (call|use) "):
                await call(cluster, cluster.issue(IdentityKind.USER, name), make)
        with pytest.raises(NotPermitted, match=f"worker/{WORKER} has the role worker, which may not call List"):
            await call(cluster, cluster.issue(IdentityKind.WORKER, WORKER), list_jobs)

    in_cluster(tmp_path, body)


def test_every_role_may_ask_for_health(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        for kind, name in [(IdentityKind.USER, "eve"), (IdentityKind.WORKER, WORKER)]:
            status = await call(cluster, cluster.issue(kind, name), health)
            assert status == health_pb2.HealthCheckResponse.SERVING

    in_cluster(tmp_path, body)


def test_a_removed_user_is_not_known_any_more(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        with pytest.raises(NotAuthenticated, match="user/bob is not, or no longer, known"):
            await call(cluster, cluster.issue(IdentityKind.USER, "bob"), health)

    in_cluster(tmp_path, body)


# --- connections that outlive their right ---


def test_an_expired_certificate_ends_an_open_connection_at_its_next_call(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        ann = cluster.issue(IdentityKind.USER, "ann")
        async with cluster.dial(ann) as channel:
            await health(channel)
            cluster.now = ann.not_after
            await health(channel)
            cluster.now = ann.not_after + 1
            with pytest.raises(NotAuthenticated, match="certificate of user/ann has expired"), calling(cluster.address):
                await health(channel)
            cluster.now = ann.not_before - 1
            with pytest.raises(NotAuthenticated, match="not valid yet"), calling(cluster.address):
                await health(channel)

    in_cluster(tmp_path, body)


def test_a_revoked_certificate_ends_an_open_connection_at_its_next_call(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        ann = cluster.issue(IdentityKind.USER, "ann")
        async with cluster.dial(ann) as channel:
            await health(channel)
            cluster.revoked.add(cluster.peer(ann).serial)
            with pytest.raises(NotAuthenticated, match="certificate of user/ann was revoked"), calling(cluster.address):
                await health(channel)
        await call(cluster, cluster.issue(IdentityKind.USER, "ann"), health)

    in_cluster(tmp_path, body)


def test_revoking_cuts_the_streams_of_that_certificate_alone(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        ann, eve = cluster.issue(IdentityKind.USER, "ann"), cluster.issue(IdentityKind.USER, "eve")
        async with cluster.dial(ann) as of_ann, cluster.dial(eve) as of_eve:
            cut = jobs_pb2_grpc.JobsStub(of_ann).Wait(jobs_pb2.WaitRequest())
            kept = jobs_pb2_grpc.JobsStub(of_eve).Wait(jobs_pb2.WaitRequest())
            await cut.read()
            await kept.read()
            cluster.revoked.add(cluster.peer(ann).serial)
            cluster.gate.recheck()
            with pytest.raises(NotAuthenticated, match="revoked"), calling(cluster.address):
                await cut.read()
            await cluster.jobs.cut.wait()
            assert not kept.done()
            kept.cancel()

    in_cluster(tmp_path, body)


def test_a_stream_whose_reader_stalls_is_cut_all_the_same(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        ann = cluster.issue(IdentityKind.USER, "ann")
        async with cluster.dial(ann) as channel:
            stream = jobs_pb2_grpc.JobsStub(channel).ReadOutput(jobs_pb2.ReadOutputRequest())
            await stream.read()
            cluster.revoked.add(cluster.peer(ann).serial)
            cluster.gate.recheck()
            await cluster.jobs.cut.wait()
            with pytest.raises(NotAuthenticated, match="revoked"), calling(cluster.address):
                await drain(stream)

    in_cluster(tmp_path, body)


def test_a_role_that_is_taken_away_cuts_what_it_alone_allowed(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        async with cluster.dial(cluster.issue(IdentityKind.USER, "eve")) as channel:
            stream = jobs_pb2_grpc.JobsStub(channel).Wait(jobs_pb2.WaitRequest())
            await stream.read()
            cluster.roles["eve"] = Role.WORKER
            cluster.gate.recheck()
            with pytest.raises(NotPermitted, match="role worker"), calling(cluster.address):
                await stream.read()

    in_cluster(tmp_path, body)


def test_a_session_is_cut_by_the_timer_when_its_certificate_ends(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        worker = cluster.issue(IdentityKind.WORKER, WORKER)
        async with cluster.dial(worker) as channel:
            cluster.now = worker.not_after  # the gate will look again one second after this
            stream = scheduler_pb2_grpc.SchedulerStub(channel).Session()
            await stream.write(scheduler_pb2.SessionRequest(heartbeat=7))
            assert (await stream.read()).heartbeat == 7
            timer = cluster.gate._timer
            assert timer is not None
            assert timer.when() - asyncio.get_running_loop().time() <= 1
            cluster.now = worker.not_after + 1
            cluster.gate._expired()  # what the timer calls, without waiting for it
            with pytest.raises(NotAuthenticated, match="has expired"), calling(cluster.address):
                await stream.read()

    in_cluster(tmp_path, body)


def test_the_timer_goes_on_for_those_that_remain(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        short, long = cluster.issue(IdentityKind.USER, "ann", 60), cluster.issue(IdentityKind.USER, "eve", 120)
        async with cluster.dial(short) as first, cluster.dial(long) as second:
            streams = [jobs_pb2_grpc.JobsStub(c).Wait(jobs_pb2.WaitRequest()) for c in (second, first)]
            for stream in streams:
                await stream.read()
            cluster.now = short.not_after + 1
            before = asyncio.get_running_loop().time()
            cluster.gate._expired()
            after = asyncio.get_running_loop().time()
            with pytest.raises(NotAuthenticated), calling(cluster.address):
                await streams[1].read()
            timer = cluster.gate._timer
            assert timer is not None
            assert before + 55 < timer.when() <= after + 61
            streams[0].cancel()

    in_cluster(tmp_path, body)


def test_a_client_that_leaves_is_no_error_and_leaves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(cluster: SmallCluster) -> None:
        async with cluster.dial(cluster.issue(IdentityKind.USER, "ann")) as channel:
            stream = jobs_pb2_grpc.JobsStub(channel).Wait(jobs_pb2.WaitRequest())
            await stream.read()
            stream.cancel()
            await cluster.jobs.cut.wait()
            await health(channel)
        assert cluster.gate._calls == set()
        assert caplog.text == ""

    in_cluster(tmp_path, body)


def test_a_connection_that_breaks_is_told_as_such(tmp_path: Path) -> None:
    async def run() -> None:
        async with SmallCluster(tmp_path).running() as cluster:
            channel = cluster.dial(cluster.issue(IdentityKind.USER, "ann"))
            stream = jobs_pb2_grpc.JobsStub(channel).Wait(jobs_pb2.WaitRequest())
            await stream.read()
        with pytest.raises(Unreachable, match=cluster.address), calling(cluster.address):
            await stream.read()
        await channel.close()

    asyncio.run(run())
