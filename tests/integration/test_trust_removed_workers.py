"""Workers that are removed, and whom a worker lets in at its own port. Real connections and processes."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from cluster.domain.base.errors import ClusterError, Conflict, NotAuthenticated, NotFound
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.enrolments import BY_HAND
from cluster.domain.trust.identity import Identity, IdentityKind, Peer, Role
from cluster.domain.trust.members import ExpelledUser
from cluster.pki.files import load_credentials
from cluster.pki.issuer import KeyRequest
from cluster.rpc.channel import dial
from cluster.rpc.errors import calling
from cluster.rpc.roles import ROLES
from cluster.v1 import job_pb2, jobs_pb2
from cluster.worker.expelled_users import ExpelledUsers
from tests.integration.members import CUT, Admin, join, refusal
from tests.integration.schedulers import Cluster, in_cluster
from tests.integration.workers import Site, at_site


def test_a_worker_that_is_gone_is_removed_and_one_that_is_connected_is_not(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        admin, user = Admin(cluster), cluster.user()
        box = cluster.worker()
        await box.connect()
        with pytest.raises(Conflict, match="worker box is connected: stop it first, or expel it with --revoke"):
            await admin.remove_worker("box", revoke=False)
        await box.deregister("gone")
        await admin.remove_worker("box", revoke=False)
        assert await user.workers() == []
        with pytest.raises(NotFound, match="no worker 'box'"):
            await admin.remove_worker("box", revoke=False)
        await box.connect()  # it was not expelled
        assert [w.name for w in await user.workers()] == ["box"]

    in_cluster(tmp_path, body)


def test_the_store_keeps_an_expelled_worker_for_as_long_as_its_certificates_last(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        members = cluster.service.admission.members
        early, late = await join(cluster), await join(cluster)
        for member in (early, late):
            await Admin(cluster).remove_worker(member.name)
        for enrolment in members.enrolments_of(IdentityKind.WORKER, early.name):
            members.keep([replace(enrolment, revoked=time.time() - 8 * 86400)])
        third = await join(cluster)
        kept = {e.name for e in cluster.store.enrolments() if e.kind is IdentityKind.WORKER and e.id != BY_HAND}
        assert kept == {late.name, third.name}
        method = "/cluster.v1.Scheduler/Register"
        answers = [await refusal(member.dial(), method) for member in (early, late, third)]
        assert [isinstance(answer, NotAuthenticated) for answer in answers] == [True, True, False]

    in_cluster(tmp_path, body)


def test_a_worker_that_joins_again_with_its_key_stays_who_it_was(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        first = await join(cluster)
        token, record = cluster.service.new_token(Role.WORKER, 3600.0)
        await cluster.service.admission.add(record)

        async def again(key_of: Credentials, previous: Credentials) -> str:
            request = KeyRequest(key_of.key_pem).request
            admission, authority = cluster.service.admission, cluster.authority
            issued = await admission.join(authority, token.secret, request, "", previous.certificate_pem)
            return issued.identity.name

        expired = cluster.authority.issue(first.credentials.identity, time.time() - 400 * 86400)
        assert await again(first.credentials, first.credentials) == first.name
        assert await again(expired, expired) == first.name
        assert await again(expired, first.credentials) != first.name  # a certificate is no secret: the key counts
        await Admin(cluster).remove_worker(first.name)
        assert await again(first.credentials, first.credentials) != first.name

    in_cluster(tmp_path, body)


def test_a_worker_keeps_whom_its_own_port_must_refuse(tmp_path: Path) -> None:
    told, changes = ExpelledUsers(tmp_path), list[int]()
    told.changed = lambda: changes.append(1)
    for _ in range(2):
        told.replace([ExpelledUser("admin", 7), ExpelledUser("admin", 0)])
    assert changes == [1]
    identity = Identity("0123456789abcdef", IdentityKind.USER, "admin")
    for users in (told, ExpelledUsers(tmp_path)):
        assert [Peer(identity, 1, 0, 1, enrolment) in users for enrolment in (7, 0, 8)] == [True, True, False]
    told.replace([])
    assert Peer(identity, 1, 0, 1, 7) not in ExpelledUsers(tmp_path)
    (tmp_path / "expelled.json").write_text("nonsense")
    with pytest.raises(ClusterError, match="cannot be understood"):
        ExpelledUsers(tmp_path)


@pytest.mark.slow
def test_the_own_port_of_a_worker_refuses_a_copy_of_the_admins_certificate_also_after_a_restart(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        async with site.own_api(worker) as stub:  # a copy of admin.pem, as a thief has it
            from cluster.v1 import worker_pb2

            assert not (await stub.GetJobs(worker_pb2.GetJobsRequest())).jobs
            job = worker_pb2.StartJobRequest(
                id="0192f0c1-2d3e-7c4b-8a51-6d9f3e2b1a00", spec=job_pb2.JobSpec(argv=["sleep", "1000"], millicpus=1000)
            )
            await stub.StartJob(job)
            last = jobs_pb2.Selector(text="last")
            waiting = asyncio.create_task(_answer(stub.WaitJob(worker_pb2.WaitJobRequest(selector=last))))
            reading = stub.ReadJobOutput(worker_pb2.ReadJobOutputRequest(selector=last, stdout=True, follow=True))
            await reading.wait_for_connection()
            began = time.monotonic()
            await Admin(site.cluster).revoke_user("admin")
            for call in (waiting, reading.read()):
                with pytest.raises(NotAuthenticated, match="was revoked"), calling(worker.ready["address"]):
                    await call
            assert time.monotonic() - began < CUT
            for method in [m for m in ROLES if m.startswith("/cluster.v1.Worker/")]:
                async with _own_channel(site, worker) as channel:
                    assert isinstance(await refusal(channel, method), NotAuthenticated), method
        await worker.stop()
        await worker.started()
        async with site.own_api(worker) as stub:
            with pytest.raises(NotAuthenticated, match="was revoked"), calling(worker.ready["address"]):
                await stub.GetJobs(worker_pb2.GetJobsRequest())
        credentials = load_credentials(site.cluster.directory / "admin.pem")  # the new one is let in
        async with _own_channel(site, worker, credentials) as channel:
            assert not isinstance(await refusal(channel, "/cluster.v1.Worker/GetJobs"), NotAuthenticated)

    at_site(tmp_path, body)


async def _answer(call: Any) -> Any:
    return await call


def _own_channel(site: Site, worker: Any, credentials: Credentials | None = None) -> grpc.aio.Channel:
    identity = site.cluster.authority.identity(IdentityKind.WORKER, worker.ready["id"])
    assert identity.server_name is not None
    shown = credentials or site.cluster.credentials(IdentityKind.USER, "admin")
    return dial(worker.ready["address"], shown, identity.server_name)
