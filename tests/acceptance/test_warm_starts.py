"""Most commands of these tests are started warm; here some are, and once more with an interpreter of their own."""

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.command import Command, Done
from tests.acceptance.warm_starts import warm_starts
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (("config", "show"), b""),
        (("job", "show", "1", "--nonsense"), b""),
        (("run", "--", "sh", "-c", "cat; pwd; echo err >&2; exit 7"), b"x" * 300_000),
        (("run", "--each-line", "-", "--", "echo", "{}"), b"\xc3\xa9\n\xff\n"),
        (("job", "list", "--json", "none"), b""),
    ],
)
def test_it_ends_and_says_what_it_does_when_it_is_started_cold(
    words: tuple[str, ...], stdin: bytes, cluster: Command, tmp_path: Path
) -> None:
    environ = cluster.environment({})
    assert warm_starts().can_run(words, environ)
    cold = cluster.cold(*words, cwd=tmp_path, stdin=stdin, env=environ, patience=PATIENCE)
    assert cluster(*words, cwd=tmp_path, stdin=stdin) == cold
    assert not isinstance(cold, Done) or cold.out or cold.err


def test_who_waits_no_longer_ends_it(cluster: Command) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        cluster(
            "job",
            "wait",
            "--quiet",
            cluster.ok("job", "submit", "-q", "--", "sleep", "1000").text.strip(),
            patience=0.5,
        )
    cluster.ok("job", "cancel", "last", "--yes")


@pytest.mark.parametrize("variable", ["PYTHONIOENCODING", "LC_ALL", "LD_PRELOAD", "TZ", "SSL_CERT_FILE"])
def test_what_an_interpreter_looks_at_early_wants_one_of_its_own(variable: str, command: Command) -> None:
    environ = command.environment({variable: "something"})
    assert not warm_starts().can_run(["config", "show"], environ)


def test_daemons_and_what_is_long_want_one_of_their_own(command: Command) -> None:
    environ = command.environment({})
    assert not warm_starts().can_run(["worker", "--name", "box1"], environ)
    assert warm_starts().can_run(["worker", "list"], environ)
    assert not warm_starts().can_run(["run", "--", "x" * 100_000], environ)
