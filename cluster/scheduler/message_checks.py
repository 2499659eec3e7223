"""What a worker or a caller says that no record may hold. (`domain.session.report_checks` judges a report's entries.)

A number that the store cannot keep would fail the commit that it is part of, and with it the scheduler.
"""

from collections.abc import Iterable

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_number
from cluster.domain.job.spec import MAX_TASKS
from cluster.domain.scheduler.worker_record import MAX_MILLICPUS
from cluster.domain.session.home import Home
from cluster.domain.session.messages import Attempts, Hello
from cluster.domain.session.offer import check_offer
from cluster.domain.session.report_checks import MAX_SECONDS

MAX_INTEGER = 2**63 - 1  # of SQLite
MAX_TEXT = 10_000  # characters of a name, reason or detail


def check_hello(hello: Hello) -> None:
    """InvalidInput if it cannot be."""
    check_text("incarnation", hello.incarnation)
    check_text("what fills its disk", hello.no_room)
    check_home(hello.home, hello.uptime)
    check_millicpus(hello.millicpus)
    check_offer(hello.offer)
    check_seconds("until it leaves,", *(() if hello.leaves_in is None else (hello.leaves_in,)))
    _check_attempts((*hello.backlog, *hello.running, *hello.ended, *hello.frozen))


def check_home(home: Home, uptime: float) -> None:
    """InvalidInput if it cannot be."""
    for word, text in home._asdict().items():
        check_text(f"the home's {word}", text)
        if " " in text:
            raise InvalidInput(f"the home's {word} {text!r} has a space")
    if not 0 <= uptime < MAX_SECONDS:
        raise InvalidInput(f"no machine has been up for {uptime} s")


def check_millicpus(millicpus: int) -> None:
    """InvalidInput for what no worker can have."""
    if not millicpus:
        raise InvalidInput("a worker without cpus can run nothing")
    if millicpus > MAX_MILLICPUS:
        raise InvalidInput(f"a worker of {millicpus // 1000} cpus: the most are {MAX_MILLICPUS // 1000}")


def check_text(what: str, text: str, most: int = MAX_TEXT) -> None:
    """InvalidInput for one that is no text for people, or has more than so many characters."""
    if len(text) > most or "\0" in text:
        raise InvalidInput(f"{what} {text[:40]!r}… is longer than {most} characters, or holds a NUL")


def check_seconds(what: str, *values: float) -> None:
    """InvalidInput for what is no time."""
    for value in values:
        if not 0 <= value <= MAX_SECONDS:
            raise InvalidInput(f"{what} {value:g} is no number of seconds from 0 to {format_number(MAX_SECONDS)}")


def _check_attempts(several: Iterable[Attempts]) -> None:
    for attempts in several:
        if any(start >= stop or stop > MAX_TASKS for start, stop in attempts.ranges):
            raise InvalidInput(f"job {attempts.job}: a range of tasks is empty or beyond {MAX_TASKS}")
