"""A selector has a text or a key, at a scheduler's door as at a worker's own."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.keys import uuid_of_key
from cluster.rpc import gate
from cluster.scheduler.doors import translating
from cluster.v1.jobs_pb2 import Selector
from cluster.worker.own import door


@pytest.fixture(autouse=True)
def ada_calls() -> Iterator[None]:
    token = gate._caller.set(SimpleNamespace(user_id="ada"))  # type: ignore[arg-type]
    yield
    gate._caller.reset(token)


@pytest.mark.parametrize("text_of", [translating.text_of, door._text_of])
def test_it_is_a_text_or_a_key_of_the_callers_and_not_both(text_of: Callable[[Selector], str]) -> None:
    assert text_of(Selector(text="5")) == "5"
    assert text_of(Selector(key="k")) == uuid_of_key("ada", "k")
    with pytest.raises(InvalidInput, match="a text or a key, and not both"):
        text_of(Selector(text="5", key="k"))
