"""Places that cannot be read or written: each command says in one line which, and leaves with 74, or with 77 where they
are somebody else's."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.patience import PATIENCE
from tests.small_disk import small_disk

IO_ERROR = 74
ROOTS_POWER_OVER_FILES = "-dac_override,-dac_read_search,-fowner,-chown"
STARTING = [("scheduler",), ("worker", "--standalone"), ("up",), ("run", "--", "true")]


def says(command: Command, *arguments: str) -> str:
    done = command(*arguments)
    assert done.code == IO_ERROR, done
    assert done.err.startswith("cluster: ")
    assert done.err.count("\n") == 1
    return done.err


@pytest.mark.parametrize("arguments", STARTING)
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none"])
def test_a_home_that_cannot_be_made(tmp_path: Path, place: str, arguments: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    home = tmp_path / place
    assert f"{home}" in says(Command(home), *arguments)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, and setpriv of util-linux")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_another_users_home(command: Command, mode: int) -> None:
    command.ok("up")
    command.ok("down")
    for place in (command.home, *command.home.rglob("*")):
        os.chown(place, 65534, 65534)
    command.home.chmod(mode)
    token = f"C1.head.example:50001.{'0' * 64}.{'A' * 32}"
    for arguments in (*STARTING, ("worker",), ("job", "list"), ("config", "show"), ("down",), ("login", token)):
        line = ["setpriv", f"--bounding-set={ROOTS_POWER_OVER_FILES}", *command.line(*arguments)]
        done = subprocess.run(line, env=command.environment({}), capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (77, "", 1), done
        assert str(command.home) in done.stderr


def test_who_logs_in_where_nothing_can_be_kept(command: Command) -> None:
    command.ok("up")
    try:
        (token,) = command.ok("token", "create", "--role", "user", "--user", "ann", "--quiet").text.split()
        (command.home / "file").touch()
        assert f"{command.home}/file" in says(Command(command.home / "file"), "login", token)
        assert [user["name"] for user in command.ok("user", "list", "--json").json] == ["admin"]  # none is spent
    finally:
        command.ok("down")


def test_a_home_on_a_file_system_that_is_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        here = Command(disk.path)
        here.ok("up")
        here.ok("down")
        while subprocess.run(["mount", "-o", "remount,ro", str(disk.path)], capture_output=True).returncode:
            time.sleep(0.1)  # what was told to end still has a file open there
        for arguments in (*STARTING[:1], ("worker",), *STARTING[2:]):
            assert str(disk.path) in says(here, *arguments)


def test_no_token_is_spent_where_the_disk_has_no_room_for_what_it_brings(command: Command, tmp_path: Path) -> None:
    command.ok("up")
    try:
        with small_disk(tmp_path / "disk", 8) as disk:
            user = command.ok("token", "create", "--role", "user", "--user", "ann", "--quiet").text.strip()
            worker = command.ok("token", "create", "--quiet").text.strip()
            before = command.ok("token", "list", "--json").json
            there = Command(disk.path / "home")
            there.home.mkdir(mode=0o700)
            (there.home / "user").mkdir(mode=0o700)
            (there.home / "worker").mkdir(mode=0o700)
            disk.fill(leave=4096)
            for arguments in (("login", user), ("worker", "--join", worker)):
                assert "No space left on device" in says(there, *arguments)
            assert command.ok("token", "list", "--json").json == before
            disk.free()
            there.ok("login", user)
    finally:
        command.ok("down")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"root:x:0:0:root:/root:/bin/sh\n", "is something else than credentials: expected a file such as admin.pem"),
        (b"\xff\xfe\x00", "is something else than credentials: expected a file such as admin.pem"),
        (b"Identity: spiffe://torn", "holds no credentials: "),
    ],
)
def test_credentials_that_are_none(command: Command, content: bytes, said: str) -> None:
    file = command.home / "passwd"
    file.write_bytes(content)
    file.chmod(0o644)
    done = command("job", "list", "--scheduler", "localhost:1", "--credentials", str(file))
    assert (done.code, f"{file} {said}" in done.err, "chmod" in done.err) == (1, True, False), done


def test_credentials_that_cannot_be_read(command: Command) -> None:
    said = says(command, "job", "list", "--scheduler", "localhost:1", "--credentials", str(command.home))
    assert said == f"cluster: {command.home} cannot be read: Is a directory\n"
