"""What a job keeps for others to read while it runs and afterwards: its state, as people call it, of a few short texts.

It is the job's, and its tasks share it: the last that set a value counts, whichever attempt it was, so that a later
attempt finds what an earlier one has left. How much of it there is is known here, the values themselves only on disk.
"""

from collections.abc import Mapping

from cluster.domain.base.errors import Conflict, InvalidInput, NotPermitted
from cluster.domain.base.quantities import format_size
from cluster.domain.job.records import JobValue
from cluster.domain.scheduler.events import ValuesSet
from cluster.domain.scheduler.family import has_no_say, holds
from cluster.domain.scheduler.state import State

MOST_KEYS = 100  # of a job
MAX_KEY = 100  # characters
MAX_VALUE = 16 * 1024  # bytes
MAX_BYTES = 64 * 1024  # of all keys and values of a job


def check_values(values: Mapping[str, str]) -> None:
    """InvalidInput for what no job may keep."""
    if not values:
        raise InvalidInput("nothing is set: give KEY=VALUE")
    for key, value in values.items():
        if not key or len(key) > MAX_KEY or not key.isprintable() or "=" in key or any(c.isspace() for c in key):
            raise InvalidInput(
                f"the key {key[:MAX_KEY]!r}: use 1 to {MAX_KEY} characters, with no space and no = among them"
            )
        if (size := len(value.encode(errors="surrogatepass"))) > MAX_VALUE:
            raise InvalidInput(f"the value of {key} has {size} bytes, and the most are {MAX_VALUE}: keep it in a file")


def set_values(state: State, event: ValuesSet) -> None:
    """Replies 0, or why not: then none of them is set."""
    attempt = event.vouched.attempt
    job = state.jobs.get(attempt.job)
    if job is None or not holds(job, attempt, event.vouched.worker_id):
        state.reply(event.ask, NotPermitted(has_no_say(attempt.job)))
        return
    present = state.value_sizes.get(job.number, {})
    sizes = {**present, **{key: size_of(key, value) for key, value in event.values.items()}}
    if len(sizes) > MOST_KEYS or sum(sizes.values()) > MAX_BYTES:
        most = format_size(MAX_BYTES)
        state.reply(
            event.ask,
            Conflict(  # for good: nothing takes a key away
                f"the state of job {job.number} would have {len(sizes)} keys with {sum(sizes.values())} bytes: the "
                f"most are {MOST_KEYS} with {most}; set a key that there is to something shorter"
            ),
        )
        return
    state.value_sizes[job.number] = sizes
    state.saves += (JobValue(job.number, key, value) for key, value in event.values.items())
    state.reply(event.ask, 0)


def size_of(key: str, value: str) -> int:
    """Bytes that count."""
    return len(key.encode(errors="surrogatepass")) + len(value.encode(errors="surrogatepass"))
