"""The kinds of options whose values are read from files where a job is handed in, but for lines (`kinds`)."""

from collections.abc import Sequence
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_size
from cluster.domain.job.kinds import OptionKind, Several


class _Path(OptionKind):
    """The name of a file that is read where the job is handed in."""

    metavar = "FILE"
    reads_file = True


class _Script(Several):
    """What a script says, as bytes; a program may give text."""

    metavar = "FILE"
    is_listed = False
    reads_file = True

    def shown(self, value: Any) -> str:
        lines = value.count(b"\n") + (not value.endswith(b"\n"))
        return f"{lines} line{'' if lines == 1 else 's'}, {format_size(len(value))}"

    def told(self, value: Any) -> Any:
        return value.decode(errors="surrogateescape") or None

    def texts(self, value: Any) -> Sequence[str]:
        return (value.decode("latin-1"),) if value else ()  # as many characters as bytes

    def checked(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.encode(errors="surrogateescape")
        if not isinstance(value, bytes):
            raise InvalidInput("is no script: give its text")
        return value


PATH, SCRIPT = _Path(), _Script()
