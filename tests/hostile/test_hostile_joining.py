"""Hosts that open all the connections that the joining port has keep nobody from another address from joining."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from cluster.domain.base.errors import Conflict
from cluster.domain.trust.identity import IdentityKind
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.connection_front import MOST, host_of
from cluster.rpc.errors import calling
from cluster.rpc.join_client import join_by_token
from cluster.v1 import jobs_pb2, jobs_pb2_grpc
from tests.integration.trust import SmallCluster, in_cluster
from tools.environments import REPOSITORY

pytestmark = pytest.mark.slow

# Seconds in which each joins, on a machine with other things to do: less than the 5 after which a connection that says
# nothing is closed anyway (connection_front.SILENCE).
BAR = 4.5
JOINS = 10


@pytest.mark.parametrize("hosts", [["127.0.0.2"], ["127.0.0.2", "127.0.0.3", "127.0.0.4"]])
@pytest.mark.parametrize("kind", ["silent", "tls"])
def test_a_crowd_at_one_address_keeps_nobody_else_from_joining(tmp_path: Path, hosts: list[str], kind: str) -> None:
    async def body(cluster: SmallCluster) -> None:
        host, _, port = cluster.join_address.rpartition(":")
        crowds = []
        channel = cluster.dial(cluster.issue(IdentityKind.USER, "ann"))
        stub = jobs_pb2_grpc.JobsStub(channel)
        try:
            for source in hosts:
                line = [sys.executable, "-m", "tests.hostile.crowding", source, host, port, str(MOST + 44), kind]
                crowds.append(
                    await asyncio.create_subprocess_exec(*line, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE)
                )
            for crowd in crowds:
                assert crowd.stdout is not None
                assert await crowd.stdout.readline() == b"open\n"
            took, calls = list[float](), list[float]()
            for _ in range(JOINS):
                began = time.monotonic()
                await join_by_token(cluster.token(), KeyRequest().request, "box", check_pinned_chain)
                took.append(time.monotonic() - began)
                began = time.monotonic()
                with pytest.raises(Conflict), calling(cluster.address):
                    await stub.List(jobs_pb2.ListRequest())
                calls.append(time.monotonic() - began)
        finally:
            for crowd in crowds:
                crowd.kill()
                await crowd.wait()
            await channel.close()
        middle = sorted(took)[JOINS // 2]
        print(f"{kind}, {len(hosts)} hosts: the longest joining {max(took):.2f} s, in the middle {middle:.2f} s")
        print(f"the longest call of another port {max(calls):.2f} s")
        assert max(took + calls) < BAR

    in_cluster(tmp_path, body)


def test_whose_addresses_are_many_is_one_host() -> None:
    assert host_of("2001:db8:1:2::1") == host_of("2001:db8:1:2:ffff::9%eth0") != host_of("2001:db8:1:3::1")
    assert host_of("::ffff:10.0.0.7") == host_of("10.0.0.7") != host_of("10.0.0.8")
