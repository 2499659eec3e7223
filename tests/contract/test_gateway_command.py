"""What keeps a gateway from starting is told in one line, with the right exit code."""

import socket
from pathlib import Path

import pytest

from cluster.cli.main import run


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
