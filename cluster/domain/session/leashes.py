"""How long attempts live without a confirmed lease, and who cuts their leash when. Seconds everywhere.

A worker's attempts live from its last *confirmed* word: from when the heartbeat (or hello) was sent that the scheduler
has answered, on the boot clock of the worker's machine. The scheduler gives them up `lost_after` from when it heard
that word or a later one, so never sooner than this:

    confirmed_at                                   leash   +0.5    +1             lost_after
    |-------------------------------------------|------|------|------------------|
                                           launcher   slot  watchdog        given up by the scheduler

Each of the three cuts what it finds, and any one of them is enough: the others may be stopped, hang or be dead. What is
left until the end is for the kill itself, and for clocks that run apart.
"""

LEASH = 7 / 8  # of lost_after
LEAST_MARGIN = 2.0  # from the end of the leash until the scheduler gives up
SLOT_MARGIN = 0.5  # so long after the leash an attempt's own slot cuts it, if nobody has
WATCHDOG_MARGIN = 1.0  # and so long after it the watchdog
HEARTBEATS = 3  # in the time of a lease
RECONNECTED_WITHIN = 2.0  # from when a scheduler serves again until a worker that runs something has been heard


def lost_after_in_force(wished: float, lease: float) -> float:
    """The wished `lost_after`, or the least in force if that is more. Until the least is over a healthy worker has
    confirmed its lease again, even if a heartbeat was lost, and the session with it, and had to be made anew."""
    return max(wished, lease * 4 / 3, lease + LEAST_MARGIN + 1.0)


def leash_of(lost_after: float) -> float:
    """The leash of attempts that the scheduler gives up after `lost_after` (in force)."""
    return min(LEASH * lost_after, lost_after - LEAST_MARGIN)


def survived_absence(lost_after: float, lease: float) -> float:
    """How long a scheduler, or the agent, may be away without an attempt being cut. The last confirmed word is up to a
    heartbeat's interval old when it goes, and when it is back the two must find each other."""
    return leash_of(lost_after) - lease / HEARTBEATS - RECONNECTED_WITHIN


def cut_at(confirmed_at: float, leash: float, margin: float = 0.0) -> float:
    """The boot clock (s) at which the one with this margin cuts. The last confirmed word was sent at `confirmed_at`."""
    return confirmed_at + leash + margin


def is_out(now: float, confirmed_at: float, leash: float, margin: float = 0.0) -> bool:
    """Whether the one with this margin is to cut now. Once the leash is out without a margin nothing may be started.

    Whoever asks reads the confirmations first: a process that was stopped finds those that came meanwhile waiting."""
    return now >= cut_at(confirmed_at, leash, margin)
