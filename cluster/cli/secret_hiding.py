"""Keeps a join token out of the command line, which everybody on the machine can read, and out of the variables, which
processes of the same user can read; jobs are such processes."""

import os
import sys
from typing import NoReturn

VARIABLE = "CLUSTER_WORKER_JOIN"


def start_again_without(secret: str, variable: str = VARIABLE) -> NoReturn:
    """Executes this program again, as the same process, without the secret in its arguments and in that variable; it
    comes by the pipe that `--join-fd` names. OSError when that cannot be done.

    Overwriting the arguments in place would leave the variables, and copies that libraries have made."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        pipe.write(secret)
    os.set_inheritable(reader, True)
    environment = {name: value for name, value in os.environ.items() if name != variable}
    arguments = [*_without(sys.orig_argv, secret), "--join-fd", str(reader)]
    os.execve(sys.executable or "/proc/self/exe", arguments, environment)  # noqa: S606 (what runs already)


def handed_over(reader: int) -> str:
    """The secret that `start_again_without` has left in the pipe."""
    with os.fdopen(reader) as pipe:
        return pipe.read()


def _without(arguments: list[str], secret: str) -> list[str]:
    """As they were typed, but for `--join SECRET` or `--join=SECRET`."""
    kept: list[str] = []
    for argument in arguments:
        if argument == secret and kept and kept[-1] == "--join":
            kept.pop()
        elif argument != f"--join={secret}":
            kept.append(argument)
    return kept
