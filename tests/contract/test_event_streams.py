"""Streams of events end as a whole when their reader hangs up."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from cluster.gateway.event_streams import as_events
from tests.patience import PATIENCE


def test_a_reader_that_hangs_up_while_a_stream_ends_leaves_nothing_half_closed() -> None:
    async def work() -> None:
        waits, ending, tidied, closed = (asyncio.Event() for _ in range(4))

        async def messages() -> AsyncGenerator[Any, None]:
            try:
                yield 1
                waits.set()
                await asyncio.Event().wait()
            finally:
                ending.set()
                await tidied.wait()  # as a call that is cancelled, and is told so by the other side
                closed.set()

        response = await as_events(messages(), lambda _: b"data: 1\n\n")

        async def read() -> None:
            async for _ in response.body_iterator:
                pass

        reader = asyncio.create_task(read())
        await waits.wait()
        reader.cancel()
        await ending.wait()
        reader.cancel()  # the server gives up, too
        await asyncio.sleep(0)
        tidied.set()
        await asyncio.wait([reader], timeout=PATIENCE)
        assert reader.cancelled(), "not an error of a generator that was still running"
        assert closed.is_set()

    asyncio.run(work())
