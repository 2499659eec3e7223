"""The kinds of options that say what is tried again, and when."""

from collections.abc import Sequence
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_number, format_setting, parse_duration
from cluster.domain.job.kinds import DURATION, Names, OptionKind, Several


class _Pauses(Several):
    """A pair of durations in seconds: the first pause, and the longest."""

    metavar = "FIRST[..LONGEST]"

    def parse(self, text: str) -> Any:
        first, _, longest = text.partition("..")
        return parse_duration(first), parse_duration(longest or first)

    def typed(self, value: Any) -> str:
        return "..".join(map(format_number, value))

    def quoted(self, value: Any) -> str:
        return self.typed(value)

    def shown(self, value: Any) -> str:
        return "..".join(map(format_setting, value))

    def told(self, value: Any) -> Any:
        return list(value)

    def texts(self, value: Any) -> Sequence[str]:
        return ()

    def checked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.parse(value)
        pauses = tuple(DURATION.checked(each) for each in super().checked(value))
        if len(pauses) != 2:
            raise InvalidInput("is no pair: give the first pause and the longest, in seconds")
        return pauses


class _Growth(OptionKind):
    """How what a task asks for grows, as text."""

    metavar = "mem=FACTORx[,max=SIZE]"

    def parse(self, text: str) -> Any:
        from cluster.domain.job.growth import parse_growth

        parse_growth(text)
        return text.replace(" ", "")


GROWTH = _Growth()
PAUSES, CAUSES = _Pauses(), Names("cause", "exit:75,oom,lost")
