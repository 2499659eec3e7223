"""Resources beside cpus, by their names: how much of each a task needs, or a worker has.

`mem` counts bytes, `gpus` counts units; any other name is what people agree on, such as `licence`.
"""

import re

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_size, parse_size

CPUS, MEMORY, GPUS = "cpus", "mem", "gpus"
MOST_RESOURCES = 64  # that one job names, or one worker has
MAX_AMOUNT = 2**63 - 1  # of one resource: what SQLite and the wire count
LEAST_MEMORY = 4 << 20  # bytes that a task may ask for; where that is a limit, nothing starts with less
MAX_RESOURCE_NAME = 63  # characters
MOST_GPUS = 1024  # of one worker

Amounts = tuple[tuple[str, int], ...]  # by name, each once, in the order of the names

# Words of the language of --need, which no resource and no label can be called.
RESERVED = frozenset({"and", "or", "not", "has", "in", "true", "false", "name", CPUS, MEMORY, GPUS})
# Further words of it, and what they mean there: nobody could ask for what is called so.
ALIASES = {"gpu": GPUS, "cpu": CPUS, "memory": MEMORY}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def check_resource_name(name: str) -> str:
    """InvalidInput for what no resource and no label can be called."""
    if not _NAME.fullmatch(name) or len(name) > MAX_RESOURCE_NAME:
        raise InvalidInput(
            f"{name[:80]!r} is no name of a resource or label: use at most {MAX_RESOURCE_NAME} of letters, digits, "
            "and _ . - after the first"
        )
    if name in (CPUS, MEMORY, GPUS):
        raise InvalidInput(f"{name} has an option of its own: use --{name}")
    if name in ALIASES:
        meant = ALIASES[name]
        raise InvalidInput(f"{name!r} means {meant} in --need, and nothing else: use --{meant}, or choose another name")
    if name in RESERVED:
        raise InvalidInput(f"{name!r} is a word of --need: choose another name")
    return name


def parse_pair(text: str, what: str, form: str) -> tuple[str, str]:
    """The name of a resource or label, and what it is, from NAME=VALUE. InvalidInput says `what` is missing, and which
    form it has."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"{text[:80]!r} says no {what}: use {form}")
    return check_resource_name(name.strip()), value


def parse_amount(text: str) -> tuple[str, int]:
    """`licence=4`, `scratch=100G`. InvalidInput."""
    name, amount = parse_pair(text, "amount", "NAME=N, as in licence=4")
    try:
        count = parse_size(amount.strip())
    except InvalidInput:
        count = 0
    if not 1 <= count <= MAX_AMOUNT:
        raise InvalidInput(f"{text[:80]!r} is no amount: use a whole number from 1, or a size, as in {name}=4")
    return name, count


def parse_amounts(texts: tuple[str, ...]) -> Amounts:
    """Several of them. InvalidInput, also where one comes twice."""
    found: dict[str, int] = {}
    for text in texts:
        name, count = parse_amount(text)
        if name in found:
            raise InvalidInput(f"{name} comes twice: say once how much it is")
        found[name] = count
    if len(found) > MOST_RESOURCES:
        raise InvalidInput(f"{len(found)} resources: the most are {MOST_RESOURCES}")
    return tuple(sorted(found.items()))


def amounts_said(texts: tuple[str, ...]) -> dict[str, int]:
    """What they say, which have passed `parse_amounts`: of this version, or of one that let more names pass."""
    pairs = (text.partition("=") for text in texts)
    return {name.strip(): parse_size(amount.strip()) for name, _, amount in pairs}


def wrong_memory(size: int) -> str:
    """What is wrong with that many bytes for a task, and what to do; empty where nothing is."""
    if 0 < size < LEAST_MEMORY:
        return f"no program starts with so little: use {LEAST_MEMORY >> 20}M or more, as in 512M"
    return f"no machine has so much: use {MAX_AMOUNT >> 40}T or less" if size > MAX_AMOUNT else ""


def wrong_amounts(texts: tuple[str, ...]) -> str:
    """What is wrong with them, and what to do; empty where nothing is."""
    try:
        parse_amounts(texts)
    except InvalidInput as error:
        return str(error)
    return ""


def format_amount(name: str, count: int) -> str:
    """The amount alone, for people."""
    return format_size(count) if name == MEMORY else str(count)


def amount_in_words(name: str, count: int) -> str:
    """The amount with the name of what it is of."""
    return f"{format_amount(name, count)} {name.removesuffix('s') if (name, count) == (GPUS, 1) else name}"
