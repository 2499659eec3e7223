"""certs/gen.py: the same certificates, made offline."""

import asyncio
import stat
import subprocess
import sys
import time
from pathlib import Path

from cluster.domain.trust.identity import IdentityKind
from cluster.pki.authority import load_authority
from cluster.pki.files import load_credentials
from cluster.pki.peer_certificates import parse_peer
from cluster.v1 import scheduler_pb2, scheduler_pb2_grpc
from tests.integration.trust import SmallCluster
from tools.environments import REPOSITORY, clean_environ


def gen(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, REPOSITORY / "certs" / "gen.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=clean_environ())


def test_offline_credentials_are_as_good_as_joined_ones(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = gen(out, "--worker", "box1", "--worker", "box2", "--days", "30")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(out / name) for name in ("scheduler", "worker-box1", "worker-box2")]
    files = {path.relative_to(out).as_posix() for path in out.rglob("*.pem")}
    assert files == {
        *("scheduler/ca.pem", "scheduler/scheduler.pem", "scheduler/admin.pem"),
        *("worker-box1/worker.pem", "worker-box2/worker.pem"),
    }
    for path in out.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)

    authority = load_authority(out / "scheduler" / "ca.pem")
    worker = load_credentials(out / "worker-box1" / "worker.pem")
    peer = parse_peer(worker.certificate_pem, authority.cluster_id)
    assert peer.identity.kind is IdentityKind.WORKER
    assert peer.identity == worker.identity
    assert 29.9 < (peer.not_after - time.time()) / 86400 < 30


def test_an_offline_worker_gets_in(tmp_path: Path) -> None:
    async def run() -> None:
        async with SmallCluster(tmp_path).running() as cluster:
            done = await asyncio.to_thread(gen, tmp_path / "out", "--scheduler-directory", tmp_path, "--worker", "box")
            assert (done.returncode, done.stderr) == (0, "")
            async with cluster.dial(load_credentials(tmp_path / "out" / "worker-box" / "worker.pem")) as channel:
                session = scheduler_pb2_grpc.SchedulerStub(channel).Session()
                await session.write(scheduler_pb2.SessionRequest(heartbeat=3))
                assert (await session.read()).heartbeat == 3

    asyncio.run(run())


def test_what_is_there_is_never_replaced(tmp_path: Path) -> None:
    assert gen(tmp_path / "out", "--worker", "a").returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.pem")}
    again = gen(tmp_path / "out", "--worker", "b", "--worker", "a")
    assert again.returncode == 1
    assert again.stderr.startswith(f"gen.py: {tmp_path / 'out' / 'worker-a' / 'worker.pem'} exists")
    assert gen(tmp_path / "out", "--worker", "b").returncode == 0
    assert {path: path.read_bytes() for path in before} == before


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    for arguments, said, code in [
        ((tmp_path / "out", "--worker", "../x"), "the name '../x' may hold only", 2),
        ((tmp_path / "out", "--worker", "a", "--worker", "a"), "the same name", 2),
        ((tmp_path / "out", "--worker", "a", "--days", "0"), "cannot be good for 0 days", 2),
        ((tmp_path / "open",), "can be used by others (mode 755)", 1),
        (("/proc/nothing",), "/proc/nothing cannot be used: ", 74),
    ]:
        done = gen(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
