"""The embedded cluster: started by the first `run`, once; found again; restarted after a crash; stopped in order."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from cluster.cli import confirmation, embedded, processes, up
from cluster.client import discovery
from cluster.domain.base.errors import ClusterError, Unreachable
from cluster.domain.trust.identity import IdentityKind
from cluster.pki.authority import create_authority
from cluster.pki.files import locked, private_directory, save_credentials, write_private
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons, free_port
from tests.acceptance.terminal import on_a_terminal
from tests.descriptors import open_files
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def own(command: Command) -> Iterator[Command]:
    """A home whose embedded cluster, if the test starts one, is stopped at the end."""
    yield command
    command.ok("down")


def is_alive(pid: int) -> bool:
    return processes.find(pid) is not None


def test_the_first_run_starts_a_cluster_and_says_how_to_stop_it(own: Command) -> None:
    done = own.ok("run", "--", "echo", "hello")
    assert done.out == b"hello\n"
    assert "started a cluster on this machine" in done.err
    assert "cluster down" in done.err
    again = own.ok("run", "--", "echo", "again")
    assert (again.out, again.err) == (b"again\n", "")


def test_first_runs_at_once_start_one_cluster(own: Command) -> None:
    line, env = own.line("run", "--", "echo", "hello"), own.environment({})
    runs = [subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    ends = [(*run.communicate(timeout=PATIENCE), run.returncode) for run in runs]
    assert [(out, code) for out, _, code in ends] == [(b"hello\n", 0)] * 3
    assert sum(b"started a cluster" in err for _, err, _ in ends) == 1
    assert len(own.ok("job", "list", "--json").json) == 3


def say(root: Path, pid: int, port: int) -> None:
    """What a scheduler with that pid says of itself, and `up` of the one that it has started."""
    write_private(root / "scheduler" / "scheduler.json", json.dumps({"address": f"a:{port}", "pid": pid}).encode())
    process = {"pid": pid, "started": 1, "boot": ""}
    write_private(root / "embedded.json", json.dumps({"scheduler": process}).encode())


def killed(root: Path) -> None:
    """An embedded cluster whose processes were killed."""
    authority = create_authority(private_directory(root / "scheduler") / "ca.pem", "0123456789abcdef", time.time())
    admin = authority.issue(authority.identity(IdentityKind.USER, "admin"), time.time())
    save_credentials(root / "scheduler" / "admin.pem", admin)
    say(root, 1, 1)


def test_who_looks_while_the_cluster_is_started_anew_finds_the_new_one_and_that_it_is_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a job would not run in the caller's directory, and its files would be deleted."""
    killed(tmp_path)
    is_embedded = discovery.is_embedded

    def is_embedded_meanwhile(root: Path, said: dict[str, Any]) -> bool:
        if said["pid"] == 1:
            say(tmp_path, 2, 2)
        return is_embedded(root, said)

    monkeypatch.setattr(discovery, "is_embedded", is_embedded_meanwhile)
    place = discovery.local_endpoint(tmp_path)
    assert (place.address, place.is_embedded) == ("a:2", True)


def test_what_a_killed_scheduler_said_of_itself_is_not_taken_for_somebody_elses_while_another_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(tmp_path)
    process = processes.find(os.getpid())
    assert process

    def start(
        arguments: list[str], root: Path, log: Path, born: Callable[[processes.Process], None]
    ) -> processes.Process:
        born(process)
        if arguments[0] == "scheduler":
            with pytest.raises(discovery.NotConfigured, match="`cluster up` starts it again"):
                discovery.local_endpoint(root)
            status = json.dumps({"address": "a:2", "pid": process.pid}).encode()
            write_private(root / "scheduler" / "scheduler.json", status)
        place = discovery.local_endpoint(root)
        assert (place.address, place.is_embedded) == ("a:2", True)
        return process

    monkeypatch.setattr(processes, "start", start)
    assert embedded.up(tmp_path)


def test_a_start_that_failed_without_a_word_tells_of_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "program", lambda: ["false"])
    for free, words in [
        (4096, r"without a word: its disk is full, 4\.0 KiB are left \("),
        (1 << 30, r"without a word \("),
    ]:
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=free: SimpleNamespace(free=free))
        with pytest.raises(processes.DidNotStart, match=words):
            processes.start([], tmp_path, tmp_path / "log", lambda process: None)


def test_who_does_not_become_ready_and_does_not_end_either_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = tmp_path / "deaf"
    os.mkfifo(deaf)
    monkeypatch.setattr(processes, "program", lambda: ["sh", "-c", f"trap '' TERM; echo > {deaf}; exec sleep 1000"])
    monkeypatch.setattr(processes, "START_PATIENCE", 0.0)
    monkeypatch.setattr(processes, "END_PATIENCE", 0.0)
    started: list[processes.Process] = []

    def born(process: processes.Process) -> None:
        started.append(process)
        deaf.read_text()

    with pytest.raises(processes.DidNotStart):
        processes.start([], tmp_path, tmp_path / "log", born)
    assert not processes.is_alive(started[0])


def test_who_takes_the_port_for_joining_does_not_move_the_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    taken: set[int] = set()

    def start(root: Path, running: dict[str, processes.Process | None], daemon: str, arguments: list[str]) -> None:
        asked.append(arguments)
        if not taken:  # between our look and the scheduler's
            taken.add(embedded.DEFAULT_JOIN_PORT)
            raise ClusterError("cannot listen")

    monkeypatch.setattr(embedded, "_start", start)
    monkeypatch.setattr(embedded, "_is_free", lambda port: port not in taken)
    write_private(tmp_path / "embedded.json", b'{"address": "127.0.0.1:18000"}')
    embedded._start_scheduler(tmp_path, {}, [])
    assert [(words[1], words[3]) for words in asked] == [
        ("127.0.0.1:18000", f"127.0.0.1:{embedded.DEFAULT_JOIN_PORT}"),
        ("127.0.0.1:18000", "127.0.0.1:0"),
    ]


def test_a_current_directory_that_is_gone_is_named(own: Command, tmp_path: Path) -> None:
    own.ok("up")
    gone = tmp_path / "gone"
    gone.mkdir()
    line = ["sh", "-c", 'rmdir "$1" && shift && exec "$@"', "sh", str(gone), *own.line("run", "--", "true")]
    done = subprocess.run(line, cwd=gone, env=own.environment({}), capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "the current directory cannot be used (No such file or directory)" in done.stderr


def test_up_and_down_twice_do_no_harm(own: Command) -> None:
    assert "started a cluster" in own.ok("up").text
    started = own.pids()
    assert "runs already" in own.ok("up").text
    assert own.pids() == started
    assert own.ok("down").text == "stopped the worker and its jobs\nstopped the scheduler\n"
    assert not any(map(is_alive, started.values()))
    assert "no cluster" in own.ok("down").text


def test_other_cpus_for_a_cluster_that_runs_are_refused(own: Command) -> None:
    """`up --cpus 4` said that it runs already, with two."""
    own.ok("up", "--cpus", "2")
    assert "runs already" in own.ok("up", "--cpus", "2").text
    done = own("up", "--cpus", "4")
    assert (done.code, done.out, done.err.count("\n")) == (1, b"", 1)
    assert "runs already, with 2 cpus: for 4 `cluster down` must stop it first" in done.err
    own.ok("down")
    own.ok("up")
    assert "runs already, with all cpus: for 4 " in own("up", "--cpus", "4").err


def test_status_tells_what_this_is_on_one_screen(own: Command) -> None:
    own.ok("up", "--cpus", "2")
    gate = own.home / "gate"
    os.mkfifo(gate)
    job = own.ok("job", "submit", "-q", "--name", "shown", "--", "sh", "-c", f"read x < {gate}").text.strip()
    own.wait_until_running(job)
    lines = own.ok("status").text.splitlines()
    facts = {line.split()[0]: line for line in lines[:4]}
    assert list(facts) == ["cluster", "you", "workers", "jobs"]
    assert "which `cluster up` started here" in facts["cluster"]
    assert "admin, with the role admin, by a certificate until " in facts["you"]
    assert "1 online; 1 of 2 cpus in use" in facts["workers"]
    assert "1 running, 0 waiting" in facts["jobs"]
    assert any("shown" in line for line in lines[5:])
    said = own.ok("status", "--json").json
    assert (said["user"], said["role"], said["workers"]) == ("admin", "admin", {"online": 1})
    assert (said["jobs_running"], said["cpus"]) == (1, 2.0)
    gate.write_text("\n")
    own.ok("down")
    stopped = own("status")
    assert (stopped.code, stopped.err.count("\n")) == (75, 1)


def test_a_cluster_that_is_stopped_is_said_to_be(own: Command) -> None:
    own.ok("up")
    own.ok("down")
    done = own("job")
    assert (done.code, done.err.count("\n")) == (75, 1)
    assert "the cluster on this machine is stopped: `cluster up` starts it again" in done.err


def test_nothing_but_loopback_is_listened_on(own: Command) -> None:
    own.ok("up")
    addresses = [address for pid in own.pids().values() for address in listening(pid)]
    assert len(addresses) >= 3  # the scheduler's two, the worker's one
    assert all(address.endswith("0100007F") for address in addresses)  # 127.0.0.1, as itself or mapped into IPv6


def listening(pid: int) -> list[str]:
    """Addresses that a process listens on, in proc(5)'s hexadecimal."""
    sockets = set(open_files(pid))
    lines = [line.split() for v in ("tcp", "tcp6") for line in Path(f"/proc/net/{v}").read_text().splitlines()[1:]]
    return [line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]


def test_down_kills_running_jobs_and_keeps_the_waiting_ones(own: Command, tmp_path: Path) -> None:
    own.ok("up", "--cpus", "1")
    marks = tmp_path / "marks"
    own.ok("job", "submit", "--", "sh", "-c", "echo $$; exec sleep 1000")
    own.ok("job", "submit", "--name", "later", "--", "sh", "-c", f"echo ran >> {marks}")
    with own.started("job", "logs", "-f", "1") as logs:
        assert logs.stdout
        pid = int(logs.stdout.readline())
        own.wait_until_running("1")
        assert own.ok("down").text.endswith("\nthis job ran: 1\n")
    assert not is_alive(pid)
    own.ok("up")
    stopped = own.ok("job", "show", "1", "--json").json
    assert (stopped["state"], stopped["reason"], stopped["exit_code"]) == ("failed", "stopped", 143)
    assert own("job", "wait", "later").code == 0
    assert marks.read_text() == "ran\n"


def test_down_tells_jobs_of_other_workers_apart(own: Command) -> None:
    """It said that it had stopped them, and they went on."""
    own.ok("up", "--cpus", "1")
    with Daemons(own) as others:
        others.start_worker("other")
        try:
            names = {worker["name"] for worker in own.ok("worker", "list", "--json").json}
            for number, worker in enumerate(("other", *(names - {"other"})), 1):
                own.ok("job", "submit", "--worker", worker, "--", "sleep", "1000")
                own.wait_until_running(str(number))
            lines = own.ok("down").text.splitlines()
            assert lines[-2:] == [
                "this job ran: 2",
                "on other workers these go on, for 45 s (--lost-after) without a scheduler: 1",
            ]
        finally:
            own.ok("up")  # the other one ends with its jobs, and wants to tell somebody


def test_down_asks_on_a_terminal_while_jobs_run(own: Command) -> None:
    own.ok("up")
    job = own.ok("job", "submit", "--quiet", "--", "sh", "-c", "echo started; exec sleep 1000").text.strip()
    with own.started("job", "logs", "-f", job) as logs:
        assert logs.stdout
        assert logs.stdout.readline() == b"started\n"
    own.wait_until_running(job)
    with on_a_terminal(own, "down") as terminal:
        terminal.wait_for("1 job running here will be killed. Stop? [y/N]")
        terminal.type("n\n")
        terminal.wait_for("nothing was done")
        assert terminal.process.wait(PATIENCE) == 1
    assert all(map(is_alive, own.pids().values()))


def test_a_scheduler_that_has_failed_can_be_stopped_on_a_terminal_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failed(_: Path) -> tuple[list[int], list[int]]:
        raise Unreachable("the scheduler has stopped taking work and must be started again")

    asked: list[str] = []
    monkeypatch.setenv("CLUSTER_HOME", str(tmp_path))
    monkeypatch.setattr(up, "_running", failed)
    monkeypatch.setattr(confirmation, "is_terminal", lambda: True)
    monkeypatch.setattr(confirmation, "confirm", asked.append)
    monkeypatch.setattr(embedded, "is_running", lambda root: True)
    monkeypatch.setattr(embedded, "down", lambda root: ["stopped the scheduler"])
    done = CliRunner().invoke(up.down_command)
    assert (done.exception, done.output) == (None, "stopped the scheduler\n")
    assert [question.startswith("the scheduler has stopped taking work") for question in asked] == [True]


def lie_at_a_port_of_its_own(own: Command) -> None:
    """As if it had lain there before: at a port that nobody else is given while it is down."""
    write_private(own.home / "embedded.json", json.dumps({"address": f"127.0.0.1:{free_port()}"}).encode())


@contextmanager
def held_up(own: Command, daemon: str) -> Iterator[None]:
    """That one, if it is started in the body, does not become ready there."""
    if daemon == "scheduler":
        (own.home / daemon).mkdir(mode=0o700)
        with locked(own.home / daemon):
            yield
        return
    own.ok("up")
    worker = processes.find(own.pids()["worker"])
    assert worker
    os.kill(worker.pid, signal.SIGKILL)
    assert processes.wait_for_end(worker, PATIENCE)
    (own.home / daemon / f"{daemon}.lock").unlink()
    with own.frozen("scheduler"):
        yield


def lock_of(own: Command, daemon: str, starter: "subprocess.Popen[bytes]") -> Path:
    """Holds its pid, as soon as it has begun."""
    lock = own.home / daemon / f"{daemon}.lock"
    while not lock.exists() or not lock.read_text():
        assert starter.poll() is None
    return lock


def written_down(own: Command, daemon: str, pid: int) -> bool:
    """Whether `up` has noted that process."""
    said = json.loads((own.home / "embedded.json").read_text())
    return bool(said.get(daemon, {}).get("pid") == pid)


@pytest.mark.parametrize("daemon", ["scheduler", "worker"])
def test_whoever_is_killed_while_starting_one_leaves_no_process_that_nobody_knows(own: Command, daemon: str) -> None:
    with ExitStack() as stack:
        with held_up(own, daemon):
            line, env = own.line("up"), own.environment({})
            starter = stack.enter_context(subprocess.Popen(line, env=env, stdout=subprocess.DEVNULL))
            stack.callback(starter.kill)
            lock = lock_of(own, daemon, starter)
            deadline = time.monotonic() + PATIENCE  # for a disk that takes long
            while not written_down(own, daemon, int(lock.read_text())):
                assert time.monotonic() < deadline
            starter.send_signal(signal.SIGSTOP)
            pipe = stack.enter_context(ready_pipe(starter.pid).open("rb"))
        assert select.select([pipe], [], [], PATIENCE)[0]  # it is ready, and its starter will never hear of it
    assert is_alive(int(lock.read_text()))
    own.ok("up")
    own.ok("down")
    assert not is_alive(int(lock.read_text()))


def test_a_worker_whose_start_is_interrupted_leaves_alone_what_it_has_adopted(own: Command, tmp_path: Path) -> None:
    own.ok("up")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with own.started("run", "--", "sh", "-c", f"echo before; read x < {gate}; echo $x") as run:
        assert run.stdout
        assert run.stdout.readline() == b"before\n"
        with held_up(own, "worker"), own.started("up") as starter:
            worker = processes.find(int(lock_of(own, "worker", starter).read_text()))
            assert worker
            starter.send_signal(signal.SIGINT)
            assert starter.wait(PATIENCE) == 130
        assert processes.wait_for_end(worker, PATIENCE)  # nobody waits for it any more
        own.ok("up")
        own.wait_until_running("last")
        gate.write_text("after\n")
        assert run.stdout.read() == b"after\n"
        assert run.wait(PATIENCE) == 0


def ready_pipe(pid: int) -> Path:
    """The only pipe that process has."""
    links = Path(f"/proc/{pid}/fd")
    [pipe] = [link for link in links.iterdir() if int(link.name) > 2 and os.readlink(link).startswith("pipe:")]
    return pipe


@pytest.mark.parametrize("victim", ["scheduler", "worker"])
def test_after_a_crash_the_next_run_starts_it_again_with_all_its_jobs(own: Command, victim: str) -> None:
    lie_at_a_port_of_its_own(own)
    own.ok("run", "--name", "before", "--", "true")
    pid = own.pids()[victim]
    before = own.ok("config", "show", "--json").json
    process = processes.find(pid)
    assert process
    os.kill(pid, signal.SIGKILL)
    assert processes.wait_for_end(process, PATIENCE)
    stopped = own("job")
    assert stopped.code == 75
    assert "`cluster up` starts it" in stopped.err
    assert own.ok("run", "--", "echo", "back").out == b"back\n"
    assert [job["name"] for job in own.ok("job", "list", "--json").json] == [None, "before"]
    assert own.ok("config", "show", "--json").json == before  # at the same address


def test_run_outlasts_a_crash_of_the_scheduler(own: Command, tmp_path: Path) -> None:
    lie_at_a_port_of_its_own(own)
    own.ok("up")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with own.started("run", "--", "sh", "-c", f"echo before; read x < {gate}; echo $x; exit 5") as run:
        assert run.stdout
        assert run.stdout.readline() == b"before\n"
        os.kill(own.pids()["scheduler"], signal.SIGKILL)
        own.ok("up")
        own.wait_until_running("last")
        gate.write_text("after\n")
        assert run.stdout.read() == b"after\n"
        assert run.wait(PATIENCE) == 5


@pytest.mark.parametrize("follow", [("run", "--"), ("job", "logs", "-f", "1")])
def test_followers_say_that_their_cluster_is_away_and_that_it_is_back(
    own: Command, tmp_path: Path, follow: tuple[str, ...]
) -> None:
    lie_at_a_port_of_its_own(own)
    own.ok("up")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    quiet = ("sh", "-c", f"echo begun; read x < {gate}")
    if follow[0] == "job":
        own.ok("job", "submit", "--", *quiet)
    with own.started(*follow, *(quiet if follow[0] == "run" else ())) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"begun\n"
        os.kill(own.pids()["scheduler"], signal.SIGKILL)
        away = process.stderr.readline().decode()
        assert away.startswith("cluster: 127.0.0.1:")
        assert away.endswith("; trying again for 57 s more\n")
        own.ok("up")
        assert process.stderr.readline() == b"cluster: the cluster answers again\n"
        own.wait_until_running("last")
        gate.write_text("x\n")
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == b""


def test_somebody_elses_scheduler_in_the_same_home_is_left_alone(own: Command) -> None:
    with own.started("scheduler", "--listen", "127.0.0.1:0") as process:
        assert process.stdout
        assert b"serves on" in process.stdout.readline()
        refused = own("up")
        assert refused.code == 75
        assert "is not one that `cluster up` made" in refused.err
        assert own.ok("job", "list").out.count(b"\n") == 1  # and it is found without being named
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_home_that_others_may_change_is_refused(command: Command) -> None:
    command.home.chmod(0o770)
    done = command("up")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"{command.home} can be changed by others" in done.err


def test_what_keeps_it_from_starting_is_said(command: Command) -> None:
    (command.home / "scheduler").mkdir(mode=0o777)
    (command.home / "scheduler").chmod(0o777)
    done = command("up")
    assert done.code == 1
    assert "the scheduler did not start" in done.err
    assert "chmod 700" in done.err
    assert done.err.count("\n") == 1


def test_a_scheduler_whose_worker_does_not_start_is_stopped(command: Command) -> None:
    (command.home / "worker").mkdir(mode=0o777)
    (command.home / "worker").chmod(0o777)
    done = command("up")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "the worker did not start" in done.err
    assert "no cluster" in command.ok("down").text


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_bug_of_ours_or_ctrl_c_in_the_middle_leaves_no_scheduler_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """Only an error with a name of its own stopped it."""
    seen: dict[str, int] = {}

    def failing(millicpus: int | None) -> list[str]:
        seen.update(scheduler=json.loads((tmp_path / "embedded.json").read_bytes())["scheduler"]["pid"])
        assert is_alive(seen["scheduler"])
        raise error

    monkeypatch.setattr(embedded, "_worker_arguments", failing)
    try:
        with pytest.raises(error):
            embedded.up(tmp_path)
        assert not is_alive(seen["scheduler"])
    finally:
        embedded.down(tmp_path)


def test_where_jobs_go_elsewhere_up_says_so(own: Command) -> None:
    """It said that it had started a cluster, and `run` went on to go to the other one."""
    assert own.ok("up").err == ""
    done = own.ok("up", env={"CLUSTER_SCHEDULER": "head.example:50000"})
    assert done.err == (
        "cluster: `cluster run` and `cluster job` go to head.example:50000 (CLUSTER_SCHEDULER) all the same; without "
        "that they come here\n"
    )
    token = own.ok("token", "create", "--role", "user", "--user", "ada", "--quiet").text.strip()
    own.ok("login", token)
    assert "(cluster login) all the same; `cluster logout` leads here\n" in own.ok("up").err
    own.ok("logout", "--yes")
    assert own.ok("up").err == ""


def test_nobody_else_tells_down_which_processes_to_end(command: Command) -> None:
    command.home.chmod(0o777)
    done = command("down")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"{command.home} can be changed by others" in done.err


def test_a_stopped_cluster_of_somebody_else_is_not_taken_over(command: Command) -> None:
    """`run` starts what it made itself, never what `cluster scheduler` made and its operator stopped for a moment."""
    listen = ("--listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0")
    with command.started("scheduler", *listen) as scheduler:
        assert scheduler.stdout
        assert b"serves on" in scheduler.stdout.readline()
        scheduler.terminate()
        assert scheduler.wait(PATIENCE) == 0
    done = command("job")
    assert (done.code, done.err.count("\n")) == (75, 1)
    assert "scheduler is not running: `cluster scheduler` starts it" in done.err
    done = command("worker", "--listen", "none", "--directory", str(command.home / "new"))
    assert (done.code, done.err.count("\n")) == (75, 1)
    assert f"in {command.home / 'scheduler'}, is not running: start it first" in done.err
    for arguments in (["run", "--", "true"], ["up"]):
        done = command(*arguments)
        assert done.code == 75
        assert "is not one that `cluster up` made" in done.err
        assert done.err.count("\n") == 1


def test_a_worker_of_another_cluster_is_left_alone(command: Command) -> None:
    """`up` said that it had started a cluster, whose worker had gone to the other one; jobs waited for ever."""
    now, other = time.time(), "0123456789abcdef"
    authority = create_authority(command.home / "other-ca.pem", other, now)
    identity = authority.identity(IdentityKind.WORKER, "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11")
    save_credentials(private_directory(command.home / "worker") / "worker.pem", authority.issue(identity, now))
    for arguments in (["up"], ["run", "--", "true"]):
        done = command(*arguments)
        assert (done.code, done.out, done.err.count("\n")) == (75, b"", 1)
        assert f"belongs to another cluster ({other})" in done.err
        assert "--home DIR" in done.err
    assert not (command.home / "scheduler").exists()
