"""Disks that fill, fail and heal, under real processes with work to do: nothing acknowledged is lost or killed."""

import errno
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster.client import Client
from cluster.domain.base.errors import ClusterError, Exhausted, Unreachable
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.worker_states import WorkerState
from cluster.store.interface import StoreFailed
from cluster.store.sqlite.store import SqliteStore, stored_cluster_id
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.patience import PATIENCE
from tests.small_disk import SmallDisk, small_disk

HEALED = 10.0  # seconds, at most, from room to the next job that is accepted and done: the bar
FULL = 2.5  # seconds that a disk stays full: longer than a commit is waited for
WELL = 1.0  # seconds between two times
# What fails of the system's calls, one time in twenty.
FAILING = ("posix/io/rw/pwrite", "posix/io/rw/write", "posix/io/sync/fsync", "posix/io/sync/fdatasync")

pytestmark = pytest.mark.slow


@dataclass
class Load:
    """Users who submit one job after another, and one job that runs all the time."""

    daemons: Daemons
    ran: Path  # each job adds a line with its name
    output: bool = True  # whether jobs write any; where their worker's disk is full they would fail by themselves
    acknowledged: dict[str, int] = field(default_factory=dict)  # name: number
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        with self.daemons.client() as client:
            self.long = client.submit(["sh", "-c", f"echo long >> {self.ran}; exec sleep 10000"]).number
            assert any(jobs[0].state is TaskState.RUNNING for jobs in client.watch(self.long))
        threads = [threading.Thread(target=self._submit, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _submit(self, user: int) -> None:
        with self.daemons.client() as client:
            for number in range(1_000_000):
                if self._stop.wait(0.05):
                    return
                name = f"job-{user}-{number}"
                try:
                    command = ["sh", "-c", f"echo {name} >> {self.ran}{f'; echo {name}' * self.output}"]
                    self.acknowledged[name] = client.submit(command, name=name).number
                except (Exhausted, Unreachable):
                    self.refused += 1
                except ClusterError as error:
                    self.faults.append(f"{name}: {type(error).__name__}: {error}")

    def check(self) -> None:
        """All that was acknowledged is there, has run once and well, and the long job still runs."""
        assert not self.faults, self.faults[:3]
        with self.daemons.client() as client:
            jobs = {job.number: job for job in client.wait(*self.acknowledged.values())}
            assert jobs.keys() == set(self.acknowledged.values())
            bad = [job for job in jobs.values() if job.state is not TaskState.SUCCEEDED]
            assert not bad, [(job.number, job.reason) for job in bad][:5]
            (long,) = client.list(self.long)
            assert long.state is TaskState.RUNNING
            client.cancel("all", grace=0.0)
        ran = self.ran.read_text().splitlines()
        assert len(ran) == len(set(ran)), "something ran twice"
        assert set(self.acknowledged) <= set(ran)

    def heals(self) -> float:
        """Seconds until a job is accepted and done."""
        began = time.monotonic()
        with self.daemons.client() as client:
            while time.monotonic() < began + PATIENCE:
                try:
                    number = client.submit(["true"]).number
                    break
                except (Exhausted, Unreachable):
                    time.sleep(0.05)
            (job,) = client.wait(number)
            assert job.state is TaskState.SUCCEEDED
        return time.monotonic() - began


def is_read_while_full(client: Client, load: Load, is_noticed: Callable[[], bool]) -> None:
    """Whoever asks is answered, and the worker's lease holds, for FULL seconds and until it is noticed."""
    began = time.monotonic()
    while time.monotonic() < began + FULL or not is_noticed():
        assert time.monotonic() < began + PATIENCE, "the disk was never full"
        (long,) = client.list(load.long)
        assert long.state is TaskState.RUNNING
        client.get(load.long)
        (worker,) = client.workers()
        assert worker.state is not WorkerState.UNREACHABLE
        time.sleep(0.1)


def fill_and_free(daemons: Daemons, load: Load, disk: SmallDisk, times: int, refuses: bool) -> list[float]:
    """How long each healing took, in seconds. `refuses`: the disk is the scheduler's, which accepts no job once it has
    found it full. Another user asks for one: those of the load may both wait for the commit that found it so."""
    took = []
    with daemons.client() as client, load.going_on():
        for filled in range(1, times + 1):

            def is_noticed(filled: int = filled) -> bool:
                return not refuses or daemons.log("scheduler").count("cannot be written: the disk is full") == filled

            try:
                disk.fill()
                is_read_while_full(client, load, is_noticed)
                if refuses:
                    with pytest.raises(Exhausted, match="the disk is full"):
                        client.submit(["true"])
            finally:
                disk.free()
            took.append(load.heals())
            time.sleep(WELL)
    return took


def scheduler_on_a_small_disk(command: Command, times: int) -> None:
    with small_disk(command.home / "scheduler", 24) as disk, Daemons(command) as daemons:
        daemons.start_scheduler("--lease", "3s")
        daemons.start_worker("w1", "--cpus", "4", "--reserve", "0")
        load = Load(daemons, command.home / "ran")
        took = fill_and_free(daemons, load, disk, times, refuses=True)
        load.check()
        assert daemons.is_alive("scheduler")
        print(f"{len(load.acknowledged)} accepted, {load.refused} refused, healed within {max(took):.1f} s")
        assert max(took) <= HEALED, took


def worker_on_a_small_disk(command: Command, times: int) -> None:
    with small_disk(command.home / "w1", 32) as disk, Daemons(command) as daemons:
        daemons.start_scheduler("--lease", "3s")
        daemons.start_worker("w1", "--cpus", "4")
        load = Load(daemons, command.home / "ran", output=False)
        took = fill_and_free(daemons, load, disk, times, refuses=False)
        load.check()
        print(f"{len(load.acknowledged)} accepted, healed within {max(took):.1f} s")
        assert max(took) <= HEALED, took


def test_a_schedulers_disk_fills_and_is_freed(command: Command) -> None:
    scheduler_on_a_small_disk(command, times=2)


def test_a_workers_disk_fills_and_is_freed(command: Command) -> None:
    worker_on_a_small_disk(command, times=2)


@pytest.mark.parametrize("killed", [False, True])
def test_a_scheduler_starts_on_a_full_disk_and_heals_when_there_is_room(command: Command, killed: bool) -> None:
    """Twice in a row, as a service manager would. Its worker has said goodbye while there was room."""
    with small_disk(command.home / "scheduler", 24, inodes=200) as disk, Daemons(command) as daemons:
        daemons.start_scheduler("--lease", "3s")
        daemons.start_worker("w1", "--cpus", "4", "--reserve", "0")
        script = f"echo $$ > {command.home}/pid; exec sleep 10000"
        with daemons.client() as client:
            long, short = client.submit(["sleep", "10000"]).number, client.submit(["sh", "-c", script]).number
            assert any(all(job.state is TaskState.RUNNING for job in jobs) for jobs in client.watch(long, short))
        daemons.stop("w1")
        for _ in range(2):
            (daemons.kill if killed else daemons.stop)("scheduler")
            disk.fill()
            disk.fill_inodes()
            daemons.start_scheduler("--lease", "3s")
        daemons.start_worker("w1", "--cpus", "4", "--reserve", "0")
        with daemons.client() as client:
            assert [job.state for job in client.list(long, short)] == [TaskState.RUNNING] * 2
            with pytest.raises(Exhausted, match=r"nothing new is accepted just now: the database .* the disk is full"):
                client.submit(["true"])
            cancelling = threading.Thread(target=lambda: client.cancel(short, grace=0.0))
            cancelling.start()
            while Path("/proc", (command.home / "pid").read_text().strip()).exists():
                time.sleep(0.05)
            (worker,) = client.workers()
            assert worker.state is WorkerState.ONLINE
            disk.free()
            began = time.monotonic()
            cancelling.join()
            assert client.wait(short)[0].state is TaskState.CANCELLED
            (job,) = client.wait(client.submit(["true"]).number)
            assert job.state is TaskState.SUCCEEDED
            assert time.monotonic() - began <= HEALED
            assert client.list(long)[0].state is TaskState.RUNNING
            client.cancel("all", grace=0.0)
        assert "Traceback" not in daemons.log("scheduler")


def test_a_store_that_will_not_heal_ends_the_scheduler_with_one_line(command: Command) -> None:
    """Here another one has taken it over."""
    with Daemons(command) as daemons:
        daemons.start_scheduler()
        path = command.home / "scheduler" / "cluster.db"
        cluster_id = stored_cluster_id(path)
        assert cluster_id
        other = SqliteStore(path, cluster_id)
        other.load()
        with command.started("job", "submit", "--", "true"):  # which would try again for a while
            assert daemons.end_of("scheduler") == StoreFailed.exit_code
        last = daemons.log("scheduler").splitlines()[-1]
        assert "critical" in last
        assert "another scheduler has taken over this data, so this one must stop" in last
        other.close()


def test_one_job_that_fills_the_only_disk_stops_nobody(command: Command, tmp_path: Path) -> None:
    """Scheduler, worker and jobs on one file system, and a job that writes until nothing more fits."""
    with small_disk(tmp_path / "disk", 64) as disk:
        here = Command(disk.path)
        here.ok("up", "--cpus", "4")
        try:
            pids = here.pids()
            long = here.ok("job", "submit", "--quiet", "--", "sleep", "10000").text.strip()
            here.wait_until_running(long)
            filler = here.ok(
                "job", "submit", "--quiet", "--", "sh", "-c", "cat /dev/zero > filler; sleep 10000", cwd=disk.path
            ).text.strip()
            while disk.left:
                time.sleep(0.05)
            while (worker := here.ok("worker", "list", "--json").json[0])["state"] != "full":
                time.sleep(0.05)
            assert "0 B free" in worker["no_room"]
            assert "takes nothing until it has room" in here.ok("worker", "list").err
            assert here.ok("job", "show", long, "--json").json["state"] == "running"
            assert here("job", "cancel", filler, "--grace", "0").code in (0, 75)
            (disk.path / "filler").unlink()
            began = time.monotonic()
            while here("run", "--", "true").code != 0:
                time.sleep(0.1)
            assert time.monotonic() - began < HEALED
            assert here("job", "wait", filler).code == 137
            assert here.ok("job", "show", long, "--json").json["state"] == "running"
            assert here.pids() == pids
        finally:
            disk.free()
            here.ok("down")


@pytest.mark.parametrize("inodes", [False, True])
def test_an_embedded_cluster_starts_on_a_full_disk(tmp_path: Path, inodes: bool) -> None:
    with small_disk(tmp_path / "disk", 64, inodes=500) as disk:
        here = Command(disk.path)
        assert here.ok("run", "--", "echo", "before").text == "before\n"
        here.ok("down")
        disk.fill()
        if inodes:
            disk.fill_inodes()
        try:
            assert here.ok("up", "--cpus", "2").text.startswith("started a cluster")
            assert [job["state"] for job in here.ok("job", "list", "--json").json] == ["succeeded"]
            assert here.ok("worker", "list", "--json").json[0]["state"] == "full"
            assert here.ok("job", "logs", "1").text == "before\n"
            refused = here("job", "submit", "--", "true")
            assert (refused.code, "nothing new is accepted just now" in refused.err) == (75, True)
            disk.free()
            while here("run", "--", "true").code != 0:
                time.sleep(0.1)
        finally:
            disk.free()
            here.ok("down")


@pytest.mark.extra_disks
def test_a_schedulers_disk_fills_and_is_freed_twenty_times(command: Command) -> None:
    scheduler_on_a_small_disk(command, times=20)


@pytest.mark.extra_disks
def test_a_workers_disk_fills_and_is_freed_twenty_times(command: Command) -> None:
    worker_on_a_small_disk(command, times=20)


def with_errors(command: Command, seconds: float) -> None:
    """The scheduler's system calls fail now and then, as on a disk that is about to die."""
    if not shutil.which("fiu-run"):
        pytest.skip("needs fiu-run: apt-get install fiu-utils")
    control = str(command.home / "fiu")
    with Daemons(command) as daemons:

        def tell(what: str) -> None:
            subprocess.run(["fiu-ctrl", "-f", control, "-c", what, str(daemons.pid("scheduler"))], check=True)

        daemons.around["scheduler"] = ["fiu-run", "-x", "-f", control]
        daemons.start_scheduler("--lease", "3s")
        daemons.start_worker("w1", "--cpus", "4", "--reserve", "0")
        load = Load(daemons, command.home / "ran")
        with load.going_on():
            for name in FAILING:
                tell(f"enable_random name={name},probability=0.05,failinfo={errno.EIO}")
            time.sleep(seconds)
            for name in FAILING:
                tell(f"disable name={name}")
            took = load.heals()
        load.check()
        assert daemons.is_alive("scheduler")
        said = daemons.log("scheduler").count("can be written again")
        print(f"{len(load.acknowledged)} accepted, {load.refused} refused, healed {said} times")
        assert said, "nothing ever failed"
        assert took <= HEALED


def test_a_schedulers_disk_reports_errors(command: Command) -> None:
    with_errors(command, seconds=5.0)


@pytest.mark.extra_disks
def test_a_schedulers_disk_reports_errors_for_five_minutes(command: Command) -> None:
    with_errors(command, seconds=300.0)
