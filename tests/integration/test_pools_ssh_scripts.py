"""What the provider `ssh` has a host do, by a stand-in for ssh that runs it here, in a home of the test's own."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from cluster.domain.pools.told import MachineState
from cluster.pools.providers.interface import NewMachine, PoolTable, Provider
from cluster.pools.providers.ssh import open_provider

pytestmark = pytest.mark.skipif(not shutil.which("flock"), reason="needs flock (apt-get install util-linux)")

CLUSTER = "0123456789abcdef"
SSH = """#!/bin/sh
for last; do :; done
cd {home} && sh -c "$last"
code=$?
test -e {broken} && exit 255
exit $code
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the one host. Where a file `broken` is beside it, connections break when all was done."""
    home, programs = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    programs.mkdir()
    (programs / "ssh").write_text(SSH.format(home=home, broken=tmp_path / "broken"))
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return home


def provider() -> Provider:
    options = {"hosts": ["one"], "program": ["sh", "-c", "trap 'kill $!; exit' TERM; sleep 600 & wait", "cluster"]}
    return open_provider(PoolTable("hosts", "ssh", CLUSTER, "pools.toml: pool hosts", options))


def test_a_machine_that_was_stopped_leaves_its_host_free(home: Path) -> None:
    """Also in the directory that is usual, which is told from the user's home on."""

    async def body() -> None:
        hosts = provider()
        await hosts.check()
        assert await hosts.start([NewMachine("hosts-a-1", "token")]) == {}
        (machine,) = await hosts.list()
        assert (machine.name, machine.state) == ("hosts-a-1", MachineState.RUNNING)
        await hosts.stop([machine])
        assert await hosts.list() == []
        assert list((home / ".cluster-pools").iterdir()) == []

    asyncio.run(body())


def test_a_start_whose_connection_breaks_is_not_said_to_have_failed(home: Path, tmp_path: Path) -> None:
    async def body() -> None:
        hosts = provider()
        await hosts.check()
        (tmp_path / "broken").touch()
        assert await hosts.start([NewMachine("hosts-a-1", "token")]) == {}
        assert "none of 1 hosts is free" in (await hosts.start([NewMachine("hosts-a-2", "token")]))["hosts-a-2"]
        (tmp_path / "broken").unlink()
        (machine,) = await hosts.list()
        assert machine.name == "hosts-a-1"
        await hosts.stop([machine])

    asyncio.run(body())
