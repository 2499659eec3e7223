"""A user's certificate that is past the middle of its life is renewed by using it."""

import json
import time
from pathlib import Path

import pytest

from cluster.client import AsyncClient
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind
from cluster.pki.files import load_credentials, private_directory, save_credentials, write_private
from tests.integration.schedulers import Cluster, in_cluster

DAY = 86400.0


def test_use_renews_what_is_due_and_leaves_what_is_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("CLUSTER_HOME", str(home))

    async def body(cluster: Cluster) -> None:
        old = await after_one_call(cluster, home, age=25 * DAY)
        assert load_credentials(home / "user" / "credentials.pem").not_after > old.not_after + 24 * DAY
        fresh = await after_one_call(cluster, home, age=1 * DAY)
        assert load_credentials(home / "user" / "credentials.pem") == fresh

    in_cluster(tmp_path / "cluster", body)


async def after_one_call(cluster: Cluster, home: Path, age: float) -> Credentials:
    """Logs in with a certificate of that age, lists the jobs, and returns what was logged in with."""
    authority = cluster.authority
    used = authority.issue(authority.identity(IdentityKind.USER, "admin"), time.time() - age)
    place = private_directory(home / "user")
    save_credentials(place / "credentials.pem", used)
    write_private(place / "cluster.json", json.dumps({"scheduler": cluster.service.address}).encode())
    async with AsyncClient.connect() as client:
        assert await client.list() == ()
    return used
