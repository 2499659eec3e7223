"""What follows something ends when its reader has left, although there is nothing to write."""

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from cluster.cli import reader_watch
from cluster.cli.reader_watch import while_read
from tests.patience import PATIENCE


@pytest.fixture
def reader() -> Iterator[list[int]]:
    """The ends of a pipe that is standard output: its reader's, and ours. Who closes one takes it out."""
    ends = list(os.pipe())
    yield ends
    for each in ends:
        os.close(each)


async def _for_ever(begun: asyncio.Event, ended: list[str]) -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("cancelled")


def test_the_work_is_cancelled_when_its_reader_leaves(reader: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_watch, "PATIENCE_WITH_THE_END", 0)

    async def play() -> list[str]:
        begun, ended = asyncio.Event(), list[str]()
        following = asyncio.create_task(while_read(reader[-1], _for_ever(begun, ended)))
        await begun.wait()
        os.close(reader.pop(0))
        with pytest.raises(BrokenPipeError):
            await following
        return ended

    assert asyncio.run(play()) == ["cancelled"]


def test_work_that_ends_when_its_reader_leaves_has_ended_well(
    reader: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_watch, "PATIENCE_WITH_THE_END", PATIENCE)

    async def play() -> str:
        end = asyncio.Event()

        async def work() -> str:
            await end.wait()
            return "its end"

        following = asyncio.create_task(while_read(reader[-1], work()))
        os.close(reader.pop(0))
        asyncio.get_running_loop().call_later(0.01, end.set)
        return await following

    assert asyncio.run(play()) == "its end"


def test_whatever_else_output_is_it_is_not_taken_for_a_reader_that_left() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return "its end"

    ours, theirs = socket.socketpair()
    theirs.send(b"what somebody says to us")
    with ours, theirs, open(os.devnull, "w") as null, open(__file__) as file:
        for output in (ours, null, file):
            assert asyncio.run(while_read(output.fileno(), work())) == "its end"


def test_an_error_of_the_work_is_that_of_the_whole(reader: list[int]) -> None:
    async def work() -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        asyncio.run(while_read(reader[-1], work()))


def test_what_is_cancelled_cancels_its_work(reader: list[int]) -> None:
    async def play() -> list[str]:
        begun, ended = asyncio.Event(), list[str]()
        following = asyncio.create_task(while_read(reader[-1], _for_ever(begun, ended)))
        await begun.wait()
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
        return ended

    assert asyncio.run(play()) == ["cancelled"]
