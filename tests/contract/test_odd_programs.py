"""A command that names a file which is no program is told of when it is handed in, not when it cannot be started."""

from pathlib import Path

import pytest

from cluster.cli.quick.options import is_no_program
from cluster.cli.submit_warnings import odd_program


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with a job file, a script that may be executed and one that may not; and a PATH that has `tool`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    for name, mode in (
        ("flow.toml", 0o644),
        ("run.sh", 0o755),
        ("plain.sh", 0o644),
        ("tool", 0o644),
        ("bin/tool", 0o755),
    ):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(mode)


@pytest.mark.parametrize("word", ["flow.toml", "run.sh", "plain.sh", "./plain.sh"])
def test_what_cannot_be_started_by_that_word_is_no_program(word: str) -> None:
    assert is_no_program(word)


@pytest.mark.parametrize("word", ["./run.sh", "tool", "nothing", "bin", "", "/etc/passwd"])
def test_what_can_be_started_or_is_no_file_is_none(word: str) -> None:
    assert not is_no_program(word)


@pytest.mark.parametrize(
    ("word", "is_embedded", "words"),
    [
        ("flow.toml", True, "flow.toml is a file here, and no program; --file flow.toml hands in its jobs"),
        ("./flow.toml", False, "./flow.toml is a file here, and no program; --file ./flow.toml hands in its jobs"),
        ("run.sh", True, "run.sh is a file here, and no program; `./run.sh` runs it"),
        ("run.sh", False, "run.sh is a file here, and no program; `cluster run - < run.sh` sends a script along"),
        ("plain.sh", True, "plain.sh is a file here, and no program; `cluster run - < plain.sh` sends"),
        ("./plain.sh", True, "./plain.sh is a file here, and no program; `cluster run - < ./plain.sh` sends"),
        ("./run.sh", False, "./run.sh is looked for on the worker, and is here; `cluster run - < ./run.sh` sends"),
    ],
)
def test_it_is_told_what_would_do(word: str, is_embedded: bool, words: str) -> None:
    assert odd_program(word, is_embedded).startswith(words)


@pytest.mark.parametrize(("word", "is_embedded"), [("./run.sh", True), ("tool", True), ("tool", False), ("echo", True)])
def test_what_can_be_started_is_not_odd(word: str, is_embedded: bool) -> None:
    assert odd_program(word, is_embedded) == ""
