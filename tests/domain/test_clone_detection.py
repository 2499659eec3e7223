"""Copies of a worker's directory, and workers that moved: who is taken for the worker, and when."""

import pytest

from cluster.domain.base.errors import ClusterError, IdentityInUse, NotPermitted, Unreachable
from cluster.domain.scheduler.effects import Amended, CloseSession, Reply
from cluster.domain.scheduler.events import (
    HeartbeatReceived,
    SessionClosed,
    SessionOpened,
    WorkerDeregistered,
    WorkerRegistered,
)
from cluster.domain.session.home import UNKNOWN, Home
from cluster.domain.session.messages import Hello
from tests.domain.core_bench import Bench, Effect, attempts, ok, spec

HERE = Home("machine", "boot", "1-10")
COPY = HERE._replace(directory="1-11")  # cp -a, on the same machine
REBOOTED = HERE._replace(boot="later")
REBOOTED_AGAIN = HERE._replace(boot="latest")
IMAGE = Home("other", "its-boot", "1-10")  # of the machine's disk, on another one
LONG = 1e6  # seconds for which a machine has been up


class Homes(Bench):
    """A scheduler with a worker "w" that lives HERE and holds two tasks of job 1."""

    def __init__(self) -> None:
        super().__init__()
        assert self.ask(HERE) is None
        self.open(HERE)
        self.submit(spec(2))

    def ask(self, home: Home, uptime: float = LONG) -> ClusterError | None:
        """Registers; answers what it was refused with."""
        (reply,) = (
            e for e in self.turn(WorkerRegistered(8, "w", "w", 2000, home=home, uptime=uptime)) if isinstance(e, Reply)
        )
        assert isinstance(reply.value, str | ClusterError)
        return None if isinstance(reply.value, str) else reply.value

    def open(self, home: Home, uptime: float = LONG, incarnation: str = "inc", running: int = 0) -> list[Effect]:
        self._session += 1
        held = (attempts(1, 1, (0, running)),) if running else ()
        hello = Hello(incarnation, 2000, 1, running=held, home=home, uptime=uptime)
        return self.turn(SessionOpened(self._session, "w", hello))

    def beat(self, after: float = 0.0) -> None:
        self.turn(HeartbeatReceived(1, 1), after=after)

    @property
    def states(self) -> list[str]:
        return [self.state(1, index) for index in (0, 1)]


@pytest.fixture
def homes() -> Homes:
    return Homes()


@pytest.mark.parametrize("home", [COPY, IMAGE, IMAGE._replace(machine="machine")])
def test_a_copy_of_a_worker_that_lives_is_refused_as_soon_as_that_one_was_heard(homes: Homes, home: Home) -> None:
    """The last has the machine's id, too; but the first was heard since it started, so no reboot came between."""
    before = homes.core.workers["w"].record
    assert type(homes.ask(home)) is Unreachable  # it may be half-open: a heartbeat will tell
    homes.beat(after=1.0)
    error = homes.ask(home)
    assert isinstance(error, IdentityInUse)
    assert isinstance(error, NotPermitted)
    assert "worker w (w) lives elsewhere" in str(error)
    assert homes.core.workers["w"].record == before  # not a word of the copy's counts
    assert homes.states == ["assigned", "assigned"]


def test_a_copy_that_registered_before_the_first_one_said_hello_gets_no_session() -> None:
    bench = Bench()
    for home in (HERE, COPY):
        bench.turn(WorkerRegistered(8, "w", "w", 2000, home=home, uptime=LONG))
    bench.turn(SessionOpened(1, "w", Hello("inc", 2000, 1, home=HERE, uptime=LONG)))
    (close,) = bench.turn(SessionOpened(2, "w", Hello("inc", 2000, 1, home=COPY, uptime=LONG)))
    assert isinstance(close, CloseSession)
    assert (close.session, bench.core.workers["w"].session) == (2, 1)


@pytest.mark.parametrize("home", [COPY, IMAGE])
def test_nothing_of_the_first_is_lost_before_its_leash_ends_although_a_copy_asks(homes: Homes, home: Home) -> None:
    """Its network is cut. The copy, whose launcher remembers nothing, is taken on when it has been given up."""
    homes.turn(SessionClosed(1))
    for _ in range(5):
        assert type(homes.ask(home)) is Unreachable
        assert all(isinstance(effect, Amended) for effect in homes.turn(after=11.0))  # it is noted that it is silent
    assert homes.states == ["assigned", "assigned"]
    homes.turn(after=6.0)
    assert homes.states == ["failed", "failed"]
    assert homes.ask(home) is None
    homes.open(home, incarnation="new")
    assert homes.core.workers["w"].record.home == home
    # The first one, back, is the copy now.
    assert type(homes.ask(HERE)) is Unreachable
    homes.turn(HeartbeatReceived(2, 1), after=1.0)
    assert type(homes.ask(HERE)) is IdentityInUse


def test_a_copy_that_asks_while_the_first_one_is_half_open_waits_for_its_lease_and_its_leash(homes: Homes) -> None:
    assert type(homes.ask(IMAGE)) is Unreachable
    homes.turn(after=15.0)
    assert homes.core.workers["w"].session is None
    assert type(homes.ask(IMAGE)) is Unreachable
    homes.turn(after=45.0)
    assert homes.states == ["failed", "failed"]
    assert homes.ask(IMAGE) is None


def test_a_copy_that_asks_again_much_later_is_not_judged_by_what_was_heard_long_ago(homes: Homes) -> None:
    """It was refused; meanwhile the first one may have gone for good."""
    homes.ask(IMAGE)
    homes.beat(after=1.0)
    assert type(homes.ask(IMAGE)) is IdentityInUse
    homes.beat(after=14.0)
    homes.turn(after=5.0)
    assert type(homes.ask(IMAGE)) is Unreachable
    homes.beat(after=1.0)
    assert type(homes.ask(IMAGE)) is IdentityInUse


@pytest.mark.parametrize("home", [COPY, IMAGE])
def test_a_worker_that_went_offline_with_nothing_left_may_move(homes: Homes, home: Home) -> None:
    homes.turn(SessionClosed(1))
    homes.turn(after=61.0)
    homes.turn(WorkerDeregistered(9, "w"))
    assert homes.ask(home) is None
    assert homes.core.workers["w"].record.home == HERE  # until it says hello from there
    homes.open(home, incarnation="new")
    assert homes.core.workers["w"].record.home == home


@pytest.mark.parametrize("incarnation", ["inc", "new"])
def test_an_agent_or_launcher_that_was_started_again_is_the_same_worker(homes: Homes, incarnation: str) -> None:
    assert homes.ask(HERE) is None
    homes.open(HERE, incarnation=incarnation, running=2)
    assert homes.core.workers["w"].session == 2
    assert homes.states == ["running", "running"]


@pytest.mark.parametrize("half_open", [True, False])
def test_a_machine_that_has_rebooted_is_the_same_worker_at_once(homes: Homes, half_open: bool) -> None:
    """What ran before is lost without waiting: nothing outlives a reboot."""
    if not half_open:
        homes.turn(SessionClosed(1))
    homes.turn(after=12.0)
    assert homes.ask(REBOOTED, uptime=11.0) is None
    homes.open(REBOOTED, uptime=11.0, incarnation="new")
    assert homes.states == ["failed", "failed"]


def test_a_hello_that_was_said_before_the_last_one_changes_nothing(homes: Homes) -> None:
    """An agent was killed when it had said hello, and the next one's was read first: the scheduler had been stopped.
    What the first one held is old."""
    homes.open(HERE, uptime=LONG + 2.0, running=2)
    (close,) = homes.open(HERE, uptime=LONG + 1.0)
    assert isinstance(close, CloseSession)
    assert (close.session, homes.core.workers["w"].session) == (3, 2)
    assert homes.states == ["running", "running"]
    homes.turn(SessionClosed(2))
    (close,) = homes.open(HERE, uptime=LONG + 1.0)
    assert isinstance(close, CloseSession)
    homes.turn(after=10.0)
    homes.open(REBOOTED, uptime=5.0, incarnation="new")
    assert homes.core.workers["w"].session == 5


def test_a_hello_from_a_boot_that_is_over_changes_nothing_however_late_it_arrives(homes: Homes) -> None:
    """The machine's power went when it had said that; from its next boot it said hello first. Since then it was not
    heard for longer than the old boot had lasted when it said so."""
    homes.turn(after=12.0)
    homes.open(REBOOTED, uptime=11.0, incarnation="new")
    homes.submit(spec(1))
    homes.turn(after=8.0)
    (close,) = homes.open(HERE, uptime=1.0)
    assert isinstance(close, CloseSession)
    assert homes.core.workers["w"].session == 2
    assert homes.state(2) == "assigned"


def test_a_hello_from_a_boot_that_only_registered_changes_nothing_when_the_next_boot_was_heard(homes: Homes) -> None:
    """The power went a second time while the hello of the boot between was on its way (seed 4065). What came to the
    scheduler of that boot in time is its registration."""
    homes.turn(after=12.0)
    assert homes.ask(REBOOTED, uptime=1.0) is None
    homes.turn(after=5.0)
    assert homes.ask(REBOOTED_AGAIN, uptime=2.0) is None
    homes.open(REBOOTED_AGAIN, uptime=2.0, incarnation="new")
    homes.submit(spec(1))
    homes.turn(after=10.0)
    (close,) = homes.open(REBOOTED, uptime=1.0)
    assert isinstance(close, CloseSession)
    assert homes.core.workers["w"].session == 2
    assert homes.state(2) == "assigned"


def test_a_late_registration_and_a_late_hello_of_a_boot_that_is_over_change_nothing_together(homes: Homes) -> None:
    """The agent of that boot had dialled twice: one registration was answered, and its hello and the other waited in
    sockets when the power went. Of the next boot nothing was heard for longer than that one had lasted."""
    homes.turn(after=12.0)
    assert homes.ask(REBOOTED, uptime=1.0) is None
    homes.turn(after=5.0)
    assert homes.ask(REBOOTED_AGAIN, uptime=2.0) is None
    homes.open(REBOOTED_AGAIN, uptime=2.0, incarnation="new")
    homes.submit(spec(1))
    homes.turn(after=10.0)
    assert isinstance(homes.ask(REBOOTED, uptime=1.0), Unreachable)
    (close,) = homes.open(REBOOTED, uptime=1.0)
    assert isinstance(close, CloseSession)
    assert homes.core.workers["w"].session == 2
    assert homes.state(2) == "assigned"


def test_a_worker_that_registers_again_is_believed_although_another_boot_registered_meanwhile(homes: Homes) -> None:
    """That was a copy with the machine's id, which ended before it said hello. The first one goes on."""
    homes.turn(SessionClosed(1), after=12.0)
    assert homes.ask(REBOOTED, uptime=1.0) is None
    assert homes.ask(HERE) is None
    homes.open(HERE, running=2)
    assert homes.core.workers["w"].session == 2
    assert homes.states == ["running", "running"]


def test_a_machine_that_was_set_back_to_an_earlier_moment_is_taken_on_when_its_worker_holds_nothing(
    homes: Homes,
) -> None:
    """Else it were refused for as long as it was set back, which may be days."""
    homes.open(HERE, uptime=LONG, running=2)
    homes.turn(SessionClosed(2), after=1.0)
    for _ in range(5):
        homes.open(HERE, uptime=LONG - 1000.0)
        assert homes.core.workers["w"].session is None
        homes.turn(after=11.0)
    homes.turn(after=5.0)
    assert homes.states == ["failed", "failed"]
    homes.open(HERE, uptime=LONG - 1000.0, running=2)
    assert homes.core.workers["w"].session is not None


def test_an_old_hello_of_a_worker_that_was_just_heard_is_refused_although_it_holds_nothing(homes: Homes) -> None:
    homes.report(1, 1, ok=(ok(1, 0, 2),))
    homes.open(HERE, uptime=LONG + 2.0)
    homes.turn(SessionClosed(2), after=14.0)
    homes.open(HERE, uptime=LONG + 1.0)
    assert homes.core.workers["w"].session is None


def test_after_a_restart_of_the_scheduler_the_first_one_is_known(homes: Homes) -> None:
    homes.restart(after=5.0)
    assert type(homes.ask(COPY)) is Unreachable
    assert homes.ask(HERE) is None
    homes.restart(after=5.0)
    assert homes.ask(REBOOTED, uptime=3.0) is None  # the scheduler's own machine, with an embedded cluster


def test_workers_that_do_not_say_where_they_live_are_taken_on_as_ever(homes: Homes) -> None:
    assert homes.ask(UNKNOWN) is None
    homes.open(UNKNOWN, running=2)
    assert homes.ask(IMAGE) is None


def test_a_home_comes_back_from_its_text() -> None:
    assert Home.parse(str(IMAGE)) == IMAGE
    assert (str(UNKNOWN), Home.parse(""), Home.parse("one two")) == ("", UNKNOWN, UNKNOWN)
