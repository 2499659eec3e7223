"""A worker renews its certificate by itself."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from cluster.domain.base.errors import ClusterError
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind
from cluster.pki import renewal_loop
from cluster.pki.files import load_credentials
from cluster.worker import membership as worker_membership
from cluster.worker import standalone
from cluster.worker.membership import Membership, MembershipRecord, keep_renewing
from cluster.worker.standalone import Standalone
from tests.integration.schedulers import W1, Cluster, in_cluster
from tests.patience import PATIENCE


@pytest.fixture(params=[False, True], ids=["", "full-at-first"])
def disk_fills(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], None]:
    """The first try to save credentials from now on fails, in every other test: renewing goes on after that."""

    def fill(module: ModuleType) -> None:
        save = module.save_credentials
        failures = [ClusterError("it cannot be written: No space left on device")] if request.param else []

        def save_or_fail(path: Path, credentials: Credentials) -> None:
            if failures:
                raise failures.pop()
            save(path, credentials)

        monkeypatch.setattr(renewal_loop, "RETRY", 0.0)
        monkeypatch.setattr(module, "save_credentials", save_or_fail)

    return fill


def test_a_certificate_that_is_due_is_replaced_on_disk_and_in_use(
    tmp_path: Path, disk_fills: Callable[[ModuleType], None]
) -> None:
    async def body(cluster: Cluster) -> None:
        present = cluster.credentials(IdentityKind.WORKER, W1)
        due = replace(present, not_before=int(time.time()) - 7000, not_after=int(time.time()) + 600)
        membership = Membership(tmp_path, MembershipRecord(W1, "box", cluster.authority.cluster_id), due)
        renewed: asyncio.Future[Credentials] = asyncio.get_running_loop().create_future()
        disk_fills(worker_membership)
        renewing = asyncio.create_task(keep_renewing(membership, lambda: cluster.service.address, renewed.set_result))
        async with asyncio.timeout(PATIENCE):
            fresh = await renewed
        renewing.cancel()
        assert fresh.identity == present.identity
        assert fresh.key_pem != present.key_pem
        assert membership.credentials == load_credentials(tmp_path / "worker.pem") == fresh

    in_cluster(tmp_path / "scheduler", body)


def test_a_worker_alone_renews_its_own(tmp_path: Path, disk_fills: Callable[[ModuleType], None]) -> None:
    directory = tmp_path / "worker"
    directory.mkdir(mode=0o700)

    async def run() -> None:
        alone = Standalone(directory, "box")
        first = alone.membership.credentials
        again = Standalone(directory, "box")
        assert again.membership.credentials == first  # nothing is due
        renewed: asyncio.Future[Credentials] = asyncio.get_running_loop().create_future()
        again.membership.credentials = replace(first, not_before=0, not_after=1)
        (directory / "worker.pem").unlink()
        disk_fills(standalone)
        renewing = asyncio.create_task(again.keep_renewing(renewed.set_result))
        async with asyncio.timeout(PATIENCE):
            fresh = await renewed
        renewing.cancel()
        assert fresh.identity == first.identity
        assert load_credentials(directory / "worker.pem") == fresh != first

    asyncio.run(run())
