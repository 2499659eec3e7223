"""What the launcher is told of commands about attempts that are held here. Of what is not held, none says anything."""

from cluster.domain.session.messages import Freeze, Recall, Stop
from cluster.domain.worker.held_attempts import HeldAttempts
from cluster.domain.worker.messages import FreezeAttempts, RecallAttempts, StopAttempts


def effect_of(
    command: Stop | Recall | Freeze, held: HeldAttempts
) -> StopAttempts | RecallAttempts | FreezeAttempts | None:
    """None: nothing follows from it."""
    match command:
        case Stop():
            keys = held.those_of(command.attempts)
            return StopAttempts(keys, command.grace) if keys else None
        case Recall():
            keys = tuple(key for key in held.those_of(command.attempts) if key in held.backlog)
            return RecallAttempts(keys) if keys else None
        case Freeze():
            keys = held.freeze(command.attempts, thaw=command.thaw)
            return FreezeAttempts(keys, command.thaw) if keys else None
