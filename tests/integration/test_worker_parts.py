"""The small parts of the agent that touch the system: scripts, capacity, environment, following files."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from cluster.domain.base.errors import ClusterError, InvalidInput, NotFound
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import DEFAULT_MAX_OUTPUT, JobSpec
from cluster.domain.session.messages import Report, Welcome
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.held_attempts import HeldAttempts
from cluster.domain.worker.messages import (
    AckJournal,
    Define,
    OpenSession,
    SendReport,
    SessionEnded,
)
from cluster.domain.worker.report_making import SMALL_OUTPUT
from cluster.launcher.client import LauncherUnavailable
from cluster.v1 import scheduler_pb2
from cluster.worker import launcher_keeper, scheduler_link
from cluster.worker import templates as templates_module
from cluster.worker.agent import Agent
from cluster.worker.capacity import available_millicpus, found_gpus
from cluster.worker.hooks import Scheduler
from cluster.worker.launcher_link import LauncherLink
from cluster.worker.output import files as outputs_module
from cluster.worker.output import inotify as watch
from cluster.worker.output import lanes as lanes_module
from cluster.worker.output import pushing as keeping_module
from cluster.worker.output.files import Outputs
from cluster.worker.output.inotify import Watcher
from cluster.worker.output.job_file import StreamFile
from cluster.worker.output.lanes import Lanes
from cluster.worker.output.live_transfers import Messages
from cluster.worker.output.pushing import Outcome, OutputPushes
from cluster.worker.output.readers import OutputPhase, Readers, Wanted
from cluster.worker.scripts import resolve_script
from cluster.worker.session import Session
from cluster.worker.templates import RunAs, Templates, base_environment
from tests.faults import no_descriptor_left
from tests.patience import PATIENCE

KEY = AttemptKey(5, 0, 1)


# -- scripts


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    (folder / "sub").mkdir(parents=True)
    (folder / "count.sh").touch()
    (folder / "sub" / "deep.sh").touch()
    (tmp_path / "outside.sh").touch()
    (tmp_path / "scripts-too").mkdir()
    (tmp_path / "scripts-too" / "near.sh").touch()
    (folder / "inner.sh").symlink_to("sub/deep.sh")
    (folder / "out.sh").symlink_to("../outside.sh")
    (folder / "near.sh").symlink_to("../scripts-too/near.sh")
    (folder / "up").symlink_to("..")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize(
    ("path", "found"),
    [("count.sh", "count.sh"), ("sub/deep.sh", "sub/deep.sh"), ("./count.sh", "count.sh"), ("inner.sh", "sub/deep.sh")],
)
def test_a_script_inside_is_found(scripts: Path, path: str, found: str) -> None:
    assert resolve_script(scripts, path) == str(scripts / found)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../outside.sh", "leaves the scripts folder"),
        ("sub/../../outside.sh", "leaves the scripts folder"),
        ("sub/../count.sh", "leaves the scripts folder"),
        ("/etc/passwd", "leaves the scripts folder"),
        ("out.sh", "is a link that leads outside"),
        ("near.sh", "is a link that leads outside"),
        ("up/outside.sh", "is a link that leads outside"),
        ("count.sh\0", "the name of no file"),
        (".", "no regular file"),
        ("sub", "no regular file"),
        ("pipe", "no regular file"),
        ("loop", "cannot be followed"),
        ("count.sh/x", "cannot be followed"),
    ],
)
def test_a_script_outside_is_refused(scripts: Path, path: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        resolve_script(scripts, path)


def test_a_script_that_is_not_there_is_said_to_be_missing(scripts: Path) -> None:
    with pytest.raises(NotFound, match=r"no script 'none\.sh'"):
        resolve_script(scripts, "none.sh")
    with pytest.raises(NotFound, match="start it with --scripts"):
        resolve_script(None, "count.sh")


# -- templates


def test_a_template_is_the_command_in_an_allow_listed_environment(tmp_path: Path, scripts: Path) -> None:
    environ = {"PATH": "/bin", "LC_ALL": "C", "CLUSTER_JOB": "9", "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/root"}
    base = base_environment(environ, RunAs(12, 13, {"HOME": "/home/x"}))
    templates = Templates(tmp_path / "jobs", tmp_path / "work", scripts, base, RunAs(12, 13))
    spec = JobSpec(("bash",), script="count.sh", script_args=("3",), env=(("A", "1"), ("CLUSTER_JOB", "8")), timeout=2)
    lanes = Lanes()
    for script in ("count.sh", "out.sh"):
        asyncio.run(templates.find_script(script, lanes))
    lanes.close()
    template = templates.make(5, "uuid", spec, 45.0)
    assert template.argv == ("bash", str(scripts / "count.sh"), "3")
    assert dict(template.env) == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "HOME": "/home/x",
        "A": "1",
        "CLUSTER_JOB": "5",
        "CLUSTER_JOB_ID": "uuid",
        "CLUSTER_JOB_NAME": "",
        "CLUSTER_CPUS": "1",
        "CLUSTER_TASK_COUNT": "1",
        "CLUSTER_TASK_MIN": "0",
        "CLUSTER_TASK_MAX": "0",
    }
    array = JobSpec(("ls",), name="sweep", millicpus=500, array=(ArraySegment(7, 11, 2), ArraySegment(2, 2)))
    told = dict(templates.make(5, "uuid", array, None).env)
    words = ("JOB_NAME", "CPUS", "TASK_COUNT", "TASK_MIN", "TASK_MAX")
    assert [told[f"CLUSTER_{word}"] for word in words] == ["sweep", "0.5", "4", "2", "11"]
    assert (template.outputs, template.cwd) == (str(tmp_path / "jobs/5"), str(tmp_path / "work/5"))
    assert (template.fresh_cwd, template.timeout, template.leash, template.uid) == (True, 2, 45.0, 12)
    assert template.refusal == ""
    assert not templates.make(5, "uuid", JobSpec(("ls",), cwd="/tmp"), None).fresh_cwd
    assert "leads outside" in templates.make(5, "uuid", JobSpec((), script="out.sh"), None).refusal
    (scripts / "count.sh").unlink()
    assert "count.sh" in templates.make(6, "another", spec, 45.0).argv[1], "what one job has looked for serves others"


# -- capacity


@pytest.mark.parametrize(
    ("own", "files", "most"),
    [
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1500),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "50000 100000"}, 500),
        ("4:cpu,cpuacct:/x\n0::/\n", {"cpu/x/cpu.cfs_quota_us": "25000", "cpu/x/cpu.cfs_period_us": "100000"}, 250),
        ("4:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/x\n", {"x/cpu.max": "1000 100000"}, None),
    ],
)
def test_capacity_is_what_the_kernel_grants(tmp_path: Path, own: str, files: dict[str, str], most: int | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    (tmp_path / "own").write_text(own)
    granted = len(os.sched_getaffinity(0)) * 1000
    assert available_millicpus(tmp_path, tmp_path / "own") == min(granted, most or granted)


NVIDIA_SMI = """#!/bin/sh
# As its manual has it: --query-gpu=NAMES --format=csv[,noheader][,nounits]; 2: a wrong argument.
test "$*" = "--query-gpu=index --format=csv,noheader" || { echo "Invalid combination of input arguments."; exit 2; }
"""


@pytest.mark.parametrize(
    ("does", "found"),
    [
        ("echo 0; echo 1", ("0", "1")),
        ("echo 7", ("7",)),
        ("echo 'No devices were found'; exit 6", ()),
        (
            "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9",
            "could not communicate with the NVIDIA driver.; name them with --gpus, or give --gpus 0",
        ),
        ("echo '[Unknown Error]'", "'[Unknown Error]'"),
        ("exit 15", "which gpus there are: exit code 15; name them with --gpus, or give --gpus 0"),
    ],
)
def test_gpus_are_those_that_nvidia_smi_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, found: tuple[str, ...] | str
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"{NVIDIA_SMI}{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if isinstance(found, tuple):
        assert found_gpus() == found
        return
    with pytest.raises(ClusterError, match="nvidia-smi does not say which gpus there are: ") as refused:
        found_gpus()
    assert found in str(refused.value)
    assert "\n" not in str(refused.value)


def test_where_there_is_no_nvidia_smi_there_are_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found_gpus() == ()


# -- readers


class Desk:
    """Readers of one attempt, whose phase the test sets."""

    def __init__(self, root: Path) -> None:
        (root / "jobs" / "5").mkdir(parents=True)
        self.out = root / "jobs" / "5" / "0.1.out"
        self.phase = OutputPhase.RUNNING
        self.outputs = Outputs(root / "jobs", root / "work")
        self.watcher = Watcher()
        self.readers = Readers(self.outputs, self.watcher, lambda key: self.phase)

    def write(self, data: bytes) -> None:
        with self.out.open("ab") as file:
            file.write(data)

    def becomes(self, phase: OutputPhase) -> None:
        self.phase = phase
        self.readers.changed(KEY)

    async def read(self, **wanted: object) -> bytes:
        return b"".join([chunk.data async for chunk in self.readers.read(KEY, Wanted(**wanted))])  # type: ignore[arg-type]


def at_desk(root: Path, body: Callable[[Desk], "asyncio.Future[None] | object"]) -> None:
    async def run() -> None:
        desk = Desk(root)
        try:
            async with asyncio.timeout(PATIENCE):
                await body(desk)  # type: ignore[misc]
        finally:
            desk.watcher.close()
            desk.outputs.close()

    asyncio.run(run())


def test_a_follower_sees_each_write_and_stops_at_the_end(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        desk.write(b"one\n")
        chunks = desk.readers.read(KEY, Wanted())
        assert (await anext(chunks)).data == b"one\n"
        following = asyncio.ensure_future(anext(chunks))
        desk.write(b"two\n")  # only inotify tells
        assert (await following).data == b"two\n"
        desk.write(b"three\n")
        desk.becomes(OutputPhase.ENDED)
        assert [chunk.data async for chunk in chunks] == [b"three\n"]
        assert not desk.readers.any

    at_desk(tmp_path, body)


@pytest.mark.parametrize("call", ["inotify_init1", "inotify_add_watch"])
def test_a_follower_sees_each_write_where_inotify_has_nothing_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    class Exhausted:
        def __getattr__(self, name: str) -> Callable[..., int]:
            return (lambda *_: -1) if name == call else getattr(libc, name)

    libc = watch._libc
    monkeypatch.setattr(watch, "_libc", Exhausted())

    async def body(desk: Desk) -> None:
        desk.write(b"one\n")
        chunks = desk.readers.read(KEY, Wanted())
        assert (await anext(chunks)).data == b"one\n"
        following = asyncio.ensure_future(anext(chunks))
        desk.write(b"two\n")  # nobody tells
        assert (await following).data == b"two\n"
        desk.becomes(OutputPhase.ENDED)
        assert [chunk.data async for chunk in chunks] == []

    at_desk(tmp_path, body)
    assert [record.message.partition(" (")[0] for record in caplog.records] == ["inotify refused"]


def test_a_follower_waits_for_what_has_not_started(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        desk.phase = OutputPhase.UNSTARTED
        following = asyncio.ensure_future(desk.read())
        await asyncio.sleep(0)
        desk.write(b"late\n")
        desk.becomes(OutputPhase.ENDED)
        assert await following == b"late\n"

    at_desk(tmp_path, body)


def test_files_may_go_while_somebody_reads_them(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        desk.write(b"x" * 200_000)
        desk.phase = OutputPhase.ENDED
        chunks = desk.readers.read(KEY, Wanted())
        size = len((await anext(chunks)).data)
        desk.out.unlink()
        async for chunk in chunks:
            size += len(chunk.data)
        assert size == 200_000

    at_desk(tmp_path, body)


def test_output_that_is_just_being_removed_is_read_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its report has taken it along: a reader of the one stream that is left would take the other for empty."""
    removed, go_on = threading.Event(), threading.Event()

    def unlink_slowly(path: str) -> None:
        os.unlink(path)
        removed.set()
        go_on.wait(PATIENCE)

    async def body(desk: Desk) -> None:
        desk.write(b"out")
        desk.out.with_suffix(".err").write_bytes(b"err")
        desk.phase = OutputPhase.UNKNOWN
        with monkeypatch.context() as patch:
            patch.setattr("cluster.worker.output.files._unlink", unlink_slowly)
            desk.outputs.remove((KEY,))
            await asyncio.to_thread(removed.wait, PATIENCE)
            try:
                with pytest.raises(NotFound):
                    await desk.read()
                assert not desk.outputs.exist(KEY)  # nor is what is left to be pushed
            finally:
                go_on.set()

    at_desk(tmp_path, body)


def test_output_whose_removal_ends_while_it_is_opened_is_not_taken_for_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had begun before: `.out` was still there when it was opened, and nothing is going any more afterwards."""
    opened, go_on = Readers._open_one, threading.Event()

    def unlink_late(path: str) -> None:
        go_on.wait(PATIENCE)
        os.unlink(path)

    async def body(desk: Desk) -> None:
        async def open_one(readers: Readers, key: AttemptKey, file: StreamFile) -> bool:
            found = await opened(readers, key, file)
            go_on.set()
            while desk.outputs.are_going(KEY):  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0)
            return found

        desk.write(b"out")
        desk.out.with_suffix(".err").write_bytes(b"err")
        desk.phase = OutputPhase.UNKNOWN
        with monkeypatch.context() as patch:
            patch.setattr(Readers, "_open_one", open_one)
            patch.setattr("cluster.worker.output.files._unlink", unlink_late)
            desk.outputs.remove((KEY,))
            with pytest.raises(NotFound):
                await desk.read()

    at_desk(tmp_path, body)


def test_output_that_is_removed_while_it_is_opened_is_not_taken_for_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Readers._open_one

    async def body(desk: Desk) -> None:
        async def open_one(readers: Readers, key: AttemptKey, file: StreamFile) -> bool:
            found = await opened(readers, key, file)
            if file.path.endswith(".out"):
                desk.outputs.remove((KEY,))
                while desk.outputs.are_going(KEY):  # noqa: ASYNC110 (there is no event for it)
                    await asyncio.sleep(0)
            return found

        desk.write(b"out")
        desk.out.with_suffix(".err").write_bytes(b"err")
        desk.phase = OutputPhase.UNKNOWN
        monkeypatch.setattr(Readers, "_open_one", open_one)
        with pytest.raises(NotFound):
            await desk.read()
        assert not desk.outputs._opening

    at_desk(tmp_path, body)


@pytest.mark.parametrize(
    ("content", "tail", "expected"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\nc\n", 0, b""),
        (b"a\nb\nc\n", 9, b"a\nb\nc\n"),
        (b"\n\n\n", 1, b"\n"),
        (b"", 3, b""),
        (b"x" * 200_000 + b"\nlast\n", 1, b"last\n"),
        (b"x" * 200_000 + b"\nlast\n", 2, b"x" * 200_000 + b"\nlast\n"),
        (b"first\n" + b"x" * 200_000, 1, b"x" * 200_000),
    ],
)
def test_the_tail_is_the_last_lines(tmp_path: Path, content: bytes, tail: int, expected: bytes) -> None:
    async def body(desk: Desk) -> None:
        desk.write(content)
        desk.phase = OutputPhase.ENDED
        assert await desk.read(tail=tail, stderr=False) == expected

    at_desk(tmp_path, body)


def test_a_reader_may_begin_in_the_middle(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        desk.write(b"one two")
        desk.phase = OutputPhase.ENDED
        assert await desk.read(start=(4, 0)) == b"two"
        assert await desk.read(start=(7, 0)) == await desk.read(start=(9, 0)) == b""

    at_desk(tmp_path, body)


def test_an_attempt_that_is_not_here_has_no_output(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        desk.phase = OutputPhase.UNKNOWN
        with pytest.raises(NotFound, match="no output of attempt 1 of the task at index"):
            await desk.read()
        desk.phase = OutputPhase.ENDED
        assert await desk.read() == b""  # it was empty, and so it was removed

    at_desk(tmp_path, body)


def test_what_an_earlier_agent_left_is_found_and_its_directories_are_removed(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    for name in (
        "jobs/5/0.1.out",
        "jobs/5/0.1.err",
        "jobs/5/3.2.out",
        "jobs/0/1.1.out",
        "work/5/0.1/x",
        "work/5/3.2/x",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "work" / "6.kept").mkdir()  # its results are where they belong, and the agent was killed just then
    held = {AttemptKey(5, 3, 2)}
    assert outputs.ended_before(outputs.look_back(), held) == [KEY]  # jobs of the own API keep theirs
    outputs.remove((KEY,))
    outputs.close()
    assert not (tmp_path / "work" / "6.kept").exists()
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*/*"))
    assert left == ["jobs/0/1.1.out", "jobs/5/3.2.out", "work/5/3.2"]


def test_no_directory_that_a_job_leaves_ends_the_tidying_up(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    directory = tmp_path / "work" / "5" / "0.1"
    directory.mkdir(parents=True)
    nested = f"for n in range({2 * sys.getrecursionlimit()}): os.mkdir('d'); os.chdir('d')"
    subprocess.run([sys.executable, "-c", f"import os\n{nested}"], cwd=directory, check=True)
    (tmp_path / "jobs" / "5").mkdir(parents=True)
    (tmp_path / "jobs" / "5" / "0.1.out").touch()
    outputs.remove_work([KEY])
    outputs.remove((KEY,))
    outputs.close()
    assert list(tmp_path.glob("*/*/*")) == []


def test_what_cannot_be_removed_keeps_nothing_else_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr(subprocess, "run", fails)
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    for path in ("work/5/0.1/left", "jobs/5/0.1.out"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    outputs.remove_work([KEY])
    outputs.remove((KEY,))
    outputs.close()
    assert [path.name for path in tmp_path.glob("*/5/*")] == ["0.1"]


def test_what_hangs_as_it_is_removed_holds_up_no_other_job_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A job may leave a file system of its own in its directory, that does not answer."""
    hangs, go_on = threading.Semaphore(0), threading.Event()

    def hang(*_: object, **__: object) -> None:
        hangs.release()
        go_on.wait(PATIENCE)

    monkeypatch.setattr(subprocess, "run", hang)
    monkeypatch.setattr(outputs_module, "PATIENCE", 0.1)
    monkeypatch.setattr(lanes_module, "STUCK", 0.0)
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    for path in ("work/5/0.1/left", "work/6/0.1/left", "work/7/0.1/left", "jobs/8/0.1.out"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    outputs.remove_work([AttemptKey(job, 0, 1) for job in (5, 6, 7)])
    for _ in range(3):
        assert hangs.acquire(timeout=PATIENCE)
    outputs.remove((AttemptKey(8, 0, 1),))
    outputs.close()
    assert list(tmp_path.glob("jobs/*/*")) == []
    assert ["cannot be removed now" in message for message in caplog.messages] == [True]
    go_on.set()


# -- small outputs


def test_small_output_is_read_whatever_a_job_did_to_its_files(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    directory = tmp_path / "jobs" / "5"
    directory.mkdir(parents=True)
    (directory / "0.1.out").write_bytes(b"x" * (SMALL_OUTPUT + 1))  # somebody wrote on after the end
    (directory / "0.1.err").mkdir()
    small = outputs.read_small(KEY)
    outputs.close()
    assert (small.stdout, small.stderr) == (b"x" * SMALL_OUTPUT, b"")


# -- keeping output


def keeper(outputs: Outputs, limit: int = DEFAULT_MAX_OUTPUT) -> OutputPushes:
    """With a session that is open, over which the tests push in their own way."""
    session = Mock()
    return OutputPushes(outputs, Lanes(), lambda: session, lambda _: limit)


@pytest.mark.parametrize("refused", [True, False])
def test_output_is_called_refused_only_where_no_report_took_it_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refused: bool
) -> None:
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    file = Path(outputs.path(KEY, ".out"))
    file.parent.mkdir(parents=True)
    file.touch()

    async def push(*_: object) -> None:
        if not refused:
            os.unlink(file)
        raise NotFound("no such output")

    async def body() -> None:
        pushing = keeper(outputs)
        pushing.add((KEY,))
        await pushing.settle(PATIENCE)

    monkeypatch.setattr(keeping_module, "push", push)
    asyncio.run(body())
    outputs.close()
    assert ["refused" in message for message in caplog.messages] == [True] * refused


def test_output_that_ends_just_when_all_other_is_pushed_is_pushed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one who pushed has looked for more, and not been taken from the list yet."""
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    late = KEY._replace(index=1)
    for key in (KEY, late):
        file = Path(outputs.path(key, ".out"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    pushed = []

    async def push(pushing: OutputPushes, key: AttemptKey, *_: object) -> Outcome:
        pushed.append(key)
        if key == KEY:
            asyncio.get_running_loop().call_soon(pushing.add, (late,))
        return Outcome.SETTLED

    async def body() -> None:
        pushing = keeper(outputs)
        pushing.add((KEY,))
        await pushing.settle(PATIENCE)
        await pushing.settle(PATIENCE)

    monkeypatch.setattr(OutputPushes, "_push", push)
    asyncio.run(body())
    outputs.close()
    assert pushed == [KEY, late]


def test_small_output_that_cannot_be_read_just_now_is_reported_by_the_next_session(tmp_path: Path) -> None:
    """Reported as empty it would be removed once the report was acknowledged."""
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    (tmp_path / "jobs" / "5").mkdir(parents=True)
    (tmp_path / "jobs" / "5" / "0.1.out").write_bytes(b"said")
    session = Mock()

    async def body() -> None:
        agent = Agent(WorkerCore(1000), Mock(), Mock(), outputs, None, Mock())
        agent._scheduler.session = session
        closed = asyncio.Event()
        session.close.side_effect = lambda _: closed.set()
        with no_descriptor_left():
            agent.pipeline._perform(SendReport(1, Report(sequence=7), (KEY,)))
            await asyncio.wait_for(closed.wait(), PATIENCE)
        agent.close()

    asyncio.run(body())
    outputs.close()
    session.close.assert_called_once_with("no output can be read for a report: Too many open files")
    session.send.assert_not_called()


def test_a_scheduler_whose_epoch_cannot_be_saved_just_now_is_not_obeyed_but_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(session: Session) -> None:
        await session._listener.received(session.number, [Welcome(7, 15.0)])

    async def body() -> None:
        hooks = Mock()
        hooks.save_epoch.side_effect = full = ClusterError("worker.json cannot be written: No space left on device")
        agent = Agent(WorkerCore(1000), Mock(), Mock(), outputs, Mock(), hooks)
        agent.pipeline._perform(OpenSession(1))
        session = agent._scheduler.session
        assert session
        await session.finished()
        assert [type(event) for event in agent.pipeline._inbox] == [SessionEnded]
        hooks.refused.assert_called_once_with(full)
        agent.close()

    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    monkeypatch.setattr(Session, "_run", run)
    asyncio.run(body())
    outputs.close()


def test_a_disk_that_hangs_while_an_epoch_is_saved_holds_up_no_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends, nobody is obeyed, and whatever else the loop does goes on."""
    answers = threading.Event()

    async def run(session: Session) -> None:
        await session._listener.received(session.number, [Welcome(7, 15.0)])

    async def body() -> None:
        hooks = Mock()
        hooks.save_epoch.side_effect = lambda _: answers.wait(PATIENCE)
        agent = Agent(WorkerCore(1000), Mock(), Mock(), outputs, Mock(), hooks)
        agent.pipeline._perform(OpenSession(1))
        session = agent._scheduler.session
        assert session
        await session.finished()
        assert [type(event) for event in agent.pipeline._inbox] == [SessionEnded]
        assert "does not answer" in str(hooks.refused.call_args.args[0])
        assert not answers.is_set()
        answers.set()
        agent.close()

    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    monkeypatch.setattr(Session, "_run", run)
    monkeypatch.setattr(scheduler_link, "DISK_PATIENCE", 0.05)
    asyncio.run(body())
    outputs.close()


def test_a_scripts_folder_that_hangs_refuses_the_job_and_holds_up_no_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(templates_module, "resolve_script", lambda *_: answers.wait(PATIENCE))
    monkeypatch.setattr(templates_module, "LOOK", 0.05)
    templates = Templates(tmp_path / "jobs", tmp_path / "work", tmp_path, {}, RunAs())
    lanes = Lanes()
    asyncio.run(templates.find_script("count.sh", lanes))
    template = templates.make(1, "id", JobSpec((), script="count.sh"), None)
    assert "does not answer" in template.refusal
    assert not answers.is_set()
    answers.set()
    lanes.close()


def test_output_that_cannot_be_read_just_now_is_pushed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    path = tmp_path / "jobs" / "5" / "0.1.out"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"said")
    pushed: list[bytes] = []
    tries = 0

    async def push(_: object, messages: Messages) -> None:
        nonlocal tries
        tries += 1
        pushed.extend([message.data async for message in messages])

    async def body() -> None:
        pushing = keeper(outputs)
        with no_descriptor_left():
            pushing.add([KEY])
            await pushing.settle(PATIENCE)
        assert path.exists()
        await asyncio.sleep(0)
        await pushing.settle(PATIENCE)

    monkeypatch.setattr(keeping_module, "REST", 0.0)
    monkeypatch.setattr(keeping_module, "push", push)
    asyncio.run(body())
    outputs.close()
    assert (tries, pushed, path.exists()) == (1, [b"said"], False)


def test_a_launcher_forgets_no_own_jobs_end_before_it_is_on_disk(tmp_path: Path) -> None:
    launcher, hooks = Mock(), Mock()
    hooks.own_saved.return_value = False

    async def body() -> None:
        agent = Agent(WorkerCore(1000), Mock(), Mock(), outputs, None, hooks)
        agent.link.runner = launcher
        for sequence in (4, 6):
            agent.pipeline._perform(AckJournal(sequence))
        launcher.ack.assert_not_called()
        hooks.own_saved.return_value = True
        agent.own_jobs_saved()
        agent.own_jobs_saved()
        launcher.ack.assert_called_once_with(6)
        agent.close()

    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    asyncio.run(body())
    outputs.close()


def test_that_no_launcher_can_be_started_is_said_once_and_not_at_each_try(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was an error each second, on a disk that may be full."""
    monkeypatch.setattr(launcher_keeper, "RETRY", 0.0)
    tries = iter(["no process is left"] * 5 + ["no memory is left"])

    async def connect() -> Any:
        if (why := next(tries, "")) == "":
            raise asyncio.CancelledError
        raise LauncherUnavailable(why)

    trouble: list[str] = []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(
            launcher_keeper.keep_launcher(
                connect, Mock(), AsyncMock(), lambda: True, AsyncMock(return_value=True), trouble.append
            )
        )
    assert trouble == ["no process is left"] * 5 + ["no memory is left"], "whoever tells it further decides how often"
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [text for text in said if "no job can be started" in text] == [
        f"no job can be started: no {what} is left; trying again until it works" for what in ("process", "memory")
    ]


def test_whose_a_job_is_is_known_of_those_that_were_assigned(tmp_path: Path) -> None:
    """So that calls of one user's jobs can be told from those of another's."""
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    link = LauncherLink(AsyncMock(), Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs()), outputs)
    link.adopt(Mock())
    for job, owner in ((5, "ada"), (6, "bob")):
        link.perform(Define(job, job, "id", JobSpec(argv=("true",)), 45.0, owner), HeldAttempts())
    assert [link.owner_of(job) for job in (5, 6, 7)] == ["ada", "bob", "the owner of job 7"]
    link.perform(Define(5, 8, "id", JobSpec(argv=("true",)), 45.0, "eve"), HeldAttempts())
    assert [link.owner_of(job) for job in (5, 8)] == ["the owner of job 5", "eve"], "nothing of 5 is here any more"
    outputs.close()


def test_a_quiet_clock_that_was_taken_back_is_none_for_what_begins_later(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    link = LauncherLink(AsyncMock(), Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs()), outputs)
    link.adopt(Mock())
    for seconds in (60.0, 0.0):
        link.perform(Define(5, 5, "id", JobSpec(argv=("true",), quiet_timeout=seconds), 45.0), HeldAttempts())
        assert link.quiet_limit_of(AttemptKey(5, 0, 1)) == seconds
    outputs.close()


def test_the_same_trouble_is_told_once_and_again_after_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    async def register(address: str, credentials: Any, registration: scheduler_pb2.RegisterRequest) -> None:
        told.append(registration.trouble)

    async def body() -> None:
        scheduler = Scheduler(lambda: "there", Mock(), scheduler_pb2.RegisterRequest)
        link = scheduler_link.SchedulerLink(scheduler, *[Mock()] * 9)

        async def say(why: str) -> None:
            for _ in range(3):
                link.tell_trouble(why)
                await asyncio.sleep(0)
                await asyncio.sleep(0)

        await say("no process is left")
        await say("no memory is left")
        assert told == ["no process is left", "no memory is left"]
        link.open(1)
        await say("no memory is left")
        assert len(told) == 2, "there is a session"
        link.session = None
        await say("no memory is left")
        assert told[2:] == ["no memory is left"]
        link.close()

    monkeypatch.setattr(scheduler_link, "register", register)
    monkeypatch.setattr(scheduler_link, "Session", Mock())
    asyncio.run(body())
