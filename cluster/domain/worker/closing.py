"""How an agent ends: what it holds is let go, its last reports are acknowledged, the scheduler is bidden farewell."""

from cluster.domain.worker.held_attempts import HeldAttempts
from cluster.domain.worker.messages import RecallAttempts, StopAttempts
from cluster.domain.worker.session import SchedulerSession

# Seconds for the scheduler to acknowledge the last reports when the agent ends. Its disk may be slow, and what it has
# not heard of stays assigned here until it is given up.
GOODBYE = 10.0


class Closing:
    """`until`: when the goodbye is over at the latest, None: nobody has asked this agent to end. `stopping`: what runs
    is stopped. `farewell`: the heartbeat after the last report that said that this worker drains. `finished`: it may
    go."""

    def __init__(self) -> None:
        self.until: float | None = None
        self.stopping = self.finished = False
        self.farewell: int | None = None

    @property
    def has_begun(self) -> bool:
        return self.until is not None

    @property
    def is_unsaid(self) -> bool:
        """The scheduler of the present session has not been told that this worker drains."""
        return self.has_begun and self.farewell is None

    def ask(self, now: float, stop_jobs: bool) -> None:
        """Somebody wants this agent to end; with `stop_jobs`, the jobs too."""
        if self.until is None:
            self.until = now + GOODBYE
        self.stopping = self.stopping or stop_jobs

    def lets_go(self, held: HeldAttempts) -> list[StopAttempts | RecallAttempts]:
        """Stops or recalls what is held, as was asked for."""
        if self.stopping and (everything := held.all):
            # Of these some may have started meanwhile; a stop recalls those that have not.
            return [StopAttempts(everything)]
        return [RecallAttempts(tuple(held.backlog))] if held.backlog else []

    def due(self, session: SchedulerSession) -> float | None:
        """When to look again if nothing happens."""
        return session.silence_ends(self.until) if self.until is not None and not self.finished else None

    def is_over(
        self, now: float, session: SchedulerSession, is_settled: bool, has_jobs: bool, has_launcher: bool
    ) -> bool:
        """Whether the agent may go, from now on. `is_settled`: nothing is left to be reported or given back.
        `has_jobs`: something runs, or may run below a launcher that has not said so."""
        silent = now >= session.silence_ends(self.until or 0.0)
        if self.stopping and has_jobs:
            if has_launcher:
                self.until = now + GOODBYE  # the grace of each bounds this, and its end is to be reported too
                return False
            if not silent:
                return False  # the launcher has died: only the next one can kill what that left, and say what is lost
        # Once the scheduler has answered the farewell it assigns nothing more, and knows of all that was refused.
        answered = self.farewell is not None and session.is_answered(self.farewell)
        # A scheduler that has our hello is about to answer: it is to hear of what has ended, and take the outputs.
        self.finished = not session.hears or (answered and is_settled) or silent
        return self.finished
