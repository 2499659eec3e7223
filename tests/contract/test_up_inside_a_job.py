"""A job neither stops nor starts the cluster that runs it: its end would come with its worker's, in the middle."""

from pathlib import Path

import pytest

from cluster.cli.main import run

NO_ACCESS = 77


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As a job of the worker that has its directory there."""
    monkeypatch.setenv("CLUSTER_HOME", "")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("CLUSTER_SOCKET", str(tmp_path / "cluster" / "worker" / "inside" / "jobs.sock"))
    monkeypatch.setenv("CLUSTER_TOKEN", "t")
    return tmp_path


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_job_is_told_so(inside: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for named in ([], ["--home", str(inside / "cluster")]):
        assert run([*named, command]) == NO_ACCESS
        assert "a job neither starts nor stops its cluster" in capsys.readouterr().err
    assert not (inside / "cluster").exists()


def test_one_of_its_own_it_may_stop(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", str(inside / "own"), "down"]) == 0
    assert "no cluster that `cluster up` started runs here" in capsys.readouterr().out
