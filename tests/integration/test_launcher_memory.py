"""Limits on the memory of attempts: what takes more ends, is called so, and leaves nothing behind. Real cgroups."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.job import endings
from cluster.domain.launcher.messages import Ended
from cluster.domain.launcher.template import Template
from cluster.domain.session.offer import Offer
from cluster.launcher.memory_groups import MemoryGroups
from tests.integration.fifos import reach
from tests.integration.launchers import Lab, one, run

M = 1 << 20
OFFER = Offer((("mem", 1024 * M),))
EAT = "import sys; x = bytearray(int(sys.argv[1]) << 20); print(len(x))"
HERE = MemoryGroups("cluster-test-")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not HERE.can_limit, reason="no cgroup that limits memory can be made here (root, or delegation)"
    ),
]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def eating(lab: Lab, mebibytes: int, limit: int, **more: Any) -> Template:
    return lab.template(sys.executable, "-c", EAT, str(mebibytes), amounts=(("mem", limit * M),), **more)


def left(lab: Lab) -> Sequence[str]:
    """Groups that limit the memory of anything of the lab."""
    from cluster.launcher.orphans import identity

    return [name for name in os.listdir(HERE.place) if name.startswith(f"cluster-{identity(lab.directory)}-")]


def attempts_in_groups(lab: Lab) -> Sequence[str]:
    """The names of processes in these groups that are no slots: a slot waits in the group of its next attempt."""
    pids = [pid for name in left(lab) for pid in Path(HERE.place, name, "cgroup.procs").read_text().split()]
    names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]
    return [name for name in names if name != "cluster-slot"]


def test_what_takes_more_than_it_asked_for_ends_as_oom(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(offer=OFFER) as agent:
            assert agent.hello.limits_memory
            greedy = await agent.end_of(one(agent, eating(lab, 200, 64), "1.0#1"))
            assert (greedy.reason, greedy.signal, greedy.code) == (endings.OOM, "SIGKILL", None)
            assert 40 * 1024 < greedy.peak <= 64 * 1024, "KiB, as the kernel counted them"
            modest = await agent.end_of(one(agent, eating(lab, 20, 64), "1.1#1"))
            assert modest.reason == endings.OK
            assert 20 * 1024 < modest.peak <= 64 * 1024
            free = await agent.end_of(one(agent, lab.template(sys.executable, "-c", EAT, "200"), "1.2#1"))
            assert free.reason == endings.OK, "who asks for none has no limit, in the same slot and its next group"
            assert not left(lab)

    run(main())


def test_a_limit_is_of_all_that_an_attempt_starts_together(lab: Lab) -> None:
    script = f"{sys.executable} -c '{EAT}' 200; echo $?; exit $1"

    async def main() -> None:
        async with lab.agent(offer=OFFER) as agent:
            ends: list[Ended] = []
            for index, code in enumerate("05"):
                template = lab.template("sh", "-c", script, "sh", code, amounts=(("mem", 64 * M),))
                ends.append(await agent.end_of(one(agent, template, f"1.{index}#1")))
        assert [(end.reason, end.code) for end in ends] == [(endings.OK, 0), (endings.OOM, 5)]
        assert lab.output("0.1") == lab.output("1.1") == "137\n", "its child was killed; who left with 0 had coped"

    run(main())


def test_a_cancel_is_no_oom_and_takes_all_with_it(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(offer=OFFER) as agent:
            fifo = lab.fifo()
            key = one(agent, lab.shell(f"echo $$ > {fifo}; sleep 1000", amounts=(("mem", 64 * M),)))
            await reach(fifo)
            assert attempts_in_groups(lab)
            agent.client.stop([key])
            assert (await agent.end_of(key)).reason == endings.CANCELLED
            assert not attempts_in_groups(lab)

    run(main())


def test_what_a_dead_launcher_left_is_removed_by_the_next(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(offer=OFFER) as agent:
            fifo = lab.fifo()
            one(agent, lab.shell(f"echo $$ > {fifo}; sleep 1000", amounts=(("mem", 64 * M),)))
            await reach(fifo)
            await lab.kill_launcher(agent, alone=False)
            assert left(lab)
            later = await lab.connect(offer=OFFER)
            assert not left(lab)
            assert not lab.processes()
            end = await later.end_of(one(later, eating(lab, 200, 64), "1.1#1"))
            assert end.reason == endings.OOM, end.text

    run(main())
