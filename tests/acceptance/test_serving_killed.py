"""Schedulers and workers that are killed while a client sends files, has a task run over them and fetches what that
leaves: never a wrong byte, and nothing stays for good."""

from hashlib import sha256
from random import Random

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.test_client_killed import COPY, Place, expect, expect_nothing_is_kept_for_good

pytestmark = pytest.mark.slow

RUN = ("run", "-q", "--upload", ".", "--out", "back", "--to", "to", *COPY)


def ended(place: Place) -> list[int]:
    return [number for number, _ in place.ended()]


@pytest.mark.extra_files
@pytest.mark.parametrize("victim", ["scheduler", "one"])
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_client_outlasts_whoever_is_killed_and_gets_all_of_its_files(
    command: Command, seed: int, victim: str
) -> None:
    """Ten moments of each: before one of the steps that the client takes, from its first to its last."""
    with Daemons(command) as daemons:
        daemons.start_scheduler()
        token = command.ok("token", "create", "-q").text.strip()
        daemons.start_worker("one", "--join", token, "--cpus", "2")
        place = Place(daemons, Random(seed))
        for _ in range(10):
            step = place.moment(*RUN)
            here, files = place.fresh()
            before = ended(place)
            with place.killed.reaching(step, *RUN, cwd=here) as client:
                daemons.kill(victim)
                daemons.start_scheduler() if victim == "scheduler" else daemons.start_worker("one")
                code = client.wait()
            if code == 75:  # it had not reached anybody yet, and waits for nobody whom it does not know
                assert [job for job in ended(place) if job not in before] == []
            else:
                assert code == 0
                expect(here / "to" / "back", files, all_of_them=True)
        daemons.stop("one")
        daemons.start_worker("one")  # collects what a killed one has left
        daemons.stop("one")
        daemons.stop("scheduler")
    expect_nothing_is_kept_for_good(command.home)
    work = command.home / "one" / "work"
    assert [path.name for path in work.glob("*") if path.name != "contents"] == []
    assert list(work.glob("contents/new/*")) == []
    assert all(sha256(path.read_bytes()).hexdigest() == path.name for path in work.glob("contents/??/*"))
