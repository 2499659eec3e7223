"""Who keeps pools joins once, stays who it is, and goes on with a certificate that it has renewed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.domain.base.errors import NotAuthenticated, NotFound, NotPermitted
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import Role
from cluster.pki.files import load_credentials, private_directory, save_credentials
from cluster.pools.calls import KeeperCalls
from cluster.pools.membership import FILE, KeeperMembership
from tests.integration.schedulers import Cluster, in_cluster


def test_a_keeper_joins_once_and_goes_on_with_a_renewed_certificate(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        async def try_out(credentials: Credentials) -> None:
            calls = KeeperCalls(credentials.scheduler, credentials)
            try:
                assert await calls.exchange([]) == ([], [], [])
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
        assert await calls.exchange([]) == await under_way == ([], [], [])
        await calls.close()
        assert second.certificate_pem != first.certificate_pem
        assert load_credentials(directory / FILE) == second
        assert second.identity == first.identity

        save_credentials(directory / FILE, replace(second, not_after=1))
        with pytest.raises(NotAuthenticated, match="not valid any more: start it once with --join TOKEN"):
            await membership.enter("", try_out)

    in_cluster(tmp_path / "scheduler", body)
