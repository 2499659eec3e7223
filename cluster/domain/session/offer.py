"""What a worker has beside its cpus: other resources, and labels that people gave it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_cpus
from cluster.domain.job.amounts import (
    GPUS,
    MAX_AMOUNT,
    MEMORY,
    MOST_GPUS,
    MOST_RESOURCES,
    Amounts,
    amount_in_words,
    check_resource_name,
    format_amount,
    parse_pair,
)
from cluster.domain.job.sandbox import SANDBOXES
from cluster.domain.session.elsewhere import NOWHERE, KnownElsewhere, check_elsewhere

MAX_UNIT = 64  # characters of a gpu's id, which may be a UUID
MAX_LABEL = 255  # characters of a label's value

Labels = tuple[tuple[str, str], ...]  # by name, each once, in the order of the names


@dataclass(frozen=True, slots=True)
class Offer:
    """`sums`: resources that tasks share by amount, memory in bytes. `gpus`: ids of units, each of which one task has
    at a time. `limits_memory`: a task that takes more memory than it asked for is ended there; else asking for memory
    keeps room for it, and nothing more. `sandbox`: what shuts jobs in (`domain/job/sandbox.py`); empty: nothing.
    `elsewhere`: what all that is called there."""

    sums: Amounts = ()
    gpus: tuple[str, ...] = ()
    labels: Labels = ()
    limits_memory: bool = False
    sandbox: str = ""
    elsewhere: KnownElsewhere = NOWHERE
    amounts: Mapping[str, int] = field(init=False, compare=False, repr=False)  # of each resource, gpus counted

    def __post_init__(self) -> None:
        object.__setattr__(self, "amounts", {**dict(self.sums), **({GPUS: len(self.gpus)} if self.gpus else {})})


NOTHING = Offer()


def more_than_there_is(millicpus: int, amounts: Amounts, capacity: int, offer: Offer) -> str:
    """What of a task's needs a worker does not have at all, as in `needs 3 cpus; this worker has 2`; empty: it has all
    of that. `capacity` in millicpus."""
    if millicpus > capacity:
        return f"needs {format_cpus(millicpus)} cpus; this worker has {format_cpus(capacity)}"
    for name, amount in amounts:
        if amount > (there := offer.amounts.get(name, 0)):
            has = format_amount(name, there) if there else "none"
            return f"needs {amount_in_words(name, amount)}; this worker has {has}"
    return ""


def check_offer(offer: Offer) -> None:
    """InvalidInput for what no worker can have."""
    if max(len(offer.sums), len(offer.labels)) > MOST_RESOURCES + 1:
        raise InvalidInput(f"a worker has at most {MOST_RESOURCES} resources and as many labels")
    names = [name for name, _ in (*offer.sums, *offer.labels)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidInput(
            f"{twice} comes twice among the resources and labels of a worker: give each a name of its own"
        )
    if len(set(offer.gpus)) < len(offer.gpus):
        raise InvalidInput("a worker has a gpu twice")
    for name, amount in offer.sums:
        if name != MEMORY:
            check_resource_name(name)
        if not 0 <= amount <= MAX_AMOUNT:
            raise InvalidInput(f"a worker with {amount} of {name}")
    if offer.sandbox not in SANDBOXES:
        raise InvalidInput(f"a worker with a sandbox that is called {offer.sandbox[:80]!r}")
    if len(offer.gpus) > MOST_GPUS:
        raise InvalidInput(f"a worker of {len(offer.gpus)} gpus: the most are {MOST_GPUS}")
    for unit in offer.gpus:
        check_unit(unit)
    for name, value in offer.labels:
        check_resource_name(name)
        check_label_value(value)
    check_elsewhere(offer.elsewhere)


def check_unit(unit: str) -> str:
    """InvalidInput for what is no id of a gpu."""
    if not unit or len(unit) > MAX_UNIT or not all(c.isascii() and (c.isalnum() or c in "-_./:") for c in unit):
        raise InvalidInput(f"{unit[:80]!r} is no id of a gpu: use its number or its UUID")
    return unit


def check_label_value(value: str) -> str:
    """InvalidInput for what no label can have."""
    if len(value) > MAX_LABEL or not value.isprintable():
        raise InvalidInput(f"{value[:80]!r} is no value of a label: use at most {MAX_LABEL} printable characters")
    return value


def parse_label(text: str) -> tuple[str, str]:
    """`zone=a`. InvalidInput."""
    name, value = parse_pair(text, "value", "NAME=VALUE, as in zone=a")
    return name, check_label_value(value)


def parse_labels(texts: tuple[str, ...]) -> Labels:
    """Several of them. InvalidInput, also where one comes twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, value = parse_label(text)
        if name in found:
            raise InvalidInput(f"label {name} comes twice: say once what it is")
        found[name] = value
    return tuple(sorted(found.items()))


def parse_gpus(text: str) -> tuple[str, ...]:
    """Ids of gpus from how many there are (`2`), or from a list of them (`0,2`, `GPU-…,GPU-…`; one alone: `3,`)."""
    if text.strip().isdecimal():
        count = int(text)
        if count > MOST_GPUS:
            raise InvalidInput(f"{count} gpus: the most of one worker are {MOST_GPUS}")
        return tuple(map(str, range(count)))
    units = tuple(check_unit(unit.strip()) for unit in text.removesuffix(",").split(","))
    if len(set(units)) < len(units) or len(units) > MOST_GPUS:
        raise InvalidInput(f"{text[:80]!r}: name each gpu once, and at most {MOST_GPUS}")
    return units
