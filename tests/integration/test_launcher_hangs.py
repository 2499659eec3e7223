"""A file system that hangs holds up what uses it, and nothing else. Real processes."""

from pathlib import Path

import pytest

from tests.integration.hung_mount import available, hung_mount
from tests.integration.launchers import Lab, one, run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not available(), reason="needs root and /dev/fuse to mount")]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_directory_that_hangs_holds_up_one_slot(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(millicpus=2000) as agent:
            with hung_mount(lab.root / "hung") as hung:
                stuck = one(agent, lab.template("true", cwd=str(hung)))
                for index in range(1, 20):
                    assert (await agent.end_of(one(agent, lab.template("true"), f"1.{index}#1"))).reason == "ok"
                assert stuck not in agent.ends()
            end = await agent.end_of(stuck)
            assert (end.reason, "as working directory" in end.text) == ("launch_failed", True)

    run(main())


def test_a_program_that_hangs_as_it_is_read_holds_up_one_slot_and_can_be_stopped(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(millicpus=2000) as agent:
            with hung_mount(lab.root / "hung") as hung:
                stuck = one(agent, lab.template(str(hung / "program")))
                for index in range(1, 20):
                    assert (await agent.end_of(one(agent, lab.template("true"), f"1.{index}#1"))).reason == "ok"
                agent.client.stop([stuck], grace=0)
            assert (await agent.end_of(stuck)).reason in ("cancelled", "launch_failed", "returned")

    run(main())


def test_a_launcher_that_dies_waits_for_no_slot_that_hangs(lab: Lab) -> None:
    """What cannot die yet runs no code of its own either: the next launcher starts beside it."""

    async def main() -> None:
        with hung_mount(lab.root / "hung") as hung:
            agent = await lab.connect()
            stuck = one(agent, lab.template("true", cwd=str(hung)))
            await agent.end_of(one(agent, lab.template("true"), "1.1#1"))
            await lab.kill_launcher(agent)
            async with lab.agent() as later:
                assert (await later.end_of(one(later, lab.template("true"), "1.2#1"))).reason == "ok"
                assert later.ends().get(stuck) is None or later.ends()[stuck].reason == "lost"

    run(main())
