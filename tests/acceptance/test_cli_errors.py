"""Bad input: one clear line that says what, which value and what to do; the right exit code; no traceback."""

import json
import socket
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from cluster.domain.trust.identity import IdentityKind
from cluster.pki.authority import create_authority
from cluster.pki.files import private_directory, save_credentials
from tests.acceptance.command import Command, Done, someones_credentials
from tests.patience import PATIENCE

UNREACHABLE, WRONG_USAGE = 75, 2


def refused(done: Done, code: int, *words: str) -> None:
    """One line on stderr with these words, nothing on stdout, this exit code."""
    assert (done.code, done.out) == (code, b""), done
    assert done.err.startswith("cluster: "), done
    assert done.err.count("\n") == 1, done
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ["'nonsense'", "cluster --help"]),
        (["--nonsense"], ["--nonsense"]),
        (["run", "--nonsense", "--", "true"], ["--nonsense", "cluster run --help"]),
        (["run"], ["the command is empty", "cluster run -- echo hello"]),
        (["run", "--", ""], ["the command is empty"]),
        (["run", "--cpus", "many", "--", "true"], ["--cpus", "'many'", "0.5"]),
        (["run", "--cpus", "0", "--", "true"], ["--cpus", "'0'"]),
        (["run", "--timeout", "soon", "--", "true"], ["--timeout", "'soon'", "1h30m"]),
        (["run", "--array", "9-1", "--", "true"], ["--array", "'9-1'", "1-1000:2"]),
        (["run", "--array", "1-5,3", "--", "true"], ["3", "list each once"]),
        (
            ["run", "--array", "1-2", "--each-line", "/proc/self/stat", "--", "true"],
            ["no line 2; there are 1"],
        ),
        (["run", "--each-line", "/no/such/file", "--", "true"], ["/no/such/file", "No such file"]),
        (["job", "submit", "--each-line", "-", "--", "true"], ["--each-line -: it is empty", "so no job is submitted"]),
        (["run", "--env", "CLUSTER_TASK=7", "--", "true"], ["CLUSTER_TASK", "another name"]),
        (["run", "--env", "NO_SUCH_THING", "--", "true"], ["NO_SUCH_THING", "VALUE"]),
        (["run", "--env", "=x", "--", "true"], ["NAME=VALUE"]),
        (["run", "--env", "A B=3", "--", "true"], ["'A B'", "no space in NAME"]),
        (["run", "--env", "A B", "--", "true"], ["'A B' is not a name", "no space in NAME"]),
        (["run", "--cwd", "below", "--", "true"], ["--cwd 'below'", "not absolute", "that begins with /"]),
        (["run", "--name", "a.5", "--", "true"], ["'a.5'", "tasks 5 of 'a'", "use - or _"]),
        (["run", "--array", "abc", "--", "true"], ["--array': 'abc' names no task numbers"]),
        (["help", "nonsense"], ["'nonsense'", "cluster --help"]),
        (["run", "--with", "bash", "--", "true"], ["--with bash", "--script"]),
        (["run", "--script", "../x.sh", "--with", "bash"], ["'../x.sh'", "scripts folder"]),
        (["run", "--script", "/etc/passwd", "--with", "cat"], ["'/etc/passwd'", "scripts folder"]),
        (["run", "--retries", "-1", "--", "true"], ["--retries", "-1"]),
        (["job", "show"], ["SELECTOR", "cluster job show --help"]),
        (["job", "list", "--state", "odd"], ["'odd'", "running"]),
        (["job", "logs", "--tail", "x", "5"], ["--tail", "'x'"]),
        (["token", "create", "--role", "king"], ["'king'", "worker"]),
        (["token", "create", "--role", "user"], ["--user NAME"]),
        (["token", "create", "--user", "ada"], ["ada", "--role user"]),
        (["job", "sumbit"], ["'sumbit'", "did you mean submit?", "cluster job --help"]),
        (["logs", "5"], ["'logs'", "did you mean `cluster job logs`?"]),
        (["submit"], ["did you mean `cluster job submit`?"]),
        (["why", "5"], ["did you mean `cluster job why`?"]),
        (["ps"], ["'ps'", "did you mean `cluster job list`?"]),
        (["nodes"], ["did you mean `cluster worker list`?"]),
        (["kill", "5"], ["did you mean `cluster job cancel`?"]),
        (["jobs"], ["did you mean `cluster job list`?"]),
        (["completion", "tcsh"], ["'tcsh'", "bash"]),
        (["completion"], ["Choose from: bash, zsh, fish;"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(command: Command, arguments: list[str], words: list[str]) -> None:
    # A scheduler is named, so that nothing is started here; it is never asked, or is not there.
    variables = {"CLUSTER_SCHEDULER": "127.0.0.1:1", "CLUSTER_CREDENTIALS": str(someones_credentials(command.home))}
    refused(command(*arguments, env=variables), WRONG_USAGE, *words)


def test_a_scheduler_that_is_not_there_is_75(command: Command) -> None:
    credentials = str(someones_credentials(command.home))
    for arguments in (["run", "--", "true"], ["job"], ["job", "wait", "1"], ["worker", "list"], ["token", "list"]):
        done = command(*arguments, env={"CLUSTER_SCHEDULER": "127.0.0.1:1", "CLUSTER_CREDENTIALS": credentials})
        refused(done, UNREACHABLE, "127.0.0.1:1 cannot be reached", "Connection refused")


def test_no_cluster_at_all_says_how_to_get_one(command: Command) -> None:
    refused(command("job"), UNREACHABLE, "no cluster is configured", "cluster up", "CLUSTER_SCHEDULER")


def test_no_credentials_says_where_they_would_be(command: Command) -> None:
    refused(
        command("job", env={"CLUSTER_SCHEDULER": "127.0.0.1:1"}),
        1,
        "no credentials",
        str(command.home),
        "--credentials",
    )


def test_addresses_that_are_none_are_named(command: Command) -> None:
    credentials = str(someones_credentials(command.home))
    done = command("job", "list", "--scheduler", "head", "--credentials", credentials)
    refused(done, WRONG_USAGE, "'head' has no port")
    both = ["--scheduler", "a:1", "--direct", "b:2"]
    refused(command("job", "list", *both, "--credentials", credentials), WRONG_USAGE, "a:1", "b:2", "give one")


def test_credentials_that_others_may_read_are_refused(command: Command) -> None:
    credentials = someones_credentials(command.home)
    credentials.chmod(0o644)
    done = command("job", env={"CLUSTER_SCHEDULER": "127.0.0.1:1", "CLUSTER_CREDENTIALS": str(credentials)})
    refused(done, 1, str(credentials), "chmod 600")


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("nonsense", ["no join token"]),
        ("C1.head:50001.abc", ["incomplete"]),
        (f"C1.head:50001.{'0' * 64}.short", ["the secret", "whole and unchanged"]),
        (f"C1.head:50001.{'x' * 64}.{'a' * 32}", ["the pin"]),
    ],
)
def test_a_bad_token_is_wrong_usage(command: Command, token: str, words: list[str]) -> None:
    done = command("worker", "--join", token, "--listen", "none")
    refused(done, WRONG_USAGE, *words)
    assert token.rpartition(".")[2] not in done.err or token == "nonsense"  # a secret is never repeated


@pytest.mark.parametrize("words", [[], ["join"]])
def test_a_token_without_its_flag_is_not_repeated(command: Command, words: list[str]) -> None:
    secret = "a" * 32
    done = command("worker", *words, f"C1.head:50001.{'0' * 64}.{secret}")
    refused(done, WRONG_USAGE, "cluster worker --join TOKEN")
    assert secret not in done.err


def test_a_worker_without_a_cluster_is_told_what_to_do(command: Command) -> None:
    refused(command("worker", "--listen", "none"), 1, "--join TOKEN", "--standalone")
    done = command("worker", "--listen", "none", "--join", f"C1.head:50001.{'0' * 64}.{'a' * 32}", "--standalone")
    refused(done, WRONG_USAGE, "--join and --standalone exclude each other")


def test_a_worker_that_never_joined_must_be_told_where_its_scheduler_is(command: Command) -> None:
    now = time.time()
    authority = create_authority(command.home / "some-ca.pem", "0123456789abcdef", now)
    identity = authority.identity(IdentityKind.WORKER, str(uuid.uuid4()))
    directory = private_directory(command.home / "worker")  # as certs/gen.py makes it
    save_credentials(directory / "worker.pem", authority.issue(identity, now))
    refused(command("worker", "--listen", "none"), WRONG_USAGE, "--scheduler HOST:PORT")


def last_line(done: Done) -> str:
    """Of a daemon, which logs on stderr before it gives up."""
    assert done.code != 0
    assert "Traceback" not in done.err
    line = done.err.splitlines()[-1]
    assert line.startswith("cluster: "), done
    return line


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = last_line(command("scheduler", "--listen", address, "--join-listen", "127.0.0.1:0"))
        assert address in line
        line = last_line(command("scheduler", "--listen", "127.0.0.1:0", "--join-listen", address))
        assert address in line
    # Nothing was made: it would pass for a cluster that is stopped, and no other could be started here.
    assert "no cluster is configured" in command("job").err


@pytest.mark.slow
def test_a_directory_of_two_clusters_is_refused(command: Command, tmp_path: Path) -> None:
    other = Command(tmp_path / "other")
    for cluster in (command, other):
        with cluster.started("scheduler", "--listen", "127.0.0.1:0") as process:
            assert process.stdout
            process.stdout.readline()
            process.terminate()
            assert process.wait(PATIENCE) == 0
    ours = command.home / "scheduler" / "ca.pem"
    ours.write_bytes((other.home / "scheduler" / "ca.pem").read_bytes())
    line = last_line(command("scheduler", "--listen", "127.0.0.1:0"))
    assert "two clusters" in line or "another cluster" in line or "the CA beside it" in line


@pytest.mark.parametrize("lease", ["0", "0.2", "2d"])
def test_a_lease_that_no_worker_could_hold_is_refused(command: Command, lease: str) -> None:
    """A scheduler with a lease of 0 s began to serve, and lost every job."""
    done = command("scheduler", "--listen", "127.0.0.1:0", "--lease", lease)
    refused(done, WRONG_USAGE, "a lease of", "use 1 to 86400 s")


def test_a_host_to_advertise_that_is_none_is_named(command: Command) -> None:
    for host in ("a b", "head:50000", "ümlaut"):
        done = command("scheduler", "--listen", "127.0.0.1:0", "--advertise", host)
        refused(done, WRONG_USAGE, f"--advertise '{host}' is no host")


def test_what_a_role_cannot_listen_on_is_wrong_usage(command: Command) -> None:
    refused(command("scheduler", "--listen", "nonsense"), WRONG_USAGE, "'nonsense'", "host:port")


def test_with_json_an_error_is_a_document_on_stdout(command: Command) -> None:
    done = command("job", "list", "--json")
    assert (done.code, done.err) == (UNREACHABLE, "")
    assert done.json["error"]["exit_code"] == UNREACHABLE
    assert "no cluster is configured" in done.json["error"]["message"]
    wrong = command("job", "show", "--json")
    assert (wrong.code, json.loads(wrong.out)["error"]["exit_code"]) == (WRONG_USAGE, WRONG_USAGE)


def test_a_json_flag_of_the_jobs_command_is_not_ours(command: Command) -> None:
    credentials = str(someones_credentials(command.home))
    done = command(
        "run", "--", "x", "--json", env={"CLUSTER_SCHEDULER": "127.0.0.1:1", "CLUSTER_CREDENTIALS": credentials}
    )
    refused(done, UNREACHABLE, "cannot be reached")


def test_a_bug_is_one_line_with_the_way_to_its_traceback(command: Command) -> None:
    (command.home / "scheduler").mkdir(mode=0o700)
    (command.home / "scheduler" / "scheduler.json").write_text('{"address": "x"}')
    (command.home / "scheduler" / "admin.pem").mkdir()  # nothing that a person would do
    done = command("job")
    assert done.code in (1, 70, 74)
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("stream", ["/dev/full", "&-"])
def test_an_output_that_takes_nothing_is_no_bug_of_ours(command: Command, stream: str) -> None:
    """A full disk behind a redirection is one line; a closed stdout is whoever closed it not wanting to know."""
    line = f'"$@" >{stream}'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *command.line("config", "show")],
        env=command.environment({}),
        capture_output=True,
        text=True,
    )
    expected = (74, "cluster: standard output: No space left on device\n") if stream == "/dev/full" else (0, "")
    assert (done.returncode, done.stderr) == expected


@pytest.mark.parametrize("empty", [b"\n", b"\n\n", b"\n\n\n"])
def test_a_file_without_a_line_that_says_something_is_refused(command: Command, empty: bytes) -> None:
    """One empty line was an error, and two were two tasks."""
    variables = {"CLUSTER_SCHEDULER": "127.0.0.1:1", "CLUSTER_CREDENTIALS": str(someones_credentials(command.home))}
    done = command("run", "--each-line", "-", "--", "true", stdin=empty, env=variables)
    refused(done, WRONG_USAGE, "--each-line -", "no lines but empty ones")


def test_a_misspelt_variable_is_told_and_others_programs_are_left_alone(command: Command) -> None:
    done = command("completion", "bash", env={"CLUSTER_SHEDULER": "x", "CLUSTER_RUN_CPU": "2", "CLUSTER_NAME": "eu-1"})
    assert done.code == 0
    assert done.err.splitlines() == [
        "cluster: the variable CLUSTER_RUN_CPU means nothing here: did you mean CLUSTER_RUN_CPUS?",
        "cluster: the variable CLUSTER_SHEDULER means nothing here: did you mean CLUSTER_SCHEDULER?",
    ]
    right = {"CLUSTER_RUN_CPUS": "2", "CLUSTER_WORKER_JOIN": "x", "CLUSTER_JOB_LIST_LIMIT": "5", "CLUSTER_DEBUG": "1"}
    assert command("completion", "bash", env={**right, "CLUSTER_TASK": "1"}).err == ""
