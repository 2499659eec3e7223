"""How attempts end: every reason and every exit code of a job, once.

The launcher gives an end its reason, with the process's exit code or signal. The rest follows from these: the state of
a task that is not tried again, and the exit code that people see, as a shell would say it.
"""

from cluster.domain.base.signals import signal_number
from cluster.domain.job.states import TaskState

OK = "ok"
CANCELLED = "cancelled"  # somebody asked for that
STOPPED = "stopped"  # its worker was told to end its jobs
TIMEOUT = "timeout:run"
OOM = "oom"  # it took more memory than it had asked for, and the kernel ended it
QUEUE_TIMEOUT = "timeout:queue"  # nobody started it in time
QUIET_TIMEOUT = "timeout:quiet"  # it wrote nothing for too long
DEADLINE = "timeout:deadline"  # it had not ended in time
LAUNCH_FAILED = "launch_failed"
TIMEOUTS = (TIMEOUT, QUEUE_TIMEOUT, QUIET_TIMEOUT, DEADLINE)
CHILDREN = "children"  # it has succeeded, and a job that it has called and was to wait for has not
DEPENDENCY = "dependency"  # what it waited for can't happen any more, so it never ran
MAX_FAILS = "max_fails"  # more tasks of its job had failed than it allows
LOST = "lost"  # its end cannot be known
FORMAT_ERROR = "format_error"  # its program succeeded, and what that wrote is not as it must be
_EXIT, _SIGNAL = "exit:", "signal:"
# What each reason is, or begins with before a colon.
_EXHAUSTED = "attempts_exhausted"  # of a task: a colon and the reason of its last attempt follow
KINDS = (
    *(OK, "exit", "signal", "timeout", OOM, CANCELLED, STOPPED, LAUNCH_FAILED, DEPENDENCY, MAX_FAILS),
    *(CHILDREN, LOST, FORMAT_ERROR),
    _EXHAUSTED,
)
FINAL = (OK, CANCELLED, DEPENDENCY, MAX_FAILS, CHILDREN, _EXHAUSTED)  # of these, what is never tried again by itself

# What a launcher tells its worker, and nobody else hears.
LEASE = "lease"  # its leash was over: to everybody else it is lost
RETURNED = "returned"  # it has not started, and will not start there

NOT_FOUND, NOT_RUNNABLE = 127, 126  # what a shell answers for a command that it cannot run
FORMAT_EXIT = 65  # EX_DATAERR: of what has left with 0 and written something wrong
LOST_EXIT = 70  # EX_SOFTWARE: of what is lost, and of a failure that left no code
TIMEOUT_EXIT = 124  # as of timeout(1): of what a clock ended and left no code, or never ran
CANCELLED_EXIT = 143  # 128 + SIGTERM: of what was cancelled and left no code, or never ran


def reason_of(code: int | None, signal: str | None) -> str:
    """Why it ended, of a process that ended by itself: with that code, or by that signal."""
    return f"{_SIGNAL}{signal}" if signal is not None else f"{_EXIT}{code}" if code else OK


def kind_of(reason: str) -> str:
    """Which of KINDS it is: the reason without what it says after a colon."""
    return reason.partition(":")[0]


def is_own_code(reason: str) -> bool:
    """Whether the process left with a code of its own, and not with 0."""
    return reason.startswith(_EXIT)


def is_signal(reason: str) -> bool:
    """Whether a signal ended the process, and not because we had sent it."""
    return reason.startswith(_SIGNAL)


def exhausted(reason: str) -> str:
    """The reason of a task that is not tried again because it was so often, and whose last attempt ended so."""
    return f"{_EXHAUSTED}:{reason}"


def of_attempt(reason: str) -> str:
    """Why the attempt ended, without what that was to its task."""
    return reason.removeprefix(f"{_EXHAUSTED}:")


def state_of(reason: str) -> TaskState:
    """In which a task is left whose last attempt ended so."""
    if reason == OK:
        return TaskState.SUCCEEDED
    return TaskState.CANCELLED if reason in _OF_CANCELLED else TaskState.FAILED


def exit_code(reason: str, code: int | None = None, signal: str | None = None) -> int:
    """As a shell would say it; 0 for what succeeded, and for nothing else. One that was stopped and then left with 0
    did not succeed: the signal counts. Of what is lost neither does."""
    if reason == OK:
        return 0
    if reason == LOST:
        return LOST_EXIT
    by_signal = 128 + signal_number(signal) if signal else 0
    return code or by_signal or _WITHOUT_CODE.get(reason, LOST_EXIT)


_OF_CANCELLED = (CANCELLED, DEPENDENCY, MAX_FAILS)
_WITHOUT_CODE = {
    CHILDREN: 1,
    **dict.fromkeys(_OF_CANCELLED, CANCELLED_EXIT),
    **dict.fromkeys(TIMEOUTS, TIMEOUT_EXIT),
    LAUNCH_FAILED: NOT_RUNNABLE,
    FORMAT_ERROR: FORMAT_EXIT,
}
