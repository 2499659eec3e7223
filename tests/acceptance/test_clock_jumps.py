"""Machines that were off, or asleep, until their certificates had ended: each daemon works again by itself, or by one
new token. Real processes, whose clocks are set ahead by faketime.

The jumps of 8 and 40 days are an extra: `pytest -m extra_clock tests/acceptance/test_clock_jumps.py`."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tools.environments import REPOSITORY

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is missing: apt-get install faketime"),
]
DAYS = [pytest.param(days, marks=pytest.mark.extra_clock if days < 400 else ()) for days in (8, 40, 400)]
DAY = 86400


# A launcher needs no calendar, and faketime moves its timers of the boot clock too: they would kill its jobs at once.
# So an agent, once it has the library itself, does not hand it on.
SPARE_THE_LAUNCHER = """
import os, sys
if {"worker", "--directory"} <= set(sys.orig_argv) and "--join" not in sys.orig_argv:
    os.environ.pop("LD_PRELOAD", None)
"""


@dataclass
class Traveller(Command):
    """`cluster` on a machine whose clock is `days` ahead. What runs notices a jump only if it `sleeps`: then it
    reads the file `clock` each time, and is slow."""

    days: int = 0
    sleeps: bool = False

    @property
    def clock(self) -> Path:
        return self.home.parent / "clock"

    def travel(self, days: int) -> None:
        self.days = days
        self.clock.write_text(f"+{days}d\n")

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        (self.home.parent / "sitecustomize.py").write_text(SPARE_THE_LAUNCHER)
        fake = {"LD_PRELOAD": str(LIBRARY), "DONT_FAKE_MONOTONIC": "1"}
        fake["PYTHONPATH"] = f"{self.home.parent}:{REPOSITORY}"
        clock = {"FAKETIME_TIMESTAMP_FILE": str(self.clock), "FAKETIME_NO_CACHE": "1"}
        clock = clock if self.sleeps else {"FAKETIME": f"+{self.days}d"}
        return {**super().environment(variables), **fake, **clock}


def traveller(place: Path, name: str, sleeps: bool = False) -> Traveller:
    place.joinpath(name).mkdir(mode=0o700)
    machine = Traveller(place / name, sleeps=sleeps)
    machine.travel(0)
    return machine


@pytest.fixture
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Traveller]:
    """An embedded cluster that has run a job."""
    machine = traveller(tmp_path, "own", sleeps=getattr(request, "param", False))
    machine.ok("run", "--", "true")
    yield machine
    machine.ok("down")


@pytest.mark.parametrize("days", DAYS)
def test_an_embedded_cluster_that_was_stopped_runs_again_and_once_more_when_the_clock_is_set_right(
    own: Traveller, days: int
) -> None:
    before = own.ok("worker", "list", "--json").json
    own.ok("down")
    own.travel(days)
    assert own.ok("run", "--", "echo", "back").out == b"back\n"
    after = own.ok("worker", "list", "--json").json
    assert [w["id"] for w in after] == [w["id"] for w in before]
    assert [job["state"] for job in own.ok("job", "list", "--json").json] == ["succeeded"] * 2
    own.ok("down")
    own.travel(0)  # that clock was wrong, and is set right
    assert own.ok("run", "--", "echo", "back").out == b"back\n"


@pytest.mark.parametrize("days", DAYS)
def test_an_embedded_cluster_whose_machine_was_switched_off_runs_again(own: Traveller, days: int) -> None:
    for pid in own.pids().values():
        os.kill(pid, signal.SIGKILL)
    own.travel(days)
    assert own.ok("run", "--", "echo", "back").out == b"back\n"


@pytest.mark.parametrize("own", [True], indirect=True, ids=["asleep"])
@pytest.mark.parametrize("days", DAYS)
def test_an_embedded_cluster_whose_machine_slept_goes_on(own: Traveller, days: int) -> None:
    """Its processes live, and their timers, which stood still, have renewed nothing. Its session was broken meanwhile,
    as is every connection over such a time; but while that lasts the scheduler shows a valid certificate."""
    own.travel(days)
    assert own.ok("job", "list", "--json").json[0]["state"] == "succeeded"
    pids = own.pids()
    os.kill(pids["scheduler"], signal.SIGKILL)
    assert own.ok("run", "--", "echo", "back").out == b"back\n"
    assert own.pids()["worker"] == pids["worker"]


def test_an_embedded_worker_that_was_expelled_is_another_one_after_the_next_up(own: Traveller) -> None:
    (before,) = own.ok("worker", "list", "--json").json
    own.ok("worker", "remove", before["id"], "--revoke", "--yes")
    own.ok("down")
    assert own.ok("run", "--", "echo", "back").out == b"back\n"
    (after,) = own.ok("worker", "list", "--json").json
    assert (after["name"], after["id"] == before["id"]) == (before["name"], False)


@dataclass
class Site:
    """A scheduler on one machine, a worker and a user on another."""

    head: Traveller
    other: Traveller
    daemons: Daemons

    def token(self, *options: str) -> str:
        return self.head.ok("token", "create", "--quiet", *options).text.strip()

    @contextmanager
    def worker(self, *options: str) -> Iterator[Daemons]:
        """On the other machine, which has no scheduler of its own, until the body is done."""
        remote = Daemons(self.other)
        with remote:
            remote.start_worker("box", *options)
            yield remote

    def travel(self, days: int) -> None:
        """While all of it is off."""
        self.daemons.stop("scheduler")
        self.head.travel(days)
        self.other.travel(days)
        self.daemons.start_scheduler()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    head, other = traveller(tmp_path, "head"), traveller(tmp_path, "other")
    with Daemons(head) as daemons:
        daemons.start_scheduler()
        yield Site(head, other, daemons)


@pytest.mark.parametrize("days", DAYS)
def test_a_worker_elsewhere_goes_on_as_it_was_by_one_new_token(site: Site, days: int) -> None:
    with site.worker("--join", site.token()):
        (before,) = site.head.ok("worker", "list", "--json").json
    site.travel(days)
    refused = site.other("worker", "--directory", str(site.other.home / "box"), "--listen", "none")
    assert refused.code == 77
    assert "start it once with --join TOKEN" in refused.err
    with site.worker("--join", site.token()):
        (after,) = site.head.ok("worker", "list", "--json").json
        assert (after["id"], after["state"]) == (before["id"], "online")
        assert site.head.ok("run", "--", "echo", "back").out == b"back\n"


def test_a_worker_that_was_expelled_joins_as_another_one_by_one_new_token(site: Site) -> None:
    with site.worker("--join", site.token()):
        (before,) = site.head.ok("worker", "list", "--json").json
        site.head.ok("worker", "remove", "box", "--revoke", "--yes")
    with site.worker("--join", site.token()):
        (after,) = site.head.ok("worker", "list", "--json").json
        assert after["id"] != before["id"]
        assert (after["name"], after["state"]) == ("box", "online")


def test_a_worker_whose_certificate_is_good_spends_no_token(site: Site) -> None:
    token = site.token()
    for _ in range(2):
        with site.worker("--join", token):
            assert len(site.head.ok("worker", "list", "--json").json) == 1


@pytest.mark.parametrize("days", DAYS)
def test_a_user_elsewhere_is_let_in_again_by_itself_or_by_one_new_token(site: Site, days: int) -> None:
    site.other.ok("login", site.token("--role", "user", "--user", "ada"))
    site.travel(days)
    if days > 30:
        refused = site.other("job", "list")
        assert refused.code == 77
        assert "log in again with `cluster login TOKEN`" in refused.err
        site.other.ok("login", site.token("--role", "user", "--user", "ada"))
    assert site.other.ok("job", "list", "--json").json == []


@pytest.mark.parametrize("days", DAYS)
def test_a_worker_that_stands_alone_serves_again(tmp_path: Path, days: int) -> None:
    machine = traveller(tmp_path, "alone", sleeps=True)
    with Daemons(machine) as daemons:
        for ahead in (0, days):
            machine.travel(ahead)
            daemons.start_worker("worker", "--standalone", "--listen", f"127.0.0.1:{daemons.port}")
            machine.ok("job", "--direct", f"127.0.0.1:{daemons.port}", "list")
            if not ahead:
                daemons.stop("worker")
        machine.travel(2 * days)  # it runs, and sleeps
        machine.ok("job", "--direct", f"127.0.0.1:{daemons.port}", "list")
        daemons.stop("worker")  # with its launcher, since nothing runs
        daemons._workers.clear()


def test_the_clocks_are_really_ahead(tmp_path: Path) -> None:
    """The control: else every test here would pass for nothing."""
    machine = traveller(tmp_path, "any")
    machine.travel(400)
    year = ["date", "+%s"]
    ahead, now = (
        int(subprocess.run(year, env=env, capture_output=True, check=True).stdout)
        for env in (machine.environment({}), None)
    )
    assert abs(ahead - now - 400 * DAY) < 3600
