"""Processes that stall: stopped by a signal, with a machine that sleeps, or for want of a cpu or a disk.

A core is called at its deadline at the latest. One that is called much later was not there meanwhile, and what was said
to it waits in sockets. The clock alone would now call everybody silent who was not; so after a stall nobody is, before
there was time to hear them.
"""

STALL = 1.0  # seconds after a core's deadline from which on it counts as having stalled
LISTENING = 1.0  # seconds in which what waits in a process's sockets is certainly read


def overslept(deadline: float | None, now: float) -> bool:
    """Whether a core that wanted to be called at `deadline` is called so late, `now`, that it must listen first."""
    return deadline is not None and now > deadline + STALL
