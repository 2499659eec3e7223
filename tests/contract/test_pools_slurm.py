"""What the provider `slurm` asks Slurm's commands for, and makes of their answers; these are scripts here. Real ones
are asked by acceptance/test_pools_slurm.py, under extra_pools."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import ClusterError, InvalidInput
from cluster.domain.pools.slurm_jobs import read_jobs
from cluster.domain.pools.told import MachineState, ToldMachine
from cluster.pools.providers.interface import NewMachine, PoolTable
from cluster.pools.providers.running import EndedProgram, LateError, run_program
from cluster.pools.providers.slurm import SlurmProvider, open_provider

CLUSTER = "0123456789abcdef"
HEADER = "JOBID|STATE|REASON|EXIT_CODE|NAME|\n"
NAME = f"gpu-a1-2.{CLUSTER}"


class Commands:
    """Stand-ins for Slurm's commands. Each notes its words and its input, and answers as its file says."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in ("sbatch", "squeue", "scancel"):
            program = place / name
            program.write_text(
                f'#!/bin/sh\necho "$@" >> {place}/{name}.words\ntest "$1" = --version && echo slurm 23.11.4 && exit\n'
                f"cat > {place}/{name}.fed\n. {place}/{name}.answer\n"
            )
            program.chmod(0o755)
            self.answer(name, "exit 0")
        self.answer("squeue", f"printf '{HEADER}'")

    def answer(self, name: str, script: str) -> None:
        (self.place / f"{name}.answer").write_text(script)

    def words(self, name: str) -> str:
        return (self.place / f"{name}.words").read_text()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Commands(tmp_path)


def provider(**options: Any) -> SlurmProvider:
    amounts = {"mem": (1 << 30) + 1, "gpus": 2}
    return open_provider(
        PoolTable("gpu", "slurm", CLUSTER, "f: pool gpu", options, ["--cpus=1.5"], 60, Path(), 1500, amounts)
    )


def test_a_machine_is_one_job_with_what_its_worker_offers(commands: Commands) -> None:
    async def body() -> None:
        slurm = provider(options=["--partition=p"], program=["/opt/my cluster"], worker=["--listen=none"])
        await slurm.check()
        assert await slurm.start([NewMachine("gpu-a1-2", "it's secret")]) == {}

    asyncio.run(body())
    version, _, submitted = commands.words("sbatch").splitlines()
    assert version == "--version"
    assert submitted == (
        "--parsable --partition=p --nodes=1 --ntasks=1 --no-requeue --output=/dev/null "
        f"--job-name={NAME} --cpus-per-task=2 --mem=1025M --gres=gpu:2"
    )
    script = (commands.place / "sbatch.fed").read_text()
    assert "CLUSTER_WORKER_JOIN='it'\"'\"'s secret' '/opt/my cluster' worker --name=gpu-a1-2 " in script
    assert "secret" not in commands.words("sbatch")


def test_what_slurm_says_of_jobs(commands: Commands) -> None:
    lines = [
        ("7", "PENDING", "Priority", "0", "gpu-a-1"),
        ("8", "PENDING", "PartitionTimeLimit", "0", "gpu-a-2"),
        ("9", "RUNNING", "None", "0", "gpu-a-3"),
        ("10", "CANCELLED", "None", "9", "gpu-a-4"),
        ("11", "FAILED", "NonZeroExitCode", str(127 << 8), "gpu-a-5"),
        ("12", "COMPLETING+", "None", "0", "gpu-a-6"),
        ("13", "LAUNCH_FAILED", "None", "9", "gpu-a-7"),
    ]
    text = HEADER + "".join("|".join(line) + f".{CLUSTER}|\n" for line in lines)
    text += f"14|RUNNING|None|0|gpu-a-8.{'f' * 16}|\n15|RUNNING|None|0|other|gpu-x|\nwith a\nline|\n"
    assert [told.machine for told in read_jobs(text, "gpu", CLUSTER)] == [
        ToldMachine("gpu-a-1", "7", MachineState.STARTING),
        ToldMachine("gpu-a-2", "8", MachineState.BROKEN, "job 8 of Slurm's waits: PartitionTimeLimit"),
        ToldMachine("gpu-a-3", "9", MachineState.RUNNING),
        ToldMachine("gpu-a-5", "11", MachineState.BROKEN, "job 11 of Slurm's has ended: FAILED, with code 127"),
        ToldMachine("gpu-a-6", "12", MachineState.RUNNING),
        ToldMachine("gpu-a-7", "13", MachineState.BROKEN, "job 13 of Slurm's has ended: LAUNCH_FAILED"),
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("echo nonsense", "squeue: it printed 'nonsense' where the names of its fields are due"),
        ("true", "squeue: it printed '' where the names"),
        (f"printf '{HEADER}x|{NAME}|\\n'", f"squeue: it printed 'x|{NAME}|', which is none of its lines"),
        ("echo 'squeue: error: no controller' >&2; exit 1", "squeue: no controller"),
        ("exit 3", "squeue: it ended with code 3"),
        ("yes | head -c 2000000", "squeue: user"),
    ],
)
def test_an_answer_that_is_none_is_not_taken_for_no_jobs(commands: Commands, answer: str, words: str) -> None:
    commands.answer("squeue", answer)
    with pytest.raises(ClusterError) as raised:
        asyncio.run(provider().list())
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "late", "jobs", "words"),
    [
        ("sbatch: error: Invalid account", False, "", "sbatch: Invalid account"),
        ("sbatch: error: Socket timed out on send/recv operation", False, "", ""),
        ("temporarily unable to accept job, sleeping", True, "", "temporarily unable"),
        ("temporarily unable to accept job, sleeping", True, f"7|PENDING|None|0|{NAME}|\\n", ""),
        ("", True, "", ""),
    ],
)
def test_only_what_was_certainly_not_made_is_said_to_be_refused(
    commands: Commands, said: str, late: bool, jobs: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`late`: it says that, and does not end in time."""

    async def run(what: str, command: Sequence[str], *more: Any) -> EndedProgram:
        if late and command[0] == "sbatch":
            raise LateError(said)
        return await run_program(what, command, *more)

    monkeypatch.setattr("cluster.pools.providers.slurm.run_program", run)
    commands.answer("sbatch", f"echo '{said}' >&2; exit 1")
    commands.answer("squeue", f"printf '{HEADER}{jobs}'")
    refused = asyncio.run(provider().start([NewMachine("gpu-a1-2", "t")]))
    assert list(refused) == (["gpu-a1-2"] if words else [])
    assert words in refused.get("gpu-a1-2", "")


def test_what_was_stopped_is_not_told_again(commands: Commands) -> None:
    commands.answer("squeue", f"printf '{HEADER}7|FAILED|None|256|{NAME}|\\n'")

    async def body() -> None:
        slurm = provider()
        assert await slurm.list() == [], "it ended before this one began, and was told then"
        await slurm.start([NewMachine("gpu-a1-2", "t")])
        (machine,) = await slurm.list()
        assert machine.why.endswith("FAILED, with code 1")
        await slurm.stop([machine])
        assert await slurm.list() == []

    asyncio.run(body())
    assert commands.words("scancel") == f"--user {os.geteuid()} --name {NAME}\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"options": ["-p x"]},
            "f: pool gpu: [pool.slurm]: options is '-p x'; it must be options of sbatch in their long",
        ),
        ({"options": ["--array=1-9"]}, "f: pool gpu: [pool.slurm]: options is '--array=1-9'; it must be left out"),
        ({"program": []}, "f: pool gpu: [pool.slurm]: program is []; it must be the words by which"),
        ({"partition": "x"}, "f: pool gpu: [pool.slurm]: unknown key 'partition'; it may have: directory, options,"),
    ],
)
def test_what_is_wrong_in_its_table_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        provider(**options)
    assert str(raised.value).startswith(words)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("slurm 19.05.2", "f: pool gpu: Slurm 19.05 is too old: 20.11 or later is needed"),
        ("bash 5", "f: pool gpu: sbatch is none of Slurm's"),
    ],
)
def test_a_slurm_that_is_too_old_is_told(commands: Commands, version: str, words: str) -> None:
    (commands.place / "sbatch").write_text(f"#!/bin/sh\necho {version}\n")
    with pytest.raises(ClusterError) as raised:
        asyncio.run(provider().check())
    assert str(raised.value) == words
