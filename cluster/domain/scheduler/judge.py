"""What is true of workers, as expressions say it (`cluster.domain.job.expressions`), and what it costs to find out.

An expression is read once, and each worker keeps what was found out about it: as many as there are places for. More of
them, which only a queue of thousands of different ones has, are read and judged anew, and a turn looks at no more of
them than it has room for.
"""

from cluster.domain.job.expressions import Expression, Facts, parse

MOST_READ = 2048  # expressions that are kept as they were read: each takes 20 KB at most
READING = 14  # to read a character takes as long as to judge so many
EACH = 50  # characters that are judged while one expression is asked for
A_UNIT = 700  # characters that are judged in the time of one unit of a turn's room, 40 µs


class Judge:
    """`work`: what was judged, in characters."""

    __slots__ = ("_read", "work")

    def __init__(self) -> None:
        self._read: dict[str, Expression] = {}
        self.work = 0

    def holds(self, text: str, facts: Facts) -> bool:
        """Whether that is true."""
        expression = self._read.get(text)
        if expression is None:
            self.work += READING * len(text)
            if len(self._read) >= MOST_READ:
                del self._read[next(iter(self._read))]
            expression = self._read[text] = parse.__wrapped__(text)
        self.work += EACH + len(text)
        return expression.holds(facts)

    def units(self) -> int:
        """What that was of a turn's room; from here on it is counted anew."""
        units, self.work = self.work // A_UNIT, 0
        return units
