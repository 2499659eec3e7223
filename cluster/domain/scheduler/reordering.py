"""Somebody changes the order of what waits: the priority of jobs, or the weight of a user's share."""

from cluster.domain.base.errors import NotPermitted
from cluster.domain.scheduler.events import JobsReordered, ShareWeighed
from cluster.domain.scheduler.sharing import SAVED_AFTER
from cluster.domain.scheduler.state import State


def reorder_jobs(state: State, event: JobsReordered) -> None:
    """Replies how many of them have another priority now. NotPermitted where who asks may not raise one: then none
    has."""
    live = [job for number in event.jobs if (job := state.jobs.get(number)) and job.live]
    if not event.by_admin and (raised := next((job for job in live if job.priority < event.priority), None)):
        why = f"job {raised.number} has priority {raised.priority}, and only an admin raises it"
        state.reply(event.ask, NotPermitted(f"{why}: give {raised.priority} or less"))
        return
    changed = [job for job in live if job.priority != event.priority]
    for job in changed:
        state.ready.drop(job)
        job.priority = event.priority
        state.touch(job)
    state.reply(event.ask, len(changed))


def weigh_share(state: State, event: ShareWeighed) -> None:
    """Replies 1."""
    state.shares.weigh(event.owner, event.weight, state.now.mono)
    state.reply(event.ask, 1)
    save_shares(state)


def look_at(state: State) -> None:
    """What users hold has changed in this turn, perhaps: that is saved a while later, at once with what comes until
    then."""
    if state.shares.is_changed and not state.shares_due:
        state.shares_due = True
        state.timers.set(("shares",), state.now.mono + SAVED_AFTER)


def save_shares(state: State) -> None:
    """All that has changed."""
    state.shares_due = False
    state.saves += state.shares.changed(state.now.mono, state.now.wall)
