"""The signals that tell a serving process to end."""

import asyncio
import signal


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets, from this call on."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
