"""A child that is killed between fork and exec: what Popen makes of it is no internal error of ours.

Popen raises SubprocessError then, which is no OSError; no test can kill a child at that moment, so Popen is told to.
"""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from cluster.cli.processes import DidNotStart, start
from cluster.domain.base.errors import ClusterError
from cluster.launcher.client import LauncherUnavailable, _start
from cluster.rpc.gateway_keeper import GatewayKeeper, HttpOptions
from cluster.scheduler.notices.sending import SendingFailed, _started
from cluster.worker.capacity import found_gpus
from cluster.worker.sandbox_probe import _answer
from cluster.worker.templates import RunAs

SAID = "Bad exception data from child: b'OSError:'"


@pytest.fixture(autouse=True)
def _killed(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*_: object, **__: object) -> None:
        raise subprocess.SubprocessError(SAID)

    monkeypatch.setattr(subprocess.Popen, "__init__", init)
    monkeypatch.setattr(subprocess.Popen, "__del__", lambda self: None)


def test_no_sandbox_can_be_tried() -> None:
    with pytest.raises(ClusterError, match=f"bwrap: {SAID}"):
        _answer(["bwrap"], RunAs(None, None))


def test_no_gpus_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ClusterError, match=f"which gpus there are: {SAID}; name them"):
        found_gpus()


def test_a_launcher_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(LauncherUnavailable, match=SAID):
        _start(str(tmp_path), 1000, ["true"])


def test_a_notice_was_not_sent() -> None:
    with pytest.raises(SendingFailed, match=f"tell cannot be run: {SAID}"):
        _started(["tell"], b"")


def test_a_daemon_did_not_start(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart, match=SAID):
        start(["scheduler"], tmp_path, tmp_path / "log", lambda _: None)


def test_a_gateway_is_started_again() -> None:
    gateway = GatewayKeeper(HttpOptions("127.0.0.1:0", ("cluster",)), (), lambda: None)
    assert asyncio.run(gateway._run("127.0.0.1:1")) == f"cannot be started: {SAID}"
