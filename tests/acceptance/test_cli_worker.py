"""`cluster worker`: alone with its own API, with scripts, and joined to a scheduler by token; and people who log in."""

import getpass
import os
import re
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.cli.main import run
from tests.acceptance.command import Command
from tests.acceptance.terminal import on_a_terminal
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

COUNT = "for i in $(seq $1); do echo $i; done\n"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Command, str]]:
    """A worker without a scheduler, and where it listens."""
    scripts = tmp_path / "scripts"
    (scripts / "deep").mkdir(parents=True)
    (scripts / "count.sh").write_text(COUNT)
    (scripts / "deep" / "tool").write_text("#!/bin/sh\necho tool $1\n")
    (scripts / "deep" / "tool").chmod(0o755)
    (scripts / "out").symlink_to("/etc")
    command = Command(tmp_path)
    arguments = [
        "--standalone",
        "--listen",
        "127.0.0.1:0",
        "--scripts",
        str(scripts),
        "--run-as",
        "root",
        "--stop-jobs",
    ]
    with command.started("worker", *_as_ourselves(arguments)) as process:
        assert process.stdout
        address = re.search(r"its own API on (\S+)", process.stdout.readline().decode())
        assert address
        yield command, address[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def _as_ourselves(arguments: list[str]) -> list[str]:
    """With the rights of whoever runs the tests."""
    return [getpass.getuser() if word == "root" else word for word in arguments]


def test_a_lone_worker_takes_the_same_verbs(alone: tuple[Command, str]) -> None:  # S2.5, S2.10
    cluster, at = alone
    done = cluster("job", "--direct", at, "run", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.code, done.out, done.err) == (3, b"out\n", "err\n")
    number = cluster.ok("job", "submit", "--direct", at, "--quiet", "--", "sleep", "1000").text.strip()
    assert cluster.ok("job", "cancel", "--direct", at, number).text == "cancelling 1 task\n"
    assert cluster("job", "wait", "--direct", at, number).code == 143
    assert "nothing to cancel" in cluster.ok("job", "cancel", "--direct", at, number).text  # S2.11
    shown = cluster.ok("job", "show", "--direct", at, number, "--json").json
    assert uuid.UUID(shown["id"]).version == 7
    assert (shown["state"], shown["task_details"][0]["signal"]) == ("cancelled", "SIGTERM")
    past = cluster.ok("job", "--direct", at, "list", "--json").json
    assert [job["exit_code"] for job in past] == [143, 3]
    assert cluster.ok("job", "logs", past[1]["id"], env={"CLUSTER_DIRECT": at}).text == "out\n"
    quiet = cluster("job", "run", "--direct", at, "--quiet-timeout", "1", "--", "sleep", "1000")
    assert (quiet.code, "(timeout:quiet)" in quiet.err) == (143, True)


def test_a_lone_worker_tells_what_a_python_program_raised(alone: tuple[Command, str]) -> None:
    cluster, at = alone
    fails = "import sys; print(50_000 * 'x', file=sys.stderr); {}['x']"
    for options in ([], ["--merge-output"]):
        cluster("job", "run", "--direct", at, "-q", "--name", "raises", *options, "--", sys.executable, "-c", fails)
        for verb in ("show", "why"):
            assert "exception     KeyError: 'x' (<string>:1)\n" in cluster.ok("job", verb, "--direct", at, "last").text
    assert "stdout        xxx" in cluster.ok("job", "why", "--direct", at, "last").text
    cluster("job", "run", "--direct", at, "-q", "--", "false")
    assert cluster.ok("job", "show", "--direct", at, "last", "--json").json["task_details"][0]["exception"] is None


def test_scripts_run_with_any_interpreter_or_by_themselves(alone: tuple[Command, str]) -> None:  # S2.7, S2.8
    cluster, at = alone
    counted = cluster.ok("job", "run", "--direct", at, "--script", "count.sh", "--with", "bash", "--", "3")
    assert counted.text == "1\n2\n3\n"
    assert cluster.ok("job", "run", "--direct", at, "--script", "deep/tool", "--", "x").text == "tool x\n"
    assert cluster.ok("job", "run", "--direct", at, "--", "echo", "no script").text == "no script\n"


@pytest.mark.parametrize(("script", "code"), [("missing.sh", 126), ("out/passwd", 126), ("deep/../../x", 2)])
def test_a_script_that_is_not_in_the_folder_is_refused(
    alone: tuple[Command, str], script: str, code: int
) -> None:  # S2.9
    cluster, at = alone
    done = cluster("job", "run", "--direct", at, "--script", script, "--with", "cat")
    assert (done.code, done.out) == (code, b"")
    assert script in done.err
    assert done.err.count("\n") == 1


def test_a_lone_worker_is_found_with_its_credentials(tmp_path: Path) -> None:
    """Beside the cluster that `up` made, `--at` took that one's credentials, and OpenSSL said what it thought."""
    command, own = Command(tmp_path), Command(tmp_path / "own")
    command.ok("up")
    alone = ["--standalone", "--directory", str(own.home), "--listen", "127.0.0.1:0", "--run-as", getpass.getuser()]
    try:
        with command.started("worker", *alone, "--stop-jobs") as process:
            assert process.stdout
            line = process.stdout.readline().decode()
            at = line.split()[-1]
            port = at.rpartition(":")[2]
            for address in (at, f"localhost:{port}"):
                assert command.ok("run", "--direct", address, "--", "echo", "alone").text == "alone\n"
            others = str(command.home / "scheduler" / "admin.pem")
            done = command("job", "--direct", at, "--credentials", others, "list")
            assert (done.code, done.err.count("\n")) == (77, 1)
            assert "is of another cluster than user/admin: name its own with --credentials FILE" in done.err
            assert "issuer" not in done.err
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        assert not list((command.home / "alone").iterdir())
    finally:
        command.ok("down")


def test_where_there_is_but_a_lone_worker_it_is_the_cluster(tmp_path: Path) -> None:
    """`run` and `up` said 75 and spoke of another cluster, and `status` that there was none."""
    command = Command(tmp_path)
    alone = ["--standalone", "--listen", "127.0.0.1:0", "--run-as", getpass.getuser(), "--stop-jobs"]
    with command.started("worker", *alone) as process:
        assert process.stdout
        at = process.stdout.readline().decode().split()[-1]
        assert command.ok("run", "--", "echo", "hi").text == "hi\n"
        said = command.ok("status").text
        assert f"at {at}, one worker alone" in said
        assert "admin, with the role admin, by a certificate until " in said
        assert command.ok("job", "list", "--quiet").text == "1\n"
        done = command("up")
        assert (done.code, done.out, done.err.count("\n")) == (75, b"", 1)
        assert "stands alone" in done.err
        assert "--home DIR" in done.err
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    for verb in (["status"], ["job"], ["run", "--", "true"], ["up"]):
        done = command(*verb)
        assert (done.code, done.out, done.err.count("\n")) == (75, b"", 1), done
        assert "`cluster worker --standalone`" in done.err


def test_a_worker_offers_the_gpus_that_nvidia_smi_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\ntest "$*" = "--query-gpu=index --format=csv,noheader" && printf "0\\n3\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    command = Command(tmp_path)
    alone = ["--standalone", "--listen", "127.0.0.1:0", "--run-as", getpass.getuser(), "--stop-jobs"]
    with command.started("worker", *alone) as process:
        assert process.stdout
        process.stdout.readline()
        assert command.ok("run", "--gpus", "2", "--", "printenv", "CUDA_VISIBLE_DEVICES").text == "0,3\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_worker_whose_scheduler_was_stopped_here_says_so(tmp_path: Path) -> None:
    """It tried again for ever and named an address alone."""
    command = Command(tmp_path)
    command.ok("up")
    command.ok("down")
    with command.started("worker", "--listen", "none", "--run-as", getpass.getuser(), "--stop-jobs") as process:
        assert process.stderr
        said = ""
        while "not connected" not in said:
            said += process.stderr.readline().decode()
        assert f"in {command.home / 'scheduler'}, and does not run: `cluster up`, where that made it" in said
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("flag", ["--scheduler", "--direct"])
def test_all_addresses_of_a_machine_are_none_to_connect_to(command: Command, flag: str) -> None:
    for host in ("0.0.0.0", "[::]"):
        done = command("job", flag, f"{host}:50000", "list")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert f"'{host}:50000' is where a server listens" in done.err
    done = command("worker", "--scheduler", "0.0.0.0:50000", "--listen", "none")
    assert (done.code, "127.0.0.1 is this one" in done.err) == (2, True)


def test_a_lone_worker_says_at_once_what_it_is_too_small_for(alone: tuple[Command, str]) -> None:
    """It said that its cpus were in use, for ever."""
    cluster, at = alone
    done = cluster.ok("job", "--direct", at, "submit", "--quiet", "--cpus", "9999", "--", "true")
    assert "no worker that there is now can run it: needs 9999 cpus; this worker has " in done.err
    cluster.ok("job", "--direct", at, "cancel", done.text.strip())


def test_a_lone_worker_says_what_only_a_scheduler_can(alone: tuple[Command, str]) -> None:
    cluster, at = alone
    assert "ask the scheduler" in cluster("worker", "list", "--direct", at).err
    assert "a single worker, which keeps no sums of the past" in cluster("usage", "--direct", at).err
    array = cluster("job", "run", "--direct", at, "--array", "1-2", "--", "true")
    assert (array.code, array.err.count("\n")) == (2, 1)
    assert "array" in array.err
    nobody = cluster("job", "--direct", "127.0.0.1:1", "list")
    assert nobody.code == 75
    assert "127.0.0.1:1 cannot be reached: Connection refused" in nobody.err
    unheard = cluster("run", "--direct", "127.0.0.1:1", "--", "true")
    assert unheard.code == 75
    assert "accepted" not in unheard.err


def test_a_cluster_of_machines_is_one_pasted_line_each(tmp_path: Path) -> None:  # S2.1, S2.2, S2.3, S2.4, S3.14
    """Scheduler, worker and user, each in a home of its own, with nothing in common but what is pasted."""
    head, machine, laptop = (Command(tmp_path / name) for name in ("head", "machine", "laptop"))
    with ExitStack() as stack:
        scheduler = stack.enter_context(
            head.started("scheduler", "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1")
        )
        assert scheduler.stdout
        lines = [scheduler.stdout.readline().decode() for _ in range(3)]
        token = lines[2].split()[-1]
        line = _as_ourselves(
            ["worker", "--join", token, "--name", "one", "--listen", "none", "--run-as", "root", "--stop-jobs"]
        )
        worker = stack.enter_context(machine.started(*line))
        assert worker.stdout
        assert b"worker one" in worker.stdout.readline()
        refused = machine("run", "--", "true")  # and starts no cluster of its own beside the worker
        assert (refused.code, refused.err.count("\n")) == (77, 1)
        assert "cluster login" in refused.err
        made = head.ok("token", "create", "--role", "user", "--user", "ann", "--quiet").text.strip()
        wrong = laptop("worker", "--join", made)
        assert (wrong.code, wrong.err.count("\n")) == (2, 1)
        assert "user ann: `cluster login` takes it" in wrong.err
        (tmp_path / "file").touch()
        assert Command(tmp_path / "file")("login", made).code != 0
        assert "you are ann" in laptop.ok("login", made).text  # neither of the two has used it up
        assert laptop.ok("run", "--", "echo", "hello").text == "hello\n"
        assert laptop.ok("job", "list", "--json").json[0]["owner"] == "ann"
        assert laptop("token", "create").code == 77
        _one_identity_for_another(head, laptop)
        used = Command(tmp_path / "other")("login", made)
        assert used.code == 77
        assert "used up" in used.err
        for process in (worker, scheduler):
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0


def _one_identity_for_another(head: Command, laptop: Command) -> None:
    """It is given up only by whoever says so; and `logout` leads back to one's own cluster."""
    another = head.ok("token", "create", "--role", "viewer", "--user", "bea", "--quiet").text.strip()
    refused = laptop("login", another)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "you are ann of the cluster at " in refused.err
    assert "`cluster login --yes TOKEN` replaces it" in refused.err
    for answer, code in (("n", 1), ("y", 0)):
        with on_a_terminal(laptop, "login", another) as terminal:
            terminal.wait_for("Replace that? [y/N]")
            terminal.type(f"{answer}\n")
            terminal.wait_for("you are bea of" if answer == "y" else "nothing was done")
            assert terminal.process.wait(PATIENCE) == code
    me = laptop.ok("status", "--json").json
    assert (me["user"], me["role"]) == ("bea", "viewer")
    denied = laptop("job", "cancel", "1")
    assert denied.code == 77
    assert "`cluster job cancel`" in denied.err
    assert laptop.ok("logout").text.startswith("you were bea of the cluster at ")
    assert not list((laptop.home / "user").glob("c*"))
    assert "no cluster is configured" in laptop("job").err
    assert "had not logged in" in laptop.ok("logout").text
    third = head.ok("token", "create", "--role", "user", "--user", "cyd", "--quiet").text.strip()
    assert "you are cyd" in laptop.ok("login", third).text  # there was nothing to lose


def test_the_workers_name_places_a_job(cluster: Command) -> None:  # S2.7
    (worker,) = cluster.ok("worker", "list", "--json").json
    for name in (worker["name"], worker["id"]):
        assert cluster.ok("run", "--worker", name, "--", "echo", "here").text == "here\n"


def test_only_a_port_that_nobody_named_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("cluster.cli.workers._serve", lambda options: asked.append(options["or_next_port"]))
    monkeypatch.setenv("CLUSTER_CONFIG", str(tmp_path / "config.toml"))
    for said, words in [("", []), ("", ["--listen", "127.0.0.1:30000"]), ('[worker]\nlisten = "127.0.0.1:30000"', [])]:
        (tmp_path / "config.toml").write_text(said)
        assert run(["worker", *words]) == 0
    monkeypatch.setenv("CLUSTER_WORKER_LISTEN", "127.0.0.1:30000")
    assert run(["worker"]) == 0
    assert asked == [True, False, False, False]
