"""Who is let in, who is expelled, and who gets to see a token, on the command line."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cli.secret_hiding import _without
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons

pytestmark = pytest.mark.slow


@pytest.fixture
def head(command: Command) -> Iterator[Daemons]:
    """A scheduler."""
    with Daemons(command) as daemons:
        daemons.start_scheduler()
        yield daemons


def elsewhere(head: Daemons, name: str) -> Command:
    """Another machine."""
    place = head.command.home.parent / f"{head.command.home.name}-{name}"
    place.mkdir(mode=0o700)
    return Command(place)


def new_token(head: Daemons, *options: str) -> str:
    return head.command.ok("token", "create", "--quiet", *options).text.strip()


def row(head: Daemons, noun: str, first: str) -> str:
    """The line of a list that begins so."""
    (found,) = [line for line in head.command.ok(noun, "list").text.splitlines() if line.startswith(first)]
    return found


def test_a_user_is_listed_and_revoked_and_the_name_given_again(head: Daemons) -> None:
    ada, again = elsewhere(head, "ada"), elsewhere(head, "again")
    ada.ok("login", new_token(head, "--role", "user", "--user", "ada"))
    ada.ok("job", "submit", "--", "true")
    assert row(head, "job", "JOB").endswith("\tOWNER"), "not all are the admin's"
    assert row(head, "job", "1\t").endswith("\tada")
    assert ada.ok("job", "list").text.startswith("JOB\tSTATE\tREASON\tSUBMITTED\tTOOK\tNAME\tCOMMAND\n")
    assert row(head, "user", "ada").split("\t")[1:4] == ["good", "user", "1"]
    done = head.command.ok("user", "revoke", "ada")
    assert done.text == "user ada revoked, tasks asked to stop: 1\n"
    refused = ada("job", "list")
    assert (refused.code, refused.err.count("\n")) == (77, 1)
    assert "was revoked" in refused.err
    assert row(head, "user", "ada").split("\t")[1] == "revoked"
    (job,) = head.command.ok("job", "list", "--json").json
    assert (job["state"], job["cancel_reason"]) == ("cancelled", "user ada was revoked")
    again.ok("login", new_token(head, "--role", "user", "--user", "ada"))
    assert again.ok("job", "list", "--json").json == []  # whose name it was before has a job
    assert (again("job", "show", "1").code, again("job", "show", "1").err.count("no job 1")) == (1, 1)
    assert ada("job", "list").code == 77
    assert [u["role"] for u in head.command.ok("user", "list", "--json").json if u["name"] == "ada"] == ["user"]
    assert head.command.ok("user", "list", "--quiet").text.split() == ["admin", "ada"]
    unknown = head.command("user", "revoke", "bob")
    assert (unknown.code, "no user 'bob'" in unknown.err) == (1, True)


def test_an_admin_is_revoked_with_its_tokens_and_who_joined_by_them_is_told(head: Daemons) -> None:
    eve, bob = elsewhere(head, "eve"), elsewhere(head, "bob")
    eve.ok("login", new_token(head, "--role", "admin", "--user", "eve"))
    bob.ok("login", eve.ok("token", "create", "-q", "--role", "user", "--user", "bob").text.strip())
    spare = eve.ok("token", "create", "--quiet", "--role", "admin", "--user", "eve").text.strip()
    made = [t for t in head.command.ok("token", "list", "--json").json if t["maker"] == "user/eve"]
    used, unused = (t["id"] for t in made)
    assert row(head, "token", used).split("\t")[5] == "eve"
    done = head.command.ok("user", "revoke", "eve").text.splitlines()
    assert done == [
        "user eve revoked",
        f"token {unused} revoked with whoever made it",
        f"user bob has joined by their token {used}, and stays",
        "the same with --and-joined expels those as well",
    ]
    refused = eve("login", "--yes", spare)
    assert (refused.code, refused.err.count("\n"), "was revoked" in refused.err) == (77, 1, True)
    bob.ok("job", "list")
    assert head.command.ok("user", "revoke", "eve", "--and-joined").text == "user eve revoked\nuser bob expelled\n"
    assert bob("job", "list").code == 77


def test_whatever_a_revoked_user_has_under_way_ends_with_one_line(head: Daemons) -> None:
    head.start_worker("box")
    ada = elsewhere(head, "ada")
    ada.ok("login", new_token(head, "--role", "user", "--user", "ada"))
    with ada.started("run", "--", "sh", "-c", "echo began; sleep 600") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"began\n"
        with ada.started("job", "logs", "-f", "1") as logs, ada.started("job", "wait", "1") as wait:
            assert logs.stdout is not None
            assert logs.stdout.readline() == b"began\n"
            head.command.ok("user", "revoke", "ada")
            for process in (run, logs, wait):
                _, err = process.communicate(timeout=60)
                (line,) = err.decode().splitlines()
                assert (process.returncode, "was revoked" in line) == (77, True), (process.args, err)


def test_an_embedded_worker_that_is_expelled_ends_and_the_next_start_is_another(command: Command) -> None:
    command.ok("up")
    try:
        (before,), process = command.ok("worker", "list", "--json").json, command.pids()["worker"]
        command.ok("worker", "remove", before["name"], "--revoke")
        log = command.home / "worker.log"
        while Path(f"/proc/{process}").exists():
            time.sleep(0.05)
        assert log.read_text().splitlines()[-1].startswith(f"cluster: the certificate of worker/{before['id']} was")
        assert "trying again" not in log.read_text()
        assert command.ok("run", "--", "echo", "hi").text == "hi\n"
        (after,) = command.ok("worker", "list", "--json").json
        assert after["id"] != before["id"]
    finally:
        command.ok("down")


def test_a_token_says_who_joined_by_it_and_is_revoked_with_them(head: Daemons) -> None:
    machine = elsewhere(head, "machine")
    token = new_token(head, "--uses", "5")
    with Daemons(machine) as there:
        there.start_worker("box", "--join", token)
        (made,) = [t for t in head.command.ok("token", "list", "--json").json if t["joined"]]
        assert [(m["kind"], m["name"]) for m in made["joined"]] == [("worker", "box")]
        assert row(head, "token", made["id"]).endswith("\tbox")
        done = head.command.ok("token", "revoke", made["id"], "--and-joined")
        assert done.text == f"token {made['id']} revoked\nworker box expelled\n"
        assert head.command.ok("worker", "list", "--json").json == []
        there.stop("box")
        refused = machine("worker", "--directory", str(machine.home / "box"), "--listen", "none", "--join", token)
        assert (refused.code, "was revoked" in refused.err) == (77, True)
        there.start_worker("box", "--join", new_token(head))  # for the clean-up: as a new one


def test_a_worker_is_removed_when_it_is_gone_and_expelled_at_any_time(head: Daemons) -> None:
    machine = elsewhere(head, "machine")
    token = new_token(head, "--uses", "5")
    with Daemons(machine) as there:
        there.start_worker("box", "--join", token)
        connected = head.command("worker", "remove", "box")
        assert (connected.code, "expel it with --revoke" in connected.err) == (1, True)
        there.stop("box")
        refused = head.command("worker", "remove", "box", "boxx")
        assert (refused.code, refused.err) == (1, "cluster: there is no worker 'boxx'; none was removed\n")
        head.command.ok("worker", "remove", "box")
        assert head.command.ok("worker", "list", "--json").json == []
        there.start_worker("box")  # it was not expelled
        done = head.command.ok("worker", "remove", "box", "--revoke")
        assert "removed and revoked" in done.text
        assert "which is still good: `cluster token revoke" in done.err
        there.stop("box")
        refused = machine("worker", "--directory", str(machine.home / "box"), "--listen", "none")
        assert (refused.code, "was revoked" in refused.err) == (77, True)
        there.start_worker("box", "--join", token)  # for the clean-up: as a new one


@pytest.mark.parametrize("way", ["--join TOKEN", "--join=TOKEN", "variable"])
def test_no_job_can_read_the_token_that_its_worker_has_joined_by(head: Daemons, way: str) -> None:
    token = new_token(head)
    if way == "variable":
        machine: Command = WithToken(elsewhere(head, "machine").home, token)
        options = []
    else:
        machine, options = elsewhere(head, "machine"), way.replace("TOKEN", token).split()
    with Daemons(machine) as there:
        there.start_worker("box", *options)
        agent = there._running["box"].pid
        launcher = int((machine.home / "box" / "launcher" / "launcher.lock").read_text())
        secret = token.rpartition(".")[2].encode()
        for pid in (agent, launcher):
            for what in ("cmdline", "environ"):
                text = Path(f"/proc/{pid}/{what}").read_bytes()
                assert text
                assert secret not in text
        assert b"--join-fd" in Path(f"/proc/{agent}/cmdline").read_bytes()  # the control: it is the one that has joined
        assert b"box" in Path(f"/proc/{agent}/cmdline").read_bytes()  # and has its other options


class WithToken(Command):
    """With CLUSTER_WORKER_JOIN."""

    def __init__(self, home: Path, token: str) -> None:
        super().__init__(home)
        self.token = token

    def environment(self, variables: object) -> dict[str, str]:
        return {**super().environment({}), "CLUSTER_WORKER_JOIN": self.token}


def test_only_the_token_leaves_the_command_line() -> None:
    line = ["python3", "cluster", "worker", "--name", "x", "--join", "C1.a", "--cpus", "2"]
    assert _without(line, "C1.a") == ["python3", "cluster", "worker", "--name", "x", "--cpus", "2"]
    assert _without(["worker", "--join=C1.a", "--name=C1.a"], "C1.a") == ["worker", "--name=C1.a"]


def test_what_the_first_start_prints_is_for_workers_and_for_a_short_time(command: Command) -> None:
    with command.started("scheduler", "--listen", "127.0.0.1:0") as scheduler:
        assert scheduler.stdout
        lines = [scheduler.stdout.readline().decode() for _ in range(3)]
        assert "for workers only, up to 10, within 15 minutes" in lines[1]
        (token,) = command.ok("token", "list", "--json").json
        assert (token["role"], token["uses_left"]) == ("worker", 10)
        careful = command.ok("token", "create")
        assert "CAREFUL: this line says 127.0.0.1" in careful.err


def test_what_was_advertised_stands_in_the_next_starts_tokens(command: Command) -> None:
    for options, expected in ((["--advertise", "head.example"], "head.example"), ([], "head.example")):
        with command.started("scheduler", "--listen", "127.0.0.1:0", *options) as scheduler:
            assert scheduler.stdout
            assert f" serves on {expected}:" in scheduler.stdout.readline().decode()
            made = command.ok("token", "create", "--quiet")
            assert made.text.startswith(f"C1.{expected}:")
            assert made.err == ""
            scheduler.terminate()
            scheduler.wait()
