"""Clients that are killed while files go out and come back: never a wrong byte, and nothing stays for good."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from cluster.domain.files.pieces import SMALL
from cluster.domain.job.states import ENDED
from cluster.store.contents.interface import LIFE
from cluster.store.contents.store import StoredContents
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.killed_client import KilledClient

pytestmark = pytest.mark.slow

PART = ".cluster-part"
COPY = ("--", "cp", "-r", "data", "back")


class Place:
    """A directory that goes out and comes back, of which each round has another one."""

    def __init__(self, daemons: Daemons, random: Random) -> None:
        self.daemons, self.command, self.random = daemons, daemons.command, random
        self.killed = KilledClient(self.command, self.command.home)
        self._rounds = 0
        self._taken: dict[tuple[str, ...], int] = {}  # steps of commands

    def fresh(self) -> tuple[Path, dict[str, bytes]]:
        """A directory with `data` in it, and what that has: small files and large ones, none of which came before."""
        self._rounds += 1
        here = self.command.home / f"round {self._rounds}"
        sizes = [self.random.randrange(2000) for _ in range(60)] + [SMALL + 1, 3 << 20, 5 << 20]
        files = {f"{n % 7}/{n}": self.random.randbytes(size) for n, size in enumerate(sizes)}
        for path, data in files.items():
            (here / "data" / path).parent.mkdir(parents=True, exist_ok=True)
            (here / "data" / path).write_bytes(data)
        return here, files

    def moment(self, *arguments: str) -> int:
        """One of the steps that the command takes in a directory of its own."""
        if arguments not in self._taken:
            here, _ = self.fresh()
            self._taken[arguments] = self.killed.steps(*arguments, cwd=here)
        return self.random.randrange(1, self._taken[arguments])

    def ended(self) -> Iterator[tuple[int, bool]]:
        """All jobs, and whether they succeeded, once all have ended."""
        with self.daemons.client() as client:
            for job in client.list():
                (job,) = client.wait(job.number) if job.state not in ENDED else (job,)
                yield job.number, job.exit_code == 0


def expect(top: Path, files: dict[str, bytes], *, all_of_them: bool) -> int:
    """No file is there that is not what it should be, and no part of one if all are to be there. The bytes of parts."""
    found = {str(path.relative_to(top)): path for path in top.rglob("*") if path.is_file()}
    parts = [path for path in found.values() if path.suffix == PART]
    whole = {name: path.read_bytes() for name, path in found.items() if path not in parts}
    assert whole.items() <= files.items()
    if all_of_them:
        assert not parts
        assert whole == files
    return sum(path.stat().st_size for path in parts if path.stat().st_size > SMALL)


def killed_upload(place: Place) -> None:
    """No job over half of it, and the next one over all goes on with what is there."""
    words = ("job", "submit", "-q", "--upload", ".", "--stdin", "data/0/0", "--out", "back", *COPY)
    step = place.moment(*words)
    here, files = place.fresh()
    before = {number for number, _ in place.ended()}
    place.killed.kill(step, *words, cwd=here)
    again = int(place.command.ok(*words, cwd=here).text)
    after = dict(place.ended())
    for number in {*after} - before:
        assert after[number], number
        place.command.ok("job", "fetch", "-q", str(number), "--to", str(here / f"from {number}"))
        expect(here / f"from {number}" / "back", files, all_of_them=True)
    assert again in after


def killed_run(place: Place) -> None:
    """The job goes on, if it was handed in, and its files are fetched later to where they were to come."""
    words = ("run", "-q", "--upload", ".", "--out", "back", "--to", "to", *COPY)
    step = place.moment(*words)
    here, files = place.fresh()
    before = {number for number, _ in place.ended()}
    place.killed.kill(step, *words, cwd=here)
    expect(here / "to" / "back", files, all_of_them=False)
    for number in {number for number, _ in place.ended()} - before:
        place.command.ok("job", "fetch", "-q", str(number), "--to", str(here / "to"))
        expect(here / "to" / "back", files, all_of_them=True)


def killed_fetch(place: Place) -> None:
    """What came of a large file does not come again."""
    here, files = place.fresh()
    words = ("job", "fetch", "last", "--to", "to")
    place.command.ok("run", "-q", "--upload", ".", "--out", "back", "--to", "there", *COPY, cwd=here)
    steps = place.killed.steps("job", "fetch", "last", "--to", "counted", cwd=here)
    place.killed.kill(place.random.randrange(1, steps), *words, cwd=here)
    whole = expect(here / "to" / "back", files, all_of_them=False)
    there = sum(p.stat().st_size for p in (here / "to").rglob("*") if p.is_file() and p.suffix != PART)
    (told,) = json.loads(place.command.ok(*words, "--json", cwd=here).out)
    assert told["bytes_fetched"] <= sum(map(len, files.values())) - there - whole
    expect(here / "to" / "back", files, all_of_them=True)


def expect_nothing_is_kept_for_good(home: Path) -> None:
    """A day later, by the clock of who collects, only what jobs use is here."""
    contents = StoredContents(home / "scheduler", now=lambda: time.time() + 2 * LIFE)
    while contents.collect(1000):
        pass
    contents.tidy()
    space, held = contents.space(), contents.held_bytes()
    contents.close()
    assert (space.coming, space.bytes) == (0, held)
    assert os.listdir(home / "scheduler" / "contents" / ".new") == []


@pytest.mark.parametrize(
    ("seed", "rounds"), [(0, 1), *(pytest.param(seed, 10, marks=pytest.mark.extra_files) for seed in range(1, 6))]
)
def test_a_killed_client_leaves_no_wrong_byte_and_nothing_for_good(command: Command, seed: int, rounds: int) -> None:
    random = Random(seed)
    with Daemons(command) as daemons:
        daemons.start_scheduler()
        token = command.ok("token", "create", "-q").text.strip()
        daemons.start_worker("one", "--join", token, "--cpus", "2")
        place = Place(daemons, random)
        several = (killed_upload, killed_run, killed_fetch)
        for _ in range(rounds):
            random.choice(several)(place)
        daemons.stop("scheduler")
    expect_nothing_is_kept_for_good(command.home)
