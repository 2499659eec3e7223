"""Does what a page says, on machines made for it, and stops at the first answer that is another one.

    unshare … python -m tests.docs.play PAGE CACHE PLACE

The namespaces are those of `machines.ALONE`. CACHE is a directory where the file is unpacked already, PLACE an empty
one, which is empty again afterwards.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.docs.machines import Machine, Machines
from tests.docs.pages import INTERRUPT, Block, Command, blocks, filled_in, matches
from tools.environments import BUILD, REPOSITORY

FIRST = "head"  # what a page's machine is called, where it needs no other


def main() -> int:
    """The exit code: 0 when all is as the page says."""
    page, cache, place = map(Path, sys.argv[1:])
    examples = blocks(page.read_text())
    names = list(dict.fromkeys([example.machine for example in examples if example.machine] or [FIRST]))
    files = {".local/bin/cluster": REPOSITORY / "dist" / "cluster", "protos": REPOSITORY / "protos"}
    machines = Machines(names, place, files, _environ(cache), [cache])
    answers: list[str] = []  # all words of them
    for example in examples:
        machine = machines[example.machine or names[0]]
        if example.file:
            machine.write(example.file, example.text)
        for command in example.commands:
            began = time.monotonic()
            fine, code, answer = _play(example, command, machine, answers)
            took = time.monotonic() - began
            print(f"{took:6.2f} s  line {command.line:3}  {command.text.splitlines()[0]}", flush=True)
            if not fine:
                told = "\n".join(command.expected)
                print(f"\n{page.name}, line {command.line}: $ {command.text}\n--- the page says\n{told}")
                print(f"--- it answered, with code {code}\n{answer}")
                return 1
            answers += answer.split()
    return 0


def _play(example: Block, command: Command, machine: Machine, answers: Sequence[str]) -> tuple[bool, int, str]:
    """Runs it: whether all is as it should be, its exit code and its answer."""
    text = filled_in(command.text, answers)
    if example.stays:
        answer = machine.start(text, lambda said: matches(command.expected, said, so_far=True))
        return matches(command.expected, answer, so_far=True), 0, answer
    code, answer = machine.interrupt() if text == INTERRUPT else machine.run(text)
    return code == 0 and matches(command.expected, answer), code, answer


def _environ(cache: Path) -> Mapping[str, str]:
    """What a reader has set, the Python that has our package, and what npm has installed."""
    path = ["/home/you/.local/bin", str(BUILD / "dev" / "bin"), *os.environ["PATH"].split(":"), "/usr/sbin", "/sbin"]
    return {
        "PATH": ":".join(path),
        "HOME": "/home/you",
        "LANG": "C.UTF-8",
        "CLUSTER_CACHE": str(cache),
        "PYTHONPATH": str(REPOSITORY),
        "NODE_PATH": str(BUILD / "grpc-js" / "node_modules"),
    }


if __name__ == "__main__":
    sys.exit(main())
