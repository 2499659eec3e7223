"""How much memory a task asks for after attempts that took too much (`--grow`)."""

import re
from math import ceil
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import parse_size
from cluster.domain.job import endings
from cluster.domain.job.amounts import MAX_AMOUNT, wrong_memory
from cluster.domain.job.retry_policy import names

LEAST_FACTOR, MOST_FACTOR = 1.1, 100.0
_FORM = "use mem=FACTORx, and perhaps the most, as in mem=2x or mem=1.5x,max=64G"
_FACTOR = re.compile(r"mem=([0-9]+(?:\.[0-9]+)?)x")


class MemoryGrowth(NamedTuple):
    factor: float  # times what it asked for before
    most: int  # bytes


def parse_growth(text: str) -> MemoryGrowth:
    """Of `mem=2x` or `mem=2x,max=64G`. InvalidInput."""
    first, comma, rest = text.replace(" ", "").partition(",")
    found = _FACTOR.fullmatch(first)
    if found is None:
        raise InvalidInput(f"{text[:80]!r} does not say how memory grows: {_FORM}")
    if not LEAST_FACTOR <= (factor := float(found[1])) <= MOST_FACTOR:
        raise InvalidInput(f"{text[:80]!r}: the factor is from {LEAST_FACTOR:g}x to {MOST_FACTOR:g}x")
    if not comma:
        return MemoryGrowth(factor, MAX_AMOUNT)
    name, _, size = rest.partition("=")
    if name != "max":
        raise InvalidInput(f"{text[:80]!r}: after the comma comes max=SIZE: {_FORM}")
    return MemoryGrowth(factor, parse_size(size))


def wrong_growth(text: str) -> str:
    """What is wrong with it, and what to do; empty where nothing is."""
    try:
        most = parse_growth(text).most
    except InvalidInput as error:
        return str(error)
    return "" if most == MAX_AMOUNT else wrong_memory(most)


def memory_after(memory: int, grow: str, times: int) -> int:
    """Bytes that a task asks for after so many attempts that took too much. `memory`: at first. `grow`: as its option
    says, empty: it asks for as much."""
    if not (grow and times):
        return memory
    growth = parse_growth(grow)
    for _ in range(times):
        if memory >= growth.most:
            break
        memory = min(growth.most, ceil(memory * growth.factor))
    return memory


def refuse_growth(grow: str, memory: int, retries: int, causes: tuple[str, ...]) -> None:
    """InvalidInput where nothing would ever grow, of a job with such options. `causes`: those that are tried again."""
    if not grow:
        return
    if not memory:
        raise InvalidInput(f"--grow {grow} needs --mem: what a task asks for at first")
    if not retries:
        raise InvalidInput(f"--grow {grow} needs --retries: it is about what is tried again")
    if causes and not names(causes, endings.OOM):
        raise InvalidInput(f"--grow {grow} needs oom among --retry-on {','.join(causes)}")
    if parse_growth(grow).most < memory:
        raise InvalidInput(f"--grow {grow}: --mem is more than that already")
