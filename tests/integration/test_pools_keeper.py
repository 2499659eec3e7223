"""Who keeps pools joins once, stays who it is, and goes on with a certificate that it has renewed."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.domain.base.errors import NotAuthenticated, NotFound, NotPermitted
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import Role
from cluster.pki.files import load_credentials, private_directory, save_credentials
from cluster.pools.calls import KeeperCalls
from cluster.pools.membership import FILE, KeeperMembership
from cluster.pools.process import address_of
from cluster.rpc.join_client import join_by_token
from cluster.scheduler.leading import ALONE, SchedulerView
from tests.integration.schedulers import Cluster, in_cluster


def test_a_keeper_joins_once_and_goes_on_with_a_renewed_certificate(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        async def try_out(credentials: Credentials) -> None:
            calls = KeeperCalls(credentials.scheduler, credentials)
            try:
                assert await calls.exchange([]) == ([], [], [], [])
            finally:
                await calls.close()

        async def token(role: Role, user: str) -> str:
            text, record = cluster.service.new_token(role, 60.0, 1, user)
            await cluster.service.admission.add(record)
            return str(text)

        directory = private_directory(tmp_path / "pools")
        membership = KeeperMembership(directory)
        with pytest.raises(NotFound, match="belongs to no cluster: start it once with --join TOKEN"):
            await membership.enter("", try_out)
        with pytest.raises(NotPermitted, match="this token is not for keeping pools"):
            await membership.enter(await token(Role.ADMIN, "ada"), try_out)
        assert not (directory / FILE).exists()  # another token leads in

        first = await membership.enter(await token(Role.POOLS, "keeper"), try_out)
        assert await membership.enter("", try_out) == first
        calls = KeeperCalls(first.scheduler, first)
        under_way = asyncio.create_task(calls.exchange([]))
        await asyncio.sleep(0)
        second = await membership.renewed(first, first.scheduler)
        calls.use(second)
        assert await calls.exchange([]) == await under_way == ([], [], [], [])
        await calls.close()
        assert second.certificate_pem != first.certificate_pem
        assert load_credentials(directory / FILE) == second
        assert second.identity == first.identity

        save_credentials(directory / FILE, replace(second, not_after=1))
        with pytest.raises(NotAuthenticated, match="not valid any more: start it once with --join TOKEN"):
            await membership.enter("", try_out)

    in_cluster(tmp_path / "scheduler", body)


def test_a_keeper_goes_to_whichever_scheduler_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told at its joining where all are; one of them is away."""

    async def body(cluster: Cluster) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            other = f"127.0.0.1:{nobody.getsockname()[1]}"

            async def with_another(*words: object) -> object:
                joined = await join_by_token(*words)  # type: ignore[arg-type]
                return replace(joined, schedulers=(other, joined.scheduler_address))

            async def try_out(_: Credentials) -> None:
                pass

            monkeypatch.setattr("cluster.pools.membership.join_by_token", with_another)
            text, record = cluster.service.new_token(Role.POOLS, 60.0, 1, "keeper")
            await cluster.service.admission.add(record)
            directory = private_directory(tmp_path / "pools")
            await KeeperMembership(directory).enter(str(text), try_out)
            kept = await KeeperMembership(directory).enter("", try_out)
            here, there = kept.scheduler.split(",")
            assert there == other
            for address in (address_of(kept, ""), address_of(kept, f"{other},{here}")):
                calls = KeeperCalls(address, kept)
                assert await calls.exchange([]) == ([], [], [], [])
                await calls.close()

    in_cluster(tmp_path / "scheduler", body)


def test_a_keeper_hears_of_schedulers_that_come_later_and_keeps_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(cluster: Cluster) -> None:
        async def try_out(_: Credentials) -> None:
            pass

        text, record = cluster.service.new_token(Role.POOLS, 60.0, 1, "keeper")
        await cluster.service.admission.add(record)
        directory = private_directory(tmp_path / "pools")
        membership = KeeperMembership(directory)
        first = await membership.enter(str(text), try_out)
        here, later = first.scheduler, "127.0.0.1:9"
        calls = KeeperCalls(here, first)
        assert not calls.told((await calls.exchange([])).schedulers), "there is one"
        both = [SchedulerView(here, True, 0.0), SchedulerView(later, False, 0.0)]
        monkeypatch.setattr(type(ALONE), "schedulers", lambda _: both)
        told = (await calls.exchange([])).schedulers
        assert list(told) == [here, later]
        assert calls.told(told)
        assert not calls.told(told), "it knows them"
        membership.told(told)
        assert calls.address == (await membership.enter("", try_out)).scheduler == f"{here},{later}"
        assert not calls.told(["nonsense"])
        await calls.exchange([])  # goes on, with one of them away
        renewed = await membership.renewed(first, here)
        assert renewed.scheduler == calls.address
        assert address_of(renewed, "127.0.0.1:8") == f"127.0.0.1:8,{here},{later}"
        await calls.close()

    in_cluster(tmp_path / "scheduler", body)
