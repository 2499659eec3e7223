"""Jobs on a real worker: real scheduler, real agent, real launcher, real processes."""

import asyncio
import os
import resource
from pathlib import Path

import pytest

from cluster.domain.job.exec_limits import MAX_STRING
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.task_variables import OWN_VARIABLES
from cluster.v1 import jobs_pb2
from tests.descriptors import open_files
from tests.integration.fifos import fifo, let_go, reach
from tests.integration.workers import Site, WorkerProcess, at_site

pytestmark = pytest.mark.slow


def test_a_job_runs_with_its_own_environment_and_directory(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        job = await site.user.submit(
            "sh", "-c", "env | sort; echo =$(pwd); touch left-behind; exit 3", env=(("A", "b"),)
        )
        text = (await site.user.text(str(job.number), follow=True)).decode()
        [ended] = await site.user.wait(str(job.number))
        assert (ended.reason, ended.exit_code) == ("exit:3", 3)
        lines = text.splitlines()
        names = {line.partition("=")[0] for line in lines[:-1]}
        ours = {name for name in names if name.startswith("CLUSTER_")}
        assert ours == OWN_VARIABLES - {"CLUSTER_LINE", "CLUSTER_LINE_FILE"}
        assert {"A=b", f"CLUSTER_JOB={job.number}", f"CLUSTER_JOB_ID={job.id}"} <= set(lines)
        assert lines[-1] == f"={worker.directory}/work/{job.number}/0.1"
        await worker.stop()
        assert worker.files() == []  # output and directory are gone from here

    os.environ["CLUSTER_SECRET"] = "x"
    try:
        at_site(tmp_path, body)
    finally:
        del os.environ["CLUSTER_SECRET"]


def test_arrays_and_lines_reach_their_tasks(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        await site.worker().started()
        show = 'echo "$CLUSTER_TASK $CLUSTER_LINE {}"'
        array = await site.user.submit("sh", "-c", show, array=(ArraySegment(3, 7, 2),))
        lines = await site.user.submit("sh", "-c", show, lines=b"a b\nc")
        await site.user.wait(str(array.number), str(lines.number))
        assert await site.user.text(f"{array.number}.5") == b"5  {}\n"
        assert await site.user.text(f"{lines.number}.1") == b"1 a b a b\n"
        assert await site.user.text(f"{lines.number}.2") == b"2 c c\n"

    at_site(tmp_path, body)


def test_large_output_is_kept_by_the_scheduler_and_leaves_the_worker(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        job = await site.user.submit("sh", "-c", "seq 100000; seq 3 >&2")
        await site.user.wait(str(job.number))
        kept = site.cluster.directory / "outputs" / str(job.number)
        expected = "".join(f"{n}\n" for n in range(1, 100001)).encode()
        await worker.stop()
        assert worker.files() == []
        assert (kept / "0.1.out").read_bytes() == expected
        assert await site.user.text(str(job.number), stderr=False) == expected
        assert await site.user.text(str(job.number), stdout=False) == b"1\n2\n3\n"

    at_site(tmp_path, body)


def test_merged_output_is_one_stream_in_the_order_written(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        await site.worker().started()
        job = await site.user.submit(
            "sh", "-c", "for i in 1 3 5; do echo $i; echo $((i + 1)) >&2; done", merge_output=True
        )
        await site.user.wait(str(job.number))
        assert await site.user.text(str(job.number), stderr=False) == b"1\n2\n3\n4\n5\n6\n"
        assert await site.user.text(str(job.number), stdout=False) == b""

    at_site(tmp_path, body)


def test_several_followers_read_a_running_job_from_byte_0_or_its_tail(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        await site.worker().started()
        began, gate = fifo(tmp_path / "began"), fifo(tmp_path / "gate")
        script = f"echo one; echo two; echo > {began}; read x < {gate}; echo three"
        job = await site.user.submit("sh", "-c", script)
        await reach(began)

        async def follow(tail: int | None) -> bytes:
            return await site.user.text(str(job.number), follow=True, tail=tail)

        followers = [asyncio.create_task(follow(tail)) for tail in (None, 1, None, 0)]
        before = await site.user.text(str(job.number))
        assert before == b"one\ntwo\n"
        await let_go(gate)
        everything = b"one\ntwo\nthree\n"
        first, tail, second, nothing = [await follower for follower in followers]
        assert first == second == everything
        assert everything.endswith(tail)
        assert everything.endswith(nothing)

    at_site(tmp_path, body)


def test_a_cancelled_job_says_which_signal_ended_it(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        await site.worker().started()
        began = fifo(tmp_path / "began")
        job = await site.user.submit("sh", "-c", f"echo > {began}; exec sleep 1000")
        await reach(began)
        await site.user.cancel(str(job.number))
        [ended] = await site.user.wait(str(job.number))
        assert (ended.reason, ended.exit_code) == ("cancelled", 143)
        [task] = (await site.user.get(str(job.number))).tasks
        assert task.signal == "SIGTERM"  # S2.11

    at_site(tmp_path, body)


def test_scripts_come_from_the_folder_and_never_from_elsewhere(tmp_path: Path) -> None:  # S2.7, S2.8, S2.9
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "count.sh").write_text("echo counted $1\n")
    (tmp_path / "secret.sh").write_text("echo secret\n")
    (scripts / "out.sh").symlink_to(tmp_path / "secret.sh")

    async def body(site: Site) -> None:
        await site.worker(scripts=str(scripts)).started()
        good = await site.user.submit("bash", script="count.sh", script_args=("3",))
        link = await site.user.submit("bash", script="out.sh")
        missing = await site.user.submit("bash", script="none.sh")
        jobs = await site.user.wait(*(str(job.number) for job in (good, link, missing)))
        assert [job.reason for job in jobs] == ["ok", "launch_failed", "launch_failed"]
        assert await site.user.text(str(good.number)) == b"counted 3\n"
        details = [(await site.user.get(str(job.number))).tasks[0].detail for job in (link, missing)]
        assert details == [
            "script 'out.sh' leaves the scripts folder: it is a link that leads outside",
            "there is no script 'none.sh' in the worker's scripts folder",
        ]

    at_site(tmp_path, body)


def test_the_null_runner_ends_everything_at_once(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        await site.worker(runner="null").started()
        job = await site.user.submit("false", array=(ArraySegment(1, 5000),))
        [ended] = await site.user.wait(str(job.number))
        assert (ended.reason, ended.counts.succeeded) == ("ok", 5000)

    at_site(tmp_path, body)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run jobs as somebody else")
def test_a_worker_of_root_runs_jobs_as_nobody_in_a_directory_of_their_own(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(run_as=None).started()
        job = await site.user.submit(
            "sh", "-c", "id -un; cd $PWD && echo x > f && cat f; echo $USER; cd /; ls $OLDPWD/.."
        )
        await site.user.wait(str(job.number))
        assert await site.user.text(str(job.number), stderr=False) == b"nobody\nx\nnobody\n"
        [task] = (await site.user.get(str(job.number))).tasks
        assert task.exit_code == 2  # the others' directories cannot be listed
        assert "this worker is root, so jobs run as nobody" in worker.log()
        await worker.stop()
        ids.append(worker.ready["id"])

    ids: list[str] = []
    at_site(tmp_path, body)
    assert not os.path.exists(f"/var/tmp/cluster-{ids[0]}")


def test_a_reason_of_any_length_does_not_stop_the_worker(tmp_path: Path) -> None:
    """The scheduler takes no text of more than 10,000 characters, and a report that it refused would come again."""

    async def body(site: Site) -> None:
        await site.worker().started()
        job = await site.user.submit("x" * 20_000)
        [ended] = await site.user.wait(str(job.number))
        assert ended.exit_code == 127
        job = await site.user.submit("true")
        [ended] = await site.user.wait(str(job.number))
        assert ended.reason == "ok"

    at_site(tmp_path, body)


def test_a_reader_who_leaves_leaves_nothing_open(tmp_path: Path) -> None:
    """However long the job is silent: each of those who looked at it would cost the worker two descriptors."""

    async def body(site: Site) -> None:
        worker = await site.worker().started()
        job = await site.user.submit("sh", "-c", "echo out; echo err >&2; exec sleep 1000")
        request = jobs_pb2.ReadOutputRequest(
            selector=jobs_pb2.Selector(text=str(job.number)), stdout=True, stderr=True, follow=True
        )
        follower = site.user.stub.ReadOutput(request)
        assert {(await follower.read()).data for _ in range(2)} == {b"out\n", b"err\n"}
        assert len(opened(worker)) == 2
        follower.cancel()
        while opened(worker):  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0)

    def opened(worker: WorkerProcess) -> list[str]:
        """The output files that the agent has open."""
        return [name for name in open_files(worker.process.pid) if name.startswith(f"{worker.directory}/jobs/")]

    at_site(tmp_path, body)


@pytest.mark.slow
def test_the_longest_lines_and_words_that_can_be_started_are(tmp_path: Path) -> None:
    """Escaped they take six times as much on the way to the launcher; in one message they never arrived."""
    longest = b"\x01" * (MAX_STRING - len("CLUSTER_LINE="))

    async def body(site: Site) -> None:
        await site.worker().started()
        lines = b"\n".join([longest] * 40)
        count = 'printf %s "$CLUSTER_LINE" | wc -c'
        jobs = [await site.user.submit("sh", "-c", count, lines=lines, millicpus=10) for _ in range(2)]
        jobs.append(await site.user.submit("sh", "-c", "echo ${#1}", "sh", "\x01" * MAX_STRING))
        ended = await site.user.wait(*(str(job.number) for job in jobs))
        assert [job.reason for job in ended] == ["ok"] * 3
        assert await site.user.text(str(jobs[1].number)) == b"%d\n" % len(longest) * 40
        assert await site.user.text(str(jobs[2].number)) == b"%d\n" % MAX_STRING

    at_site(tmp_path, body)


def test_a_role_may_open_many_files_and_jobs_what_they_could_before(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 900), hard))
        try:
            worker = await site.worker().started()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        job = await site.user.submit("sh", "-c", "ulimit -n")
        await site.user.wait(str(job.number))
        assert await site.user.text(str(job.number)) == b"%d\n" % min(soft, 900)
        assert resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)[0] == min(hard, 65_536)

    at_site(tmp_path, body)
