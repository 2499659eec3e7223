"""Jobs whose tasks ask for more memory after an attempt that took too much (`cluster.domain.job.growth`).

In the ready queue a job asks for one thing at a time: for what those of its ready tasks need whose memory has grown
least. What it asks for changes only between two rounds of placing. What workers hold is counted as it was asked for.
"""

from cluster.domain.scheduler.changing import ask_for
from cluster.domain.scheduler.state import State


def settle(state: State) -> None:
    """Of the jobs that have changed in this turn each asks for what its next tasks need."""
    for job in list(state.changed.values()):
        if job.grows and (level := job.next_level) != job.level:
            state.ready.drop(job)
            job.level = level
            if (request := job.request_at(level)) != job.request:
                ask_for(state, job, request)
            state.ready.note(job)
            if job in state.ready:
                state.timers.set(("place",), state.now.mono)
