"""A real Slurm for tests: munged, slurmctld, and slurmd for each of three nodes, all of them on this machine."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.acceptance.daemons import free_port
from tests.patience import PATIENCE

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
HOW = "needs a Slurm (apt-get install slurm-wlm)"
NODES, CPUS = 3, 8  # and cpus of each, whatever this machine has

CONFIG = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={place}/munge
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool-%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
KillWait=5
MessageTimeout=20
MaxJobCount={most}
MinJobAge=100000
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports[1]}-{last}] CPUs={cpus} RealMemory=100000
PartitionName=work Nodes=n[1-{nodes}] Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=n1 MaxTime=10 State=UP
PartitionName=closed Nodes=n1 AllocNodes=elsewhere State=UP
"""


@dataclass
class Slurm:
    """`directory`: its own. Commands find it by the variable SLURM_CONF."""

    directory: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": PATH, "SLURM_CONF": str(self.directory / "slurm.conf")}

    def said(self, *words: str, fed: str = "") -> str:
        """What a command of Slurm's writes."""
        done = subprocess.run(
            words, env=self.environment, input=fed, capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        return done.stdout

    def jobs(self, states: str = "PENDING,RUNNING,COMPLETING") -> list[str]:
        """The names of those in these states."""
        return self.said("squeue", "--noheader", f"--states={states}", "--format=%j").split()

    def cancel_all(self) -> None:
        """One that ends by itself meanwhile has scancel fail."""
        subprocess.run(["scancel", "--user", str(os.geteuid())], env=self.environment, timeout=PATIENCE)

    def lives(self) -> list[tuple[int, int]]:
        """Unix seconds when each job there ever was came into the queue and ended, by number."""
        jobs = json.loads(self.said("squeue", "--json"))["jobs"]
        return [(job["submit_time"], job["end_time"]) for job in sorted(jobs, key=lambda each: int(each["job_id"]))]


def expect_slurm() -> None:
    if any(shutil.which(each, path=PATH) is None for each in PROGRAMS):
        pytest.skip(HOW)
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons run as root here")


@contextmanager
def serving(most: int = 10_000) -> Iterator[Slurm]:
    """`most`: jobs that it takes."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        slurm = Slurm(Path(name))
        try:
            _start(slurm, most)
            yield slurm
        finally:
            for process in reversed(slurm.processes):
                process.kill()
                process.wait()


def _start(slurm: Slurm, most: int) -> None:
    place, ports = slurm.directory, _free_ports(1 + NODES)
    (place / "state").mkdir()
    (place / "keys").mkdir(mode=0o700)
    (place / "keys" / "key").write_bytes(os.urandom(128))
    (place / "keys" / "key").chmod(0o600)
    values = {"place": place, "ports": ports, "last": ports[-1], "nodes": NODES, "cpus": CPUS, "most": most}
    (place / "slurm.conf").write_text(CONFIG.format(host=socket.gethostname().partition(".")[0], **values))
    munge = [f"--socket={place}/munge", f"--key-file={place}/keys/key", f"--pid-file={place}/keys/pid"]
    munge += [f"--log-file={place}/keys/log", f"--seed-file={place}/keys/seed", "--num-threads=2", "--force"]
    _run(slurm, "munged", "--foreground", *munge)
    _until(slurm, (place / "munge").exists)
    _run(slurm, "slurmctld", "-D")
    for node in range(1, NODES + 1):
        _run(slurm, "slurmd", "-D", "-N", f"n{node}")
    _until(slurm, lambda: _idle(slurm) == NODES)


def _run(slurm: Slurm, *words: str) -> None:
    with (slurm.directory / f"{len(slurm.processes)}.log").open("wb") as log:
        slurm.processes.append(
            subprocess.Popen(words, env=slurm.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        )


def _idle(slurm: Slurm) -> int:
    done = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--partition=work", "--states=idle", "--format=%N"],
        env=slurm.environment,
        capture_output=True,
        timeout=PATIENCE,
    )
    return len(done.stdout.split())


def _until(slurm: Slurm, happened: object) -> None:
    assert callable(happened)
    while not happened():
        for process in slurm.processes:
            assert process.poll() is None, "".join(log.read_text()[-2000:] for log in slurm.directory.glob("*.log"))
        time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    """Several in a row, as slurm.conf has them, that the system gives to nobody who asks for just any."""
    while True:
        first = free_port()
        with ExitStack() as probes, suppress(OSError):
            for port in range(first, first + count):
                probes.enter_context(socket.create_server(("127.0.0.1", port)))
            return list(range(first, first + count))
