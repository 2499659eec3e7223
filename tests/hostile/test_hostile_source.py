"""Code that means harm is contained, told by its reason, and leaves nothing: the worker and all others go on.

All cases take some minutes: `pytest -m extra_execute`. A few are in every run.
"""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.door import Door
from tests.hostile.sources import SOURCES, Source
from tests.sandboxes import needs_sandbox, worker_options

pytestmark = [pytest.mark.slow, needs_sandbox]


class Grounds:
    """A door, a worker behind it that shuts code in, and what the code may try to reach."""

    def __init__(self, daemons: Daemons) -> None:
        self.door = Door(daemons)
        self.door.start()
        daemons.start_worker("box", "--cpus", "2", *worker_options())
        self.directory = daemons.command.home / "box"
        self.launcher = int((self.directory / "launcher" / "launcher.lock").read_text())
        self.abstract = f"cluster-test-{secrets.token_hex(8)}"
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(f"\0{self.abstract}")
        self.listening.listen()

    def run(self, source: Source) -> tuple[int, str]:
        """The status and the body of the answer."""
        code = source.code
        known = {"WORKER": self.directory, "LAUNCHER": self.launcher, "PORT": self.door.daemons.port}
        for word, value in {**known, "ABSTRACT": self.abstract}.items():
            code = code.replace(word, str(value))
        form = self.door.command.home / "form"
        form.write_text(urlencode({"code": code}))
        sent = ("--data-binary", f"@{form}", "-w", "\n%{http_code}")
        path = f"/execute?timeout={source.timeout}s"
        done = self.door.curl("-H", f"Authorization: Bearer {self.door.token}", *sent, self.door.url + path)
        assert done.code == 0, done
        body, _, status = done.out.rpartition(b"\n")
        return int(status), body.decode(errors="backslashreplace")

    def left(self) -> list[str]:
        """Processes below the launcher that belong to a job, and files in its working directories."""
        found: list[str] = []
        for pid in _below(self.launcher):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"bwrap" in command or b"python3\0-I" in command:
                found.append(f"{pid}: {command[-80:]!r}")
        work = [self.directory / "work", *Path("/var/tmp").glob(f"cluster-{self.worker_id}*")]
        return found + [str(path) for place in work for path in place.glob("[0-9]*/*")]

    @property
    def worker_id(self) -> str:
        return str(self.door.command.ok("worker", "list", "--quiet").text.strip())


def _below(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        children = [int(child) for task in tasks for child in task.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [each for child in children for each in (child, *_below(child))]


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    with Daemons(Command(tmp_path_factory.mktemp("home"))) as daemons:
        grounds = Grounds(daemons)
        with grounds.listening:
            yield grounds
        assert grounds.run(AFTERWARDS) == (200, "held\n")
        assert grounds.left() == []
        assert daemons.is_alive("box")
        assert int((grounds.directory / "launcher" / "launcher.lock").read_text()) == grounds.launcher
        assert " error " not in daemons.log("box")


def check(grounds: Grounds, source: Source) -> None:
    """It comes to what is said of it."""
    status, body = grounds.run(source)
    assert status in source.statuses, body
    assert "HARM" not in body if status == 200 else "HARM\\n" not in body, body
    for part in source.says:
        assert part in body
    assert body or source.statuses != [200]


AFTERWARDS = Source("somebody else's", "print('held')", [200], ["held"], 20.0, False)


@pytest.mark.parametrize("source", [s for s in SOURCES if s.is_quick], ids=lambda source: source.name)
def test_code_that_means_harm_is_contained(grounds: Grounds, source: Source) -> None:  # S4.11
    check(grounds, source)


@pytest.mark.extra_execute
@pytest.mark.parametrize("source", [s for s in SOURCES if not s.is_quick], ids=lambda source: source.name)
def test_all_code_that_means_harm_is_contained(grounds: Grounds, source: Source) -> None:
    check(grounds, source)
    assert grounds.run(AFTERWARDS) == (200, "held\n")
