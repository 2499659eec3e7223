"""The commands that open the HTTP door: what they pass on, and what keeps them from it, in one line."""

import os
import socket
from pathlib import Path

import pytest

from cluster.cli import embedded, processes
from cluster.cli.main import run
from cluster.domain.base.errors import Conflict


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["gateway", "--listen", "127.0.0.1:0"], "this gateway belongs to no cluster", 1),
        (["gateway", "--listen", "5000"], "expected host:port", 2),
        (["gateway", "--http-plain"], "--http-plain is for this machine alone", 2),
        (["gateway", "--http-plain=behind", "--listen", ":0"], "behind-proxy", 2),
        (["gateway", "--host", "a b", "--listen", "127.0.0.1:0"], "is no host", 2),
        (["gateway", "--host", "x.cluster.internal", "--listen", "127.0.0.1:0"], "no gateway's", 2),
        (["gateway", "--join", "nonsense"], "no join token", 2),
        (["scheduler", "--http", ":5000", "--http-plain"], "--http-plain is for this machine alone", 2),
        (["scheduler", "--listen", "127.0.0.1:0", "--http", "TAKEN"], "choose another with --http HOST:PORT", 1),
        (["gateway", "--listen", "TAKEN"], "choose another with --listen HOST:PORT", 1),
        (["token", "create", "--for", "http", "--role", "worker"], "a token for HTTP is a person's", 2),
        (["token", "create", "--for", "http", "--uses", "3"], "leave --uses out", 2),
        (["token", "create", "--role", "gateway", "--user", "ada"], "needs a role of people", 2),
    ],
)
def test_what_cannot_be_right_is_told_in_one_line(
    words: list[str],
    said: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CLUSTER_HOME", str(tmp_path / "home"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run([word.replace("TAKEN", address) for word in words]) == code
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1, told


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        ([], []),
        (["--http"], ["--http=127.0.0.1:5000"]),
        (["--http", "127.0.0.1:80"], ["--http=127.0.0.1:80"]),
        (["--http=:5000"], ["--http=0.0.0.0:5000"]),
        (["--http", "--http-plain"], ["--http=127.0.0.1:5000", "--http-plain=loopback"]),
        (["--http-plain=behind-proxy", "--http=:80"], ["--http=0.0.0.0:80", "--http-plain=behind-proxy"]),
    ],
)
def test_up_passes_on_where_to_serve(
    words: list[str], passed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTER_HOME", str(tmp_path))
    asked: list[list[str]] = []

    def up(root: Path, millicpus: int | None, http: list[str]) -> list[str]:
        asked.append(http)
        return ["started"]

    monkeypatch.setattr(embedded, "up", up)
    assert run(["up", *words]) == 0
    assert asked == [passed]


def test_up_changes_nothing_of_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = processes.find(os.getpid())
    monkeypatch.setattr(embedded, "_alive", lambda root: {"scheduler": process, "worker": process})
    for before in ([], ["--http=127.0.0.1:5000"]):
        embedded._save(tmp_path, {}, http=before)
        assert embedded.up(tmp_path) == []
        assert embedded.up(tmp_path, http=before) == []
        embedded._save(tmp_path, {})  # whoever starts the worker again says nothing of it
        with pytest.raises(Conflict, match=r"for --http=127\.0\.0\.1:1 `cluster down` must stop it"):
            embedded.up(tmp_path, http=["--http=127.0.0.1:1"])
