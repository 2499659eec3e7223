"""The shares of users: their weights, and what they have had."""

from cluster.domain.scheduler.events import ShareWeighed
from cluster.domain.scheduler.sharing import SAVED_AFTER
from cluster.domain.scheduler.state import State


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
