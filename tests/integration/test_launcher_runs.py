"""What a command sees when the launcher starts it, and what its end is called. Real processes."""

import os
import resource
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.domain.launcher.slots import MOST_AHEAD
from cluster.domain.launcher.template import Item
from cluster.launcher import client
from cluster.launcher.client import default_command
from tests.integration.fifos import reach
from tests.integration.grounds import Ground, missing
from tests.integration.launchers import Lab, one, run

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_output_and_exit_code_are_kept(lab: Lab) -> None:  # S2.11
    async def main() -> None:
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, lab.shell("echo out; echo error >&2; exit 3")))
            assert (end.reason, end.code, end.signal, end.out, end.err) == ("exit:3", 3, None, 4, 6)
            assert end.duration > 0
            assert lab.output("0.1") == "out\n"
            assert (lab.outputs / "0.1.err").read_text() == "error\n"
            assert (lab.outputs / "0.1.out").stat().st_mode & 0o777 == 0o600
            for started in agent.starts().values():  # of one that is over at once nothing else is told
                assert started.seq < end.seq
                assert started.at == end.started_at

    run(main())


def test_what_outlasts_short_ones_is_told_and_its_output_found_while_it_runs(lab: Lab) -> None:
    """Behind short attempts nothing has a name, and no start is told, before it lasts for a while."""
    written, until = lab.fifo(), lab.fifo()
    script = f"""case $CLUSTER_TASK in
        1) sleep 1 ;;
        2) exec true ;;
        3) echo kept ;;
        4) echo mine; echo > {written}; exec cat {until} ;;
    esac"""

    async def main() -> None:
        async with lab.agent(1000) as agent:
            agent.client.start(agent.client.define(lab.shell(script)), [Item(f"1.{n}#1", n) for n in range(1, 5)])
            start = await agent.start_of("1.4#1")
            assert {path.name for path in lab.outputs.iterdir()} == {"3.1.out", "4.1.out", "4.1.err"}
            await reach(written)  # that it started may be told before it has come so far
            assert (lab.output("3.1"), lab.output("4.1")) == ("kept\n", "mine\n")
            until.write_text("more\n")
            end = await agent.end_of("1.4#1")
            assert end.started_at == start.at
            assert lab.output("4.1") == "mine\nmore\n"
            assert agent.ends()["1.2#1"].started_at > agent.ends()["1.1#1"].started_at

    run(main())


def test_the_signal_that_ended_it_is_named(lab: Lab) -> None:  # S2.11
    async def main() -> None:
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, lab.shell("kill -SEGV $$")))
            assert (end.reason, end.code, end.signal) == ("signal:SIGSEGV", None, "SIGSEGV")

    run(main())


def test_cpu_time_and_peak_memory_are_measured(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, lab.template("python3", "-c", "len(b'x' * 80_000_000)")))
            assert end.cpu > 0
            assert end.peak > 60_000

    run(main())


def test_the_command_gets_its_environment_and_nothing_else(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.template("/usr/bin/env", env=(("GREETING", "grüß\udcff"),))
            await agent.end_of(one(agent, template, "5.16#2", number=17, line="a b"))
            entries = (lab.outputs / "16.2.out").read_bytes().splitlines()
            found = dict(line.split(b"=", 1) for line in entries)
            assert found.pop(b"CLUSTER_LAUNCHER")
            assert found == {
                b"GREETING": "grüß".encode() + b"\xff",
                b"CLUSTER_TASK": b"17",
                b"CLUSTER_ATTEMPT": b"5.17#2",
                b"CLUSTER_LINE": b"a b",
            }

    run(main())


def test_each_line_replaces_braces(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            template = agent.client.define(lab.template("echo", "<{}>", "x"))
            agent.client.start(template, [Item("1.0#1", 1, "a  {b}"), Item("1.1#1", 2, "*")])
            await agent.until(lambda: len(agent.ends()) == 2)
            assert lab.output("0.1") == "<a  {b}> x\n"
            assert lab.output("1.1") == "<*> x\n"

    run(main())


def test_a_template_can_be_replaced(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(millicpus=1000) as agent:
            template = agent.client.define(lab.template("echo", "old"))
            agent.client.start(template, [Item("1.0#1", 0), Item("1.1#1", 1)])
            agent.client.redefine(template, lab.template("echo", "new"))
            agent.client.start(template, [Item("1.2#1", 2)])
            await agent.end_of("1.2#1")
            assert [lab.output(f"{i}.1") for i in range(3)] == ["old\n", "old\n", "new\n"]

    run(main())


def test_no_descriptor_leaks_and_it_has_its_own_session(lab: Lab) -> None:
    script = 'import os; print(sorted(os.listdir("/proc/self/fd"))[:-1], os.getsid(0) == os.getpid(), os.umask(0))'

    async def main() -> None:
        async with lab.agent() as agent:
            await agent.end_of(one(agent, lab.template("python3", "-c", script)))
            assert lab.output("0.1") == "['0', '1', '2'] True 63\n"
            script2 = "readlink /proc/self/fd/0; cat; grep -E 'Sig(Blk|Ign)' /proc/self/status"
            await agent.end_of(one(agent, lab.shell(script2), "1.1#1"))
            null, *signals = lab.output("1.1").splitlines()
            assert null == "/dev/null"
            masks = {line.split()[0]: int(line.split()[1], 16) for line in signals}
            assert masks["SigBlk:"] == 0
            own = 1 << 31 | 1 << 32  # signals 32 and 33 belong to glibc, which sets them up itself
            assert masks["SigIgn:"] & ~own == 0

    run(main())


def test_it_runs_where_it_is_told(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            await agent.end_of(one(agent, lab.template("pwd")))
            assert lab.output("0.1") == f"{lab.root}\n"
            fresh = lab.shell("pwd; stat -c %a .", fresh_cwd=True)
            await agent.end_of(one(agent, fresh, "1.1#3"))
            assert lab.output("1.3") == f"{lab.root}/1.3\n700\n"
            end = await agent.end_of(one(agent, lab.template("pwd", cwd="/nowhere"), "1.2#1"))
            assert end.reason == "launch_failed"
            assert end.text == "cannot use '/nowhere' as working directory: No such file or directory"

    run(main())


def test_a_directory_that_is_not_fresh_is_refused(lab: Lab) -> None:
    async def main() -> None:
        (lab.root / "0.1").mkdir()
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, lab.template("pwd", fresh_cwd=True)))
            assert end.reason == "launch_failed"
            assert "File exists" in end.text

    run(main())


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("no-such-program", 127, "not found in PATH"),
        ("echo hi", 127, "; give the words apart, or use sh -c '...'"),
        ("./no-such-file", 127, "no such file"),
        ("./plain", 126, "Permission denied"),
        ("./noformat", 126, "neither a program nor a script"),
        ("./nointerpreter", 127, "its interpreter does not exist"),
        ("./.", 126, "it is a directory"),
        ("./nul\0", None, "null"),
    ],
)
def test_what_cannot_be_started_says_why(lab: Lab, command: str, code: int | None, text: str) -> None:
    for name, content, mode in [
        ("plain", "x", 0o600),
        ("noformat", "echo hi", 0o700),
        ("nointerpreter", "#!/no/such\n", 0o700),
    ]:
        (lab.root / name).write_text(content)
        (lab.root / name).chmod(mode)

    async def main() -> None:
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, lab.template(command)))
            assert (end.reason, end.code) == ("launch_failed", code)
            assert text in end.text

    run(main())


def test_a_long_path_is_not_told_whole(lab: Lab) -> None:
    """Some programs make PATHs of many kilobytes, and each task of an array would tell it."""
    template = lab.template("no-such-program")
    env = (("PATH", ":".join(f"/opt/{i}/bin" for i in range(2000))),)

    async def main() -> None:
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, replace(template, env=env)))
            assert len(end.text) < 250
            assert "not found in PATH '/opt/0/bin:" in end.text

    run(main())


def test_the_path_that_was_searched_is_told_as_its_owner_knows_it(lab: Lab) -> None:
    """Not by the directory of ours that stands before it, which alone was told."""
    inside, path = "/home/ada/.local/state/cluster/worker/inside", "/usr/local/bin:/usr/bin:/bin"
    env = (("PATH", f"{inside}/bin:{path}"), ("CLUSTER_SOCKET", f"{inside}/jobs.sock"))

    async def main() -> None:
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, replace(lab.template("no-such-program"), env=env)))
            assert end.text == f"cannot start 'no-such-program': not found in PATH '{path}'"

    run(main())


def test_output_is_never_written_over(lab: Lab) -> None:
    async def main() -> None:
        (lab.outputs / "0.1.out").write_text("precious")
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, lab.template("true")))
            assert end.reason == "launch_failed"
            assert lab.output("0.1") == "precious"
            end = await agent.end_of(one(agent, lab.template("true", outputs="/nowhere/at/all"), "1.1#1"))
            assert end.text == "cannot write output to '/nowhere/at/all/1.1.out': No such file or directory"

    run(main())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run a command as somebody else")
def test_root_can_run_it_as_another_user(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.template("id", "-u", cwd="/", uid=65534, gid=65534)
            end = await agent.end_of(one(agent, template))
            assert (end.reason, lab.output("0.1")) == ("ok", "65534\n")
            end = await agent.end_of(one(agent, lab.template("/no/such", cwd="/", uid=65534), "1.1#1"))
            assert (end.reason, end.code) == ("launch_failed", 127)

    run(main())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run a command as somebody else")
def test_a_directory_of_path_that_is_closed_to_the_user_hides_nothing(lab: Lab, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    path = (("PATH", f"{closed}:/usr/bin:/bin"),)

    async def main() -> None:
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, lab.template("no-such", cwd="/", uid=65534, gid=65534, env=path)))
            assert (end.reason, end.code) == ("launch_failed", 127)
            assert "not found in PATH" in end.text

    run(main())


def test_a_long_backlog_runs_in_order_and_within_capacity(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent(millicpus=2000) as agent:
            template = agent.client.define(lab.template("true"))
            keys = [f"1.{i}#1" for i in range(200)]
            agent.client.start(template, [Item(k, i) for i, k in enumerate(keys)])
            await agent.until(lambda: len(agent.ends()) == 200)
            assert {e.reason for e in agent.ends().values()} == {"ok"}
            assert [r.seq for r in agent.reports] == list(range(1, 1 + len(agent.reports)))
            ends = sorted(agent.ends().values(), key=lambda end: end.started_at)
            # First come, first served, but for what a slot runs and has in advance.
            places = [keys.index(end.key) for end in ends]
            assert max(abs(place - at) for at, place in enumerate(places)) <= MOST_AHEAD + 1
            assert places[0] < 2
            for end in ends:
                at_once = [e for e in ends if e.started_at <= end.started_at < e.started_at + e.duration]
                assert len(at_once) <= 2

    run(main())


def test_nonsense_is_refused_with_a_reason(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            agent.client.start(99, [Item("1.0#1")])
            with pytest.raises(ValueError, match="template 99 was not defined"):
                await agent.until_gone()
            again = await lab.connect()
            again.client.start(again.client.define(lab.template("true")), [Item("../../etc")])
            with pytest.raises(ValueError, match=r"JOB\.INDEX#ATTEMPT"):
                await again.until_gone()

    run(main())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run a command as somebody else")
def test_another_user_begins_nowhere_where_it_could_not_go(lab: Lab) -> None:
    async def main() -> None:
        hidden = lab.root / "closed" / "open"
        hidden.mkdir(parents=True)
        hidden.parent.chmod(0o700)
        hidden.chmod(0o755)
        async with lab.agent() as agent:
            end = await agent.end_of(one(agent, lab.template("ls", cwd=str(hidden), uid=65534, gid=65534)))
            assert end.reason == "launch_failed"
            assert end.text == f"cannot use {str(hidden)!r} as working directory: Permission denied"
            # The launcher has all its own rights back.
            end = await agent.end_of(one(agent, lab.template("pwd", cwd=str(hidden)), "1.1#1"))
            assert (end.reason, lab.output("1.1")) == ("ok", f"{hidden}\n")

    run(main())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run a command as somebody else")
def test_another_user_can_open_its_own_output(lab: Lab) -> None:
    async def main() -> None:
        async with lab.agent() as agent:
            template = lab.template("sh", "-c", "echo x >>/dev/stdout", cwd="/", uid=65534, gid=65534)
            end = await agent.end_of(one(agent, template))
            assert (end.reason, lab.output("0.1")) == ("ok", "x\n")

    run(main())


@pytest.mark.parametrize("changes", [{}, {"uid": 65534, "gid": 65534}])
def test_what_no_process_can_be_given_ends_that_attempt_alone(lab: Lab, changes: dict[str, int]) -> None:
    if changes and os.getuid() != 0:
        pytest.skip("only root can run a command as somebody else")

    async def main() -> None:
        async with lab.agent() as agent:
            for index, argv in enumerate((["{}"], ["/bin/{}"], ["echo", "{}"]), start=1):
                template = agent.client.define(lab.template(*argv, cwd="/", **changes))
                agent.client.start(template, [Item(f"1.{index}#1", index, "a\0b")])
                end = await agent.end_of(f"1.{index}#1")
                assert (end.reason, "null byte" in end.text) == ("launch_failed", True)

    run(main())


def test_more_run_at_once_than_a_low_limit_on_files_would_let_slots_be(lab: Lab) -> None:
    """The launcher raises its own, and jobs have the one from before."""

    async def main() -> None:
        low = ["sh", "-c", 'ulimit -Sn 100; exec "$@"', "sh", *default_command()]
        agent = await lab.connect(command=low)
        template = agent.client.define(lab.shell("ulimit -Sn; exec sleep 1000", cpus=0))
        keys = [f"1.{i}#1" for i in range(60)]
        agent.client.start(template, [Item(key, i) for i, key in enumerate(keys)])
        await agent.until(lambda: len(agent.starts()) == 60)
        assert not agent.ends()
        agent.client.stop(keys, grace=0)
        await agent.until(lambda: len(agent.ends()) == 60)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert {lab.output(f"{i}.1") for i in range(60)} <= {f"{soft}\n", ""}
        assert f"{soft}\n" in {lab.output(f"{i}.1") for i in range(60)}
        await lab.quit()

    run(main())


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_a_limit_on_processes_of_the_jobs_user_is_named() -> None:
    """ulimit -u, which counts all processes of that user, wherever they are: so it is one whom nobody else here is."""
    who = {"uid": 100_000 + os.getpid(), "gid": 100_000 + os.getpid()}

    async def main() -> None:
        ground.command = ["prlimit", "--nproc=0:1000", *ground.command]
        async with ground.agent() as agent:
            # The limit is 0, which one process of a user who has none yet may exceed.
            await agent.start_of(one(agent, ground.template("sleep", "1000", **who)))
            end = await agent.end_of(one(agent, ground.template("true", **who), "1.1#1"))
            assert (end.reason, end.code) == ("returned", None)  # it may start elsewhere, or later
            assert end.text.startswith("cannot start 'true': this user or this machine may have no more processes")
            assert (await agent.end_of(one(agent, ground.template("true", uid=0, gid=0), "1.2#1"))).reason == "ok"

    with closing(Ground("nobody", "none")) as ground:
        run(main())


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_a_launcher_that_may_have_no_more_processes_says_so_and_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "peer_uid", lambda connection: os.geteuid())

    async def main() -> None:
        async with ground.agent() as agent:
            await agent.start_of(one(agent, ground.template("sleep", "1000"), "1.1#1"))
            ground.limit_processes(agent.hello.pid, 1)
            end = await agent.end_of(one(agent, ground.template("true"), "1.2#1"))
            assert end.reason == "returned"
            assert end.text.startswith("the launcher cannot start a process for it: this user or this machine may have")
            ground.limit_processes(agent.hello.pid, 1000)
            assert (await agent.end_of(one(agent, ground.template("true"), "1.3#1"))).reason == "ok"

    with closing(Ground("own", "none")) as ground:
        run(main())
