"""What callers name jobs and workers by."""

from collections.abc import Sequence

from cluster.domain.base.errors import InvalidInput


def selector_text(selector: str | int) -> str:
    """A selector as people type it; a number is a job's."""
    if isinstance(selector, str | int):
        return str(selector)
    raise InvalidInput(f"a {type(selector).__name__} selects no job: give a job's number, name or UUID")


def selector_texts(selectors: Sequence[str | int]) -> tuple[str, ...]:
    return tuple(map(selector_text, selectors))


def worker_names(workers: Sequence[str]) -> tuple[str, ...]:
    """A name alone would be taken for one of each letter."""
    if isinstance(workers, str):
        raise InvalidInput(f"the workers {workers!r} are one text: give a list of names, as in [{workers!r}]")
    return tuple(workers)
