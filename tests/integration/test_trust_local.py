"""The scheduler's own socket: whoever is the scheduler's user is its first user there, behind the same gate."""

import asyncio
import os
import signal
import socket
import stat
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cluster.cli.follow import hand_in
from cluster.cli.quick.head_start import HeadStart
from cluster.client.aio import AsyncClient
from cluster.client.discovery import Endpoint
from cluster.client.local import Call, Elsewhere, ask, wait_for
from cluster.domain.job.spec import JobSpec
from cluster.domain.trust.identity import IdentityKind
from cluster.pki.authority import create_authority
from cluster.pki.files import load_credentials, save_credentials
from cluster.rpc.frames import CALL, END, ERROR, HEAD, MESSAGE, SOCKET, frame
from cluster.rpc.local import MOST
from cluster.rpc.roles import ROLES
from cluster.v1 import admin_pb2, job_pb2, jobs_pb2
from tests.integration.schedulers import Cluster, in_cluster, until
from tests.patience import PATIENCE

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
LIST, SUBMIT, WAIT = "/cluster.v1.Jobs/List", "/cluster.v1.Jobs/Submit", "/cluster.v1.Jobs/Wait"


async def spoken(cluster: Cluster, *frames: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which these were said."""
    reader, writer = await asyncio.open_unix_connection(cluster.directory / SOCKET)
    with suppress(ConnectionError):
        for each in frames:
            writer.write(each)
        await writer.drain()
    return reader, writer


async def heard(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next frame: its kind and what is in it; nothing where the connection is closed instead."""
    try:
        kind, length = HEAD.unpack(await asyncio.wait_for(reader.readexactly(HEAD.size), PATIENCE))
        return kind, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b"", b""


async def answer(cluster: Cluster, method: str, request: Any = None) -> tuple[bytes, bytes]:
    """What one call is answered first."""
    content = b"" if request is None else request.SerializeToString()
    reader, writer = await spoken(cluster, frame(CALL, method.encode()), frame(MESSAGE, content))
    try:
        return await heard(reader)
    finally:
        writer.close()


def test_its_own_user_is_the_first_user_of_the_cluster(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        job = await cluster.user().submit("true")
        reader, writer = await spoken(cluster, frame(CALL, LIST.encode()), frame(MESSAGE))
        kind, content = await heard(reader)
        assert kind == MESSAGE
        assert [found.number for found in jobs_pb2.ListResponse.FromString(content).jobs] == [job.number]
        assert await heard(reader) == (END, b"")
        assert await heard(reader) == (b"", b"")
        writer.close()

    in_cluster(tmp_path, body)


def test_the_socket_is_closed_to_others_and_goes_with_the_scheduler(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        path = cluster.directory / SOCKET
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await cluster.stop()
        assert not path.exists()
        path.touch()  # as one that was killed leaves it
        await cluster.start()
        assert (await answer(cluster, LIST))[0] == MESSAGE

    in_cluster(tmp_path, body)


@as_root
def test_another_user_is_told_nothing(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        for directory in (cluster.directory, *cluster.directory.parents):
            if tmp_path in (directory, *directory.parents) or directory == tmp_path:
                directory.chmod(0o711)
        (cluster.directory / SOCKET).chmod(0o666)  # if all that keeps others away failed
        os.seteuid(NOBODY)
        try:
            reader, writer = await spoken(cluster, frame(CALL, LIST.encode()), frame(MESSAGE))
        finally:
            os.seteuid(0)
        assert await heard(reader) == (b"", b"")
        writer.close()

    directory = Path(os.path.realpath(tmp_path))
    steps = [step for step in directory.parents if step.stat().st_uid == os.geteuid() and step != Path("/")]
    before = {step: step.stat().st_mode for step in steps}
    try:
        for step in steps:
            step.chmod(stat.S_IMODE(before[step]) | 0o011)
        in_cluster(tmp_path, body)
    finally:
        for step in steps:
            step.chmod(stat.S_IMODE(before[step]))


def test_the_gate_is_the_same(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        file = cluster.directory / "admin.pem"
        admin = load_credentials(file)

        async def refused() -> bytes:
            kind, content = await answer(cluster, LIST)
            assert kind == ERROR, content
            return content

        file.unlink()
        assert (await refused()).startswith(b"NotAuthenticated\0")
        stranger = create_authority(tmp_path / "other.pem", cluster.authority.cluster_id, time.time())
        save_credentials(file, stranger.issue(admin.identity, time.time()))
        assert (await refused()).startswith(b"NotAuthenticated\0")
        save_credentials(file, cluster.authority.issue(admin.identity, time.time() - 400 * 86400))
        assert b"has expired" in await refused()
        worker = cluster.authority.identity(IdentityKind.WORKER, "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11")
        save_credentials(file, cluster.authority.issue(worker, time.time()))
        assert (await refused()).startswith(b"NotPermitted\0")
        save_credentials(file, admin)
        assert (await answer(cluster, LIST))[0] == MESSAGE

    in_cluster(tmp_path, body)


def test_an_admin_that_is_revoked_is_cut_off_here_too_and_its_successor_is_not(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        old = load_credentials(cluster.directory / "admin.pem")
        job = await cluster.user().submit("true")
        request = jobs_pb2.WaitRequest(selectors=[jobs_pb2.Selector(text=str(job.number))])
        reader, writer = await spoken(cluster, frame(CALL, WAIT.encode()), frame(MESSAGE, request.SerializeToString()))
        assert (await heard(reader))[0] == MESSAGE
        revoking = admin_pb2.RevokeUserRequest(name="admin", keep_jobs=True)
        assert (await answer(cluster, "/cluster.v1.Users/RevokeUser", revoking))[0] == MESSAGE
        kind, content = await heard(reader)
        assert (kind, content.partition(b"\0")[0]) == (ERROR, b"Revoked")
        writer.close()
        assert (await answer(cluster, LIST))[0] == MESSAGE  # by the certificate that took the old one's place
        save_credentials(cluster.directory / "admin.pem", old)
        assert (await answer(cluster, LIST))[1].startswith(b"Revoked\0")

    in_cluster(tmp_path, body)


def test_only_what_takes_one_request_and_is_for_admins_can_be_called(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        closed = set()
        for method in [*ROLES, "/cluster.v1.Jobs/DropEverything", "no method"]:
            kind, content = await answer(cluster, method)
            if not kind:
                closed.add(method)
            elif kind == ERROR:
                assert not content.startswith(b"Internal"), (method, content)
        assert {"/cluster.v1.Scheduler/Session", "/cluster.v1.Scheduler/PushOutput", "no method"} <= closed
        assert (await answer(cluster, "/cluster.v1.Scheduler/Register"))[1].startswith(b"NotPermitted\0")

    in_cluster(tmp_path, body)


def test_requests_have_the_same_bounds(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        many = jobs_pb2.ListRequest(selectors=[jobs_pb2.Selector(text="1")] * 30_000)
        assert (await answer(cluster, LIST, many))[1].startswith(b"InvalidInput\0")
        reader, writer = await spoken(cluster, frame(CALL, LIST.encode()), HEAD.pack(MESSAGE, 2**32 - 1))
        assert b"the limit is" in (await heard(reader))[1]
        writer.close()

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("said", [b"", b"\0" * 5, b"GET / HTTP/1.1\r\n\r\n", HEAD.pack(CALL, 2**31), frame(END)])
def test_nonsense_is_not_answered(tmp_path: Path, said: bytes) -> None:
    async def body(cluster: Cluster) -> None:
        reader, writer = await spoken(cluster, said)
        writer.write_eof()
        assert await heard(reader) == (b"", b"")
        writer.close()
        assert (await answer(cluster, LIST))[0] == MESSAGE

    in_cluster(tmp_path, body)


def test_who_hangs_up_ends_the_call(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        job = await cluster.user().submit("true")
        request = jobs_pb2.WaitRequest(selectors=[jobs_pb2.Selector(text=str(job.number))])
        reader, writer = await spoken(cluster, frame(CALL, WAIT.encode()), frame(MESSAGE, request.SerializeToString()))
        assert (await heard(reader))[0] == MESSAGE
        (call,) = cluster.service._local_server._calls
        writer.close()
        await asyncio.wait_for(asyncio.wait([call]), PATIENCE)
        assert not cluster.service._gate._calls

    in_cluster(tmp_path, body)


def test_who_has_hung_up_before_it_was_heard_has_called_nothing(tmp_path: Path) -> None:
    """It may have been heard on another way since: a job that was taken back there must not begin now."""

    async def body(cluster: Cluster) -> None:
        job_id = str(uuid.uuid4())
        spec = job_pb2.JobSpec(argv=["true"])
        request = jobs_pb2.SubmitRequest(id=job_id, spec=spec).SerializeToString()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(cluster.directory / SOCKET))
            client.sendall(frame(CALL, SUBMIT.encode()) + frame(MESSAGE, request))
        assert (await answer(cluster, LIST))[0] == MESSAGE
        await until(lambda: not cluster.service._local_server._calls)
        assert await cluster.user().jobs() == []

    in_cluster(tmp_path, body)


def test_a_crowd_is_sent_the_other_way(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        crowd = [await spoken(cluster) for _ in range(MOST)]
        await until(lambda: len(cluster.service._local_server._calls) == MOST)
        assert await answer(cluster, LIST) == (b"", b"")
        for _, writer in crowd:
            writer.close()
        await until(lambda: not cluster.service._local_server._calls)
        assert (await answer(cluster, LIST))[0] == MESSAGE

    in_cluster(tmp_path, body)


def test_a_path_that_is_too_long_for_a_socket_costs_only_that(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()

    async def body(cluster: Cluster) -> None:
        assert not (cluster.directory / SOCKET).exists()
        assert await cluster.user().jobs() == []

    in_cluster(deep, body)


@as_root
def test_a_client_tells_nothing_to_anybody_else_than_its_own_user(tmp_path: Path) -> None:
    """Such as root, who names the directory of a user that may put anything there."""
    path = str(tmp_path / SOCKET)
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(path)
        os.seteuid(NOBODY)
        try:
            theirs.listen()
        finally:
            os.seteuid(0)
        with pytest.raises(Elsewhere, match="somebody else"):
            Call(path, "List", jobs_pb2.ListRequest())
        connection, _ = theirs.accept()
        assert connection.recv(1) == b""
        connection.close()


def test_who_is_connected_and_not_answered_asks_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel connects to a scheduler that is stopped, and takes what fits into the socket."""
    monkeypatch.setattr("cluster.client.local.PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / SOCKET))
        stopped.listen()
        for words in (1, 10_000):
            request = jobs_pb2.SubmitRequest(spec=job_pb2.JobSpec(argv=["x" * 1000] * words))
            with pytest.raises(Elsewhere, match="in time"):
                ask(str(tmp_path / SOCKET), "Submit", request)


def test_who_is_answered_without_end_asks_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience is for the whole answer, not for each piece."""
    monkeypatch.setattr("cluster.client.local.PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as endless:
        endless.bind(str(tmp_path / SOCKET))
        endless.listen()

        def dribble() -> None:
            connection, _ = endless.accept()
            with connection, suppress(OSError):
                connection.sendall(HEAD.pack(MESSAGE, 2**32 - 1))
                while True:
                    connection.sendall(b".")

        dribbling = threading.Thread(target=dribble)
        dribbling.start()
        with pytest.raises(Elsewhere, match="in time"):
            ask(str(tmp_path / SOCKET), "List", jobs_pb2.ListRequest())
        dribbling.join()


def test_a_request_that_is_larger_than_the_socket_is_sent_while_its_answer_is_waited_for(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        spec = job_pb2.JobSpec(argv=["true", *["x" * 1000] * 1_000])
        request = jobs_pb2.SubmitRequest(id=str(uuid.uuid4()), spec=spec)
        call = Call(str(cluster.directory / SOCKET), "Submit", request)
        assert call.unsent
        call.close()
        answered = await asyncio.to_thread(ask, str(cluster.directory / SOCKET), "Submit", request)
        (job,) = await cluster.user().jobs()
        assert (answered.job.number, answered.job.id) == (job.number, request.id)

    in_cluster(tmp_path, body)


def test_a_slow_disk_makes_one_job_of_who_asks_elsewhere_meanwhile(tmp_path: Path) -> None:
    """Whose patience has ended hangs up, and hands the same job in by TLS."""

    async def body(cluster: Cluster) -> None:
        commit, begun, done = cluster.store.commit, threading.Event(), threading.Event()

        def slowly(items: Any) -> None:
            begun.set()
            assert done.wait(PATIENCE)
            commit(items)

        cluster.store.commit = slowly  # type: ignore[method-assign]
        try:
            request = jobs_pb2.SubmitRequest(id=str(uuid.uuid4()), spec=job_pb2.JobSpec(argv=["true"]))
            call = Call(str(cluster.directory / SOCKET), "Submit", request)
            await until(begun.is_set)
            call.close()
            await until(lambda: not cluster.service._local_server._calls)
            again = asyncio.create_task(cluster.user().submit("true", job_id=request.id))
            await until(lambda: cluster.service.driver._last_ask == 2)
        finally:
            done.set()
        number = (await again).number
        assert [(job.id, job.number) for job in await cluster.user().jobs()] == [(request.id, number)]

    in_cluster(tmp_path, body)


def test_a_signal_counts_while_a_request_is_sent(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / SOCKET))
        stopped.listen()
        request = jobs_pb2.SubmitRequest(spec=job_pb2.JobSpec(argv=["x" * 1000] * 10_000))
        call = Call(str(tmp_path / SOCKET), "Submit", request)
        woken, wake = os.pipe()
        os.write(wake, b".")
        assert wait_for([call, woken], time.monotonic() + PATIENCE) == [woken]
        assert call.unsent
        call.close()
        os.close(woken)
        os.close(wake)


@pytest.mark.parametrize("sent", [True, False])
def test_who_takes_a_job_back_hears_whether_it_may_still_get_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sent: bool
) -> None:
    async def body(cluster: Cluster) -> None:
        admin = load_credentials(cluster.directory / "admin.pem")
        head_start = HeadStart(str(uuid.uuid4()))
        head_start.sent = sent
        head_start.signals.append(signal.SIGTERM)
        async with AsyncClient(Endpoint(cluster.service.address, admin)) as client:
            assert await hand_in(client, JobSpec(argv=("true",)), head_start) is None
        assert await cluster.user().jobs() == []
        said = capsys.readouterr().err
        told = f"may still get there: the scheduler does not know it yet; `cluster job cancel {head_start.job_id}`"
        assert (told in said, said.count("\n")) == (sent, sent)

    in_cluster(tmp_path, body)


def test_a_scheduler_whose_uid_may_be_anybodys_does_not_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a user namespace all users that it does not know look like one."""
    monkeypatch.setattr("cluster.rpc.local._overflow_uid", os.geteuid)

    async def body(cluster: Cluster) -> None:
        assert not (cluster.directory / SOCKET).exists()

    in_cluster(tmp_path, body)
