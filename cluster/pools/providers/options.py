"""The keys of a provider's table, read one by one, each wrong one told with its value."""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import parse_duration
from cluster.pools.providers.interface import PoolTable


class TableReader:
    """`where`: the beginning of each message, as in `pools.toml: pool gpu: [pool.command]`. What was not asked for
    when `done` is called is unknown."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values, self._where = values, where
        self._known: list[str] = []

    @classmethod
    def of(cls, table: PoolTable) -> "TableReader":
        return cls(table.options, f"{table.where}: [pool.{table.provider}]")

    def text(self, key: str, default: str | None = None) -> str:
        """A text with something in it, unless the default is taken. `default` None: it must be there."""
        found: str = self._read(key, default, lambda value: isinstance(value, str) and bool(value.strip()), "a text")
        return found

    def texts(self, key: str, default: list[str] | None = None) -> list[str]:
        """Several texts, none of them empty."""

        def good(value: Any) -> bool:
            return isinstance(value, list) and all(isinstance(each, str) and each.strip() for each in value)

        found: list[str] = self._read(key, default, good, 'a list of texts, as in ["a", "b"]')
        return found

    def pairs(self, key: str) -> dict[str, str]:
        """Texts by name; none where the key is not there."""

        def good(value: Any) -> bool:
            return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())

        found: dict[str, str] = self._read(key, {}, good, 'texts by name, as in { zone = "a" }')
        return found

    def table(self, key: str) -> dict[str, Any]:
        """Whatever is in that table; nothing where the key is not there."""
        found: dict[str, Any] = self._read(key, {}, lambda value: isinstance(value, dict), "a table")
        return found

    def count(self, key: str, default: int | None = None, least: int = 0, most: int = 1_000_000) -> int:
        def good(value: Any) -> bool:
            return type(value) is int and least <= value <= most

        found: int = self._read(key, default, good, f"a whole number from {least} to {most}")
        return found

    def number(self, key: str, default: float | None = None, least: float = 0.0) -> float:
        def good(value: Any) -> bool:
            return type(value) in (int, float) and least <= value < float("inf")

        return float(self._read(key, default, good, f"a number from {least:g} on"))

    def switch(self, key: str, default: bool = False) -> bool:
        found: bool = self._read(key, default, lambda value: type(value) is bool, "true or false")
        return found

    def seconds(self, key: str, default: float) -> float:
        """A duration, as in "90s" or 90."""
        value = self._read(key, default, lambda each: type(each) in (int, float, str), 'a duration, as in "90s"')
        if isinstance(value, str):
            return float(self._parsed(key, value, parse_duration))
        if not 0 <= value < float("inf"):
            raise self.wrong(key, value, 'a duration, as in "90s"')
        return float(value)

    def worker_options(self) -> list[str]:
        """The key `worker`: options of `cluster worker` beside those that the pool gives it."""
        found = self.texts("worker", [])
        if wrong := [each for each in found if not each.startswith("--")]:
            raise self.wrong("worker", wrong[0], 'options of `cluster worker`, as in "--run-as=ada"')
        return found

    def time_limit(self) -> float:
        """The key of that name: seconds for whatever the provider runs, more than 0."""
        found = self.seconds("time_limit", 60.0)
        if not found:
            raise self.wrong("time_limit", found, "more than 0")
        return found

    def parsed(self, key: str, parse: Callable[[str], Any], default: Any) -> Any:
        """What `parse` makes of a text or a number; it raises InvalidInput for others."""
        if key not in self._values:
            self._known.append(key)
            return default
        value = self._read(key, None, lambda each: type(each) in (int, float, str), "a text or a number")
        return self._parsed(key, str(value), parse)

    def done(self) -> None:
        """InvalidInput where there are keys that nobody has asked for."""
        for key in self._values:
            if key not in self._known:
                raise InvalidInput(f"{self._where}: unknown key {key!r}; it may have: {', '.join(sorted(self._known))}")

    def wrong(self, key: str, value: Any, wanted: str) -> InvalidInput:
        """To raise for a value that the key cannot have."""
        return InvalidInput(f"{self._where}: {key} is {_shown(value)}; it must be {wanted}")

    def _read(self, key: str, default: Any, is_good: Callable[[Any], bool], wanted: str) -> Any:
        self._known.append(key)
        if key not in self._values:
            if default is None:
                raise InvalidInput(f"{self._where}: {key} is missing; it must be {wanted}")
            return default
        value = self._values[key]
        if not is_good(value):
            raise self.wrong(key, value, wanted)
        return value

    def _parsed(self, key: str, text: str, parse: Callable[[str], Any]) -> Any:
        try:
            return parse(text)
        except InvalidInput as error:
            raise InvalidInput(f"{self._where}: {key}: {error}") from None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
