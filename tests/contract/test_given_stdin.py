"""What `cluster run` takes of its stdin where nobody said --stdin: what is fed to it, not what only is open."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# Says whether it reads, and what.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from cluster.cli import given_stdin
from cluster.cli.quick.run import _is_fed
given_stdin.MOMENT = float(sys.argv[2])
quick = not _is_fed()
found = given_stdin.given_stdin()
print(quick, None if found is None else found.read())
"""
SAYS_NOTHING = "stdin says nothing, and the job gets none"


def taken(stdin: int, moment: float = 0.0) -> tuple[str, str]:
    """What it said on stdout and stderr; whether the quick command goes on comes first."""
    command = [sys.executable, "-c", PROGRAM, str(ROOT), str(moment)]
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


def test_a_file_is_read_from_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"12345")
    with open(tmp_path / "in", "rb", buffering=0) as file:
        file.seek(2)
        assert taken(file.fileno()) == ("False b'345'", "")
        assert file.read() == b"", "it was read to its end, as any program would"
        assert taken(file.fileno()) == ("True None", "")


def test_a_pipe_with_something_in_it_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"12")
    os.close(writer)
    assert taken(reader) == ("False b'12'", "")
    assert taken(reader) == ("True b''", ""), "it has ended"
    os.close(reader)


def test_a_socket_with_something_in_it_is_read() -> None:
    """As of ssh."""
    ours, its = socket.socketpair()
    with ours, its:
        assert SAYS_NOTHING in taken(its.fileno())[1]
        ours.sendall(b"12")
        ours.shutdown(socket.SHUT_WR)
        assert taken(its.fileno())[0] == "False b'12'"


def test_a_pipe_that_whoever_started_us_keeps_open_is_left_alone_and_told() -> None:
    """As of a CI system, or of cron. It may never end."""
    reader, writer = os.pipe()
    out, err = taken(reader)
    assert out == "False None"
    assert SAYS_NOTHING in err
    assert "--stdin - waits for it" in err
    os.close(reader)
    os.close(writer)


def test_a_pipe_from_a_neighbour_is_waited_for() -> None:
    """As in `sort x | cluster run -- cmd`: what comes may take its time."""
    reader, writer = os.pipe()
    wait_then_write = "import sys; sys.stdin.read(); sys.stdout.write('late')"
    neighbour = subprocess.Popen([sys.executable, "-c", wait_then_write], stdin=subprocess.PIPE, stdout=writer)
    os.close(writer)
    command = [sys.executable, "-c", PROGRAM, str(ROOT), "0"]
    ours = subprocess.Popen(command, stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.close(reader)
    assert ours.stderr is not None
    assert "waiting for stdin" in ours.stderr.readline()
    assert neighbour.stdin is not None
    neighbour.stdin.close()
    assert ours.communicate()[0].strip() == "False b'late'"
    assert (neighbour.wait(), ours.wait()) == (0, 0)


@pytest.mark.parametrize("place", ["/dev/null", "/dev/zero"])
def test_a_device_is_never_read(place: str) -> None:
    with open(place, "rb") as file:
        assert taken(file.fileno()) == ("True None", "")


def test_a_terminal_is_never_read() -> None:
    master, slave = os.openpty()
    os.write(master, b"typed\n")
    assert taken(slave) == ("True None", "")
    os.close(master)
    os.close(slave)


def test_a_closed_stdin_is_none() -> None:
    command = [sys.executable, "-c", PROGRAM, str(ROOT), "0"]
    done = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True None"
