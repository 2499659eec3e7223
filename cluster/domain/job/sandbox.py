"""What shuts a job in that asks for that (`--sandbox`), as workers offer it; and the option itself."""

from collections.abc import Iterable

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.expressions import wrong_expression
from cluster.domain.job.kinds import SWITCH
from cluster.domain.job.options import Scope, option

SANDBOX_FACT = "sandbox"  # what expressions of --need and --prefer call it
HAS_SANDBOX = f"has {SANDBOX_FACT}"  # which a job needs of its worker that asks for one
BUBBLEWRAP, UNCONFINED = "bubblewrap", "unconfined"  # the second: its operator has decided to do without
SANDBOXES = ("", BUBBLEWRAP, UNCONFINED)  # empty: such jobs do not run there
JOB_DIRECTORY = "/job"  # where a job that is shut in finds what it was given
STATUS_FD = 3  # the descriptor on which bubblewrap tells what became of a command; the command itself does not get it
# Variables by which the C library runs a job's code, or reads its files, in any program: also in bubblewrap, outside.
_OBEYED_OUTSIDE = ("LD_", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH")

SANDBOX: bool = option(
    SWITCH,
    "Shut it in: without network, the worker's files and other processes, with limits; its files are gone with it. "
    "`python3` is the interpreter that the worker's operator has chosen.",
    default=False,
    scope=Scope.SCHEDULER | Scope.WORKER,
)


def need_in_sandbox(need: str) -> str:
    """What must be true of the worker of a job that is shut in, whose own --need that is; empty: it has none."""
    return f"{HAS_SANDBOX} and ({need})" if need else HAS_SANDBOX


def check_variables(names: Iterable[str]) -> None:
    """InvalidInput for variables that would be obeyed before the job is shut in."""
    for name in names:
        if name.startswith(_OBEYED_OUTSIDE):
            inside = f"set it inside, as in env {name}=VALUE COMMAND"
            raise InvalidInput(f"--sandbox and the variable {name} exclude each other: it is obeyed outside; {inside}")


def check_in_sandbox(need: str, **outside: str) -> None:
    """InvalidInput, with what to do, where a job cannot be shut in. `outside`: values of options that reach outside, by
    their names."""
    if given := [name for name, value in outside.items() if value]:
        raise InvalidInput(f"--sandbox and --{given[0].replace('_', '-')} exclude each other: that is outside of it")
    if need and (wrong := wrong_expression(need_in_sandbox(need))):
        raise InvalidInput(f"--need with --sandbox: {wrong}")
