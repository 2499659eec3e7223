"""What the provider `ssh` has a host do, by a stand-in for ssh that runs it here, in a home of the test's own."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from cluster.domain.pools.told import MachineState
from cluster.pools.providers.interface import NewMachine, PoolTable, Provider, ProviderError
from cluster.pools.providers.ssh import _told, open_provider

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


def test_a_machine_that_goes_while_it_is_looked_at_is_not_there(home: Path, tmp_path: Path) -> None:
    async def body() -> None:
        hosts = provider()
        await hosts.check()
        await hosts.start([NewMachine("hosts-a-1", "token")])
        (machine,) = await hosts.list()
        gone = tmp_path / "gone"
        goes = f"test $# = 0 || mv {home}/.cluster-pools/{CLUSTER}-hosts {gone} 2> /dev/null"
        (tmp_path / "bin" / "cat").write_text(f'#!/bin/sh\n{goes}\nexec {shutil.which("cat")} "$@"\n')
        (tmp_path / "bin" / "cat").chmod(0o755)
        assert await hosts.list() == []
        (tmp_path / "bin" / "cat").unlink()
        gone.rename(home / ".cluster-pools" / f"{CLUSTER}-hosts")
        await hosts.stop([machine])

    asyncio.run(body())


@pytest.mark.parametrize("answer", ["Welcome", "Welcome to one", "running"])
def test_what_a_shell_writes_at_its_start_is_told(answer: str) -> None:
    with pytest.raises(ProviderError, match=f"host one: it answered '{answer}': a shell may write nothing"):
        _told("one", answer)


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
