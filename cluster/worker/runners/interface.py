"""What starts attempts for a worker, behind one interface. `tests/contract/test_runners.py` says it as tests, for each.

The agent tells it what to start and stop, and hears of starts and ends in numbered reports, which come again until they
are acknowledged. What an attempt writes is in its template's `outputs` when its end is reported, as many bytes as that
says. Nothing here waits: a runner takes note, and does it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.launcher.template import Item, Template

Reports = list[Started | Ended]


class RunnerHello(Protocol):
    """What a runner holds when the agent connects to it."""

    @property
    def incarnation(self) -> str:
        """Another one may have forgotten attempts that this agent or an earlier one has started."""

    @property
    def running(self) -> Sequence[str]:
        """Keys of attempts."""

    @property
    def backlog(self) -> Sequence[str]:
        """Keys of what was taken and has not begun."""

    @property
    def quiet(self) -> Mapping[str, float]:
        """Of those that run and have such a limit: how long they may write nothing, in seconds."""

    @property
    def frozen(self) -> Sequence[str] | None:
        """Keys of those that stand still. None: it can freeze nothing."""

    @property
    def unacked(self) -> int:
        """How many reports follow that nobody has acknowledged."""

    @property
    def limits_memory(self) -> bool:
        """Whether an attempt that takes more memory than it asks for is ended."""


class Runner(Protocol):
    """A connection to what starts attempts. Keys name attempts (`5.17#2`)."""

    @property
    def hello(self) -> RunnerHello: ...

    def define(self, template: Template) -> int:
        """Makes known how some attempts are started; answers its id."""

    def redefine(self, template_id: int, template: Template) -> None:
        """Uses an id again. What was started under it is not touched."""

    def start(self, template: int, items: Iterable[Item]) -> None:
        """Starts these in order as soon as there is room. What is known, until its end is acknowledged, is not started
        twice."""

    def recall(self, keys: Iterable[str]) -> None:
        """Those of these that have not begun never will, and end with the reason `returned`."""

    def stop(self, keys: Iterable[str], reason: str = ..., grace: float | None = ...) -> None:
        """Ends these, called so; `grace` seconds after it was asked by force (None: as the template says). What has
        ended, or is not known, stays as it is."""

    def freeze(self, keys: Iterable[str], thaw: bool = ...) -> None:
        """Lets these stand still where they are, once they have begun, and with them the time that they may run; with
        `thaw`, lets them go on. Whoever stops one thaws it."""

    def confirm_lease(self, at: float) -> None:
        """The lease holds, as was asked for `at` (boot clock, seconds): from then on leashes count."""

    def ack(self, seq: int) -> None:
        """Reports up to this number are safe, and may be forgotten."""

    def quit(self, kill: bool = ...) -> None:
        """It is not needed any more, and goes when nothing runs; with `kill` it ends everything first."""

    def batches(self) -> AsyncIterator[Reports]:
        """Reports as they come, in lists that are never empty. Ends when it has gone, or the connection broke."""

    async def close(self) -> None:
        """Ends the connection; what runs goes on."""


Connect = Callable[[], Awaitable[Runner]]  # LauncherUnavailable says why there is none
