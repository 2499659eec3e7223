"""Named pipes, by which jobs and tests wait for each other."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


async def reach(fifo: Path) -> str:
    """Waits until something has the other end open for writing, and answers what it says."""
    said: str = await _other_end(fifo, fifo.read_text)
    return said.strip()


async def let_go(fifo: Path) -> None:
    """Lets whoever reads from the fifo go on."""
    await _other_end(fifo, lambda: fifo.write_text("go\n"))


async def _other_end(fifo: Path, use: Callable[[], Any]) -> Any:
    """In a thread, because to open a fifo is to wait for its other end. If nobody comes, whoever gives up is that: the
    thread would wait for ever, and all the tests for it."""
    try:
        return await asyncio.to_thread(use)
    except asyncio.CancelledError:
        os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))
        raise
