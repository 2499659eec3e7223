"""Programs that providers run: to their end, within a time, with their output in files."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, NamedTuple

from cluster.domain.base.printable import printable
from cluster.pools.providers.interface import ProviderError

MOST_SAID = 1 << 20  # bytes of output that are read


class LateError(ProviderError):
    """It took too long and was killed, or was cut off: what it has done by then is not known."""


class EndedProgram(NamedTuple):
    """`said`: the last line that it wrote to stderr; empty: none."""

    code: int
    out: str
    said: str


async def run_program(
    what: str, words: Sequence[str], env: Mapping[str, str], fed: bytes, time_limit: float
) -> EndedProgram:
    """In a session of its own, so that it goes on where this process ends. `fed`: its input. Its output goes into
    files, since what it leaves running may keep that open. ProviderError where it cannot be run, LateError; both
    messages begin with `what`."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        source.write(fed)
        source.seek(0)
        try:
            process = await asyncio.create_subprocess_exec(
                *words, env=env, stdin=source, stdout=out, stderr=err, start_new_session=True
            )
        except OSError as error:
            raise ProviderError(f"{what}: {words[0]} cannot be run: {error.strerror}") from None
        try:
            code = await asyncio.wait_for(process.wait(), time_limit)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            said = _last_line(err)
            late = f"{what}: {words[0]} took longer than {time_limit:g} s"
            raise LateError(f"{late}: {said}" if said else late) from None
        out.seek(0)
        return EndedProgram(code, out.read(MOST_SAID).decode(errors="replace"), _last_line(err))


def _last_line(err: IO[bytes]) -> str:
    err.seek(max(0, err.seek(0, os.SEEK_END) - 4096))
    lines = err.read().decode(errors="replace").strip().splitlines()
    return printable(lines[-1][:300]) if lines else ""
