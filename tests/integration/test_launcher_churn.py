"""Slots that come and go: none is kept without need, none hangs on as a zombie. Real processes."""

import asyncio
import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from cluster.domain.launcher.slots import IDLE_SLOTS
from cluster.domain.launcher.template import Template
from cluster.launcher import client, tree
from cluster.launcher.client import default_command
from tests.integration.grounds import PYTHON, Ground, missing
from tests.integration.launchers import Agent, Lab, Watched, one, run

pytestmark = pytest.mark.slow
SETUID_SLEEP = "import os, time; os.setresuid(0, 0, 0); time.sleep(1000)"


def children(agent: Agent) -> list[int]:
    """Of the launcher, dead ones that nobody has waited for as well."""
    return tree._children(agent.hello.pid) or []


@pytest.mark.parametrize("users", [1, 40])
def test_few_slots_are_kept_and_no_zombie(tmp_path: Path, users: int) -> None:
    if users > 1 and os.geteuid() != 0:
        pytest.skip("only root can run a command as somebody else")
    lab = Lab(tmp_path)

    def template(index: int) -> Template:
        who = {"uid": 20000 + index, "gid": 20000 + index} if users > 1 else {}
        return lab.template("sleep", "1000", cpus=0, cwd="/", **who)

    async def main() -> None:
        async with lab.agent() as agent:
            for turn in range(3):
                keys = [one(agent, template(index), f"{turn}.{index}#1") for index in range(40)]
                for key in keys:
                    await agent.start_of(key)
                assert len(children(agent)) == 40 + 1
                agent.client.stop(keys, grace=0)
                for key in keys:
                    await agent.end_of(key)
                while len(children(agent)) > IDLE_SLOTS + 1:  # noqa: ASYNC110 (the others have been told to end)
                    await asyncio.sleep(0.01)
                assert all(process and process.is_alive for process in map(tree.read_process, children(agent)))
                shutil.rmtree(lab.outputs)
                lab.outputs.mkdir()

    run(main())


def test_no_signal_that_the_starter_ignored_is_ignored_by_a_job(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    starter = ["sh", "-c", "trap '' HUP INT ALRM USR1 TSTP WINCH PROF; exec \"$@\"", "sh", *default_command()]

    async def main() -> None:
        agent = await lab.connect(command=starter)
        await agent.end_of(one(agent, lab.template("grep", "SigIgn", "/proc/self/status")))
        own = 1 << 31 | 1 << 32  # signals 32 and 33 belong to glibc, which sets them up itself
        assert int(lab.output("0.1").split()[1], 16) & ~own == 0
        await lab.quit()

    run(main())


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_what_a_worker_may_not_kill_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of root's that a job of a worker that is not root has started (docs/limits.md)."""
    monkeypatch.setattr(client, "peer_uid", lambda connection: os.geteuid())

    async def main() -> None:
        program = ground.root / "setuid-python"
        shutil.copy(PYTHON, program)
        program.chmod(0o4755)
        async with ground.agent() as agent:
            fifo = ground.fifo()
            code = SETUID_SLEEP.replace("time.sleep", f"open({str(fifo)!r}, 'w').write(str(os.getpid())); time.sleep")
            script = f'setsid {program} -I -S -c "{code}" & read x < {fifo}; echo $x'
            assert (await agent.end_of(one(agent, ground.shell(script), "1.1#1"))).reason == "ok"
            root = Watched((ground.outputs / "1.1.out").read_text())
            assert not root.is_gone()
            assert (
                "run on: of another user, we may not kill them" in (ground.root / "launcher/launcher.log").read_text()
            )
            assert (await agent.end_of(one(agent, ground.template("true"), "1.2#1"))).reason == "ok"

    with closing(Ground("own", "none")) as ground:
        run(main())
