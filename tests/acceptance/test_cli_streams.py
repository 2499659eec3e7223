"""Standard streams that take nothing, as on a full disk: an output that is lost is an error, remarks that are lost are
not, and the exit code is the one that there would have been."""

import subprocess

import pytest

from tests.acceptance.command import Command
from tests.patience import PATIENCE

IO_ERROR = 74


def run_with(command: Command, arguments: list[str], redirection: str) -> "subprocess.CompletedProcess[str]":
    """Below a shell that redirects as it is told."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *command.line(*arguments)],
        env=command.environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "--", "sh", "-c", "exit 5"], 5),
        (["run", "--", "sh", "-c", "echo lost >&2; exit 5"], 5),
        (["run", "--", "sh", "-c", "echo lost >&2"], IO_ERROR),
        (["run", "--", "sh", "-c", "kill -9 $$"], 137),
        (["run", "--", "/no/such/program"], 127),
        (["run", "--array", "1-3", "--", "sh", "-c", "exit 4"], 4),
        (["run", "--each-line", "/no/such/file", "--", "true"], 2),
        (["job", "wait", "of-three"], 3),
        (["job", "list", "--limit", "1"], 0),
        (["job", "list", "--limit", "x"], 2),
        (["job", "lst"], 2),
        (["job", "show", "99999"], 1),
        (["job", "logs", "99999"], 1),
        (["job", "logs", "of-three"], IO_ERROR),
        (["job", "cancel", "99999"], 1),
        (["worker", "remove", "nobody"], 1),
        (["token", "create"], 0),
        (["token", "revoke", "nothing"], 1),
        (["user", "revoke", "nobody"], 1),
        (["login", "no-token"], 2),
        (["status", "--scheduler", "127.0.0.1:1"], 75),
        (["scheduler", "--listen", "nowhere"], 2),
        (["nonsense"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_exit_code_needs_no_stderr(cluster: Command, arguments: list[str], code: int) -> None:
    """Each was 120, because what was to be said about it could not be written."""
    if "of-three" in arguments and cluster("job", "show", "of-three").code:
        cluster("run", "--name", "of-three", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    done = run_with(cluster, arguments, "2>/dev/full")
    assert done.returncode == code, done


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--", "echo", "hi"],
        ["job", "submit", "--", "true"],
        ["job", "list"],
        ["job", "list", "--json"],
        ["job", "show", "99999", "--json"],
        ["job", "show", "some"],
        ["job", "wait", "some"],
        ["job", "logs", "some"],
        ["job", "cancel", "some"],
        ["worker", "list"],
        ["token", "list"],
        ["user", "list"],
        ["status"],
        ["config", "show"],
        ["completion", "bash"],
        ["up"],
        ["--help"],
        ["--version"],
        [],
    ],
    ids=" ".join,
)
def test_an_output_that_is_lost_is_one_line_and_74(cluster: Command, arguments: list[str]) -> None:
    if "some" in arguments and cluster("job", "show", "some").code:
        cluster("run", "--name", "some", "--", "echo", "some")
    done = run_with(cluster, arguments, ">/dev/full")
    last = done.stderr.splitlines()[-1]  # `run` may have had to wait for the scheduler
    assert (done.returncode, last.partition(";")[0]) == (IO_ERROR, "cluster: standard output: No space left on device")
    assert done.stderr.count("No space left") == 1, done
    if arguments[1:2] == ["submit"]:
        assert "is submitted all the same" in last
