"""Questions to the store: together where they come together, each with its own answer."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cluster.domain.base.errors import Unreachable
from cluster.scheduler.store_reader import StoreReader


def test_what_comes_while_the_store_is_asked_goes_there_together_and_each_gets_its_own_answer() -> None:
    async def body() -> None:
        reader = StoreReader("the store")  # type: ignore[arg-type]
        begun, go_on, asked = threading.Event(), threading.Event(), list[str]()

        def slow(store: Any) -> str:
            begun.set()
            go_on.wait()
            return str(store)

        def noted(word: str) -> Callable[[Any], str]:
            def query(store: Any) -> str:
                asked.append(word)
                return word

            return query

        def fails(store: Any) -> None:
            raise ValueError("no such thing")

        first = reader.ask(slow)
        await asyncio.to_thread(begun.wait)
        others: list[asyncio.Future[Any]] = [
            reader.ask(noted("a")),
            reader.ask(fails),
            reader.ask(noted("b")),
            reader.ask(noted("c")),
        ]
        others[2].cancel()
        go_on.set()
        assert await first == "the store"
        assert await others[0] == "a"
        with pytest.raises(ValueError, match="no such thing"):
            await others[1]
        assert await others[3] == "c"
        assert asked == ["a", "c"]  # nobody waits for b
        reader.close()
        with pytest.raises(Unreachable):
            await reader.ask(noted("d"))

    asyncio.run(body())
