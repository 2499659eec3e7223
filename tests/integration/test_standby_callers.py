"""Workers and callers of several schedulers, of which one leads: whom they look for, and how long."""

import asyncio
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.client import takeover
from cluster.client.aio import AsyncClient
from cluster.client.discovery import Endpoint
from cluster.client.scheduler_backend import SchedulerBackend
from cluster.domain.base.errors import Conflict, Unreachable
from cluster.domain.trust.identity import IdentityKind
from cluster.rpc import channel
from cluster.rpc.addresses import resolved
from cluster.rpc.errors import calling
from cluster.v1 import jobs_pb2, jobs_pb2_grpc
from cluster.worker.known_schedulers import KnownSchedulers
from tests.integration.trust import SmallCluster, in_cluster

pytestmark = pytest.mark.slow


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


def test_a_command_that_finds_nobody_leading_waits_for_who_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(cluster: SmallCluster) -> None:
        told = list[str]()
        nobody, ann = "127.0.0.1:1,127.0.0.1:2", cluster.issue(IdentityKind.USER, "ann")

        async def no_pause(_: float) -> None:
            """The second try goes to somebody who serves."""
            monkeypatch.setattr(client, "_opened", SchedulerBackend(f"127.0.0.1:1,{cluster.address}", ann))

        monkeypatch.setattr(takeover, "asyncio", SimpleNamespace(sleep=no_pause))
        client = AsyncClient(Endpoint(nobody, ann), nobody_leads=lambda error: told.append(str(error)))
        first = client._backend()
        async with client:
            await first.close()
            with pytest.raises(Conflict, match="ann as user"):
                await client.list()
        assert [line[: len(nobody)] for line in told] == [nobody]
        monkeypatch.setattr(takeover, "PATIENCE", 0.0)
        with pytest.raises(Unreachable) as caught:
            async with AsyncClient(Endpoint(nobody, ann), nobody_leads=lambda error: told.append(str(error))):
                raise AssertionError("nobody leads")
        assert (caught.value.exit_code, len(told)) == (75, 1)

    in_cluster(tmp_path, body)


def test_several_addresses_are_one_target() -> None:
    assert resolved(["127.0.0.1:1", "127.0.0.2:2"]) == "ipv4:127.0.0.1:1,127.0.0.2:2"
    assert resolved(["127.0.0.1:1", "[::1]:2"]) == "ipv6:[::ffff:127.0.0.1]:1,[::1]:2"
    assert resolved(["nobody.invalid:1", "127.0.0.2:2"]) == "ipv4:127.0.0.2:2"
    with pytest.raises(Unreachable, match="none of these host names is known"):
        resolved(["nobody.invalid:1"])
