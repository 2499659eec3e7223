"""Ctrl-C while the program starts, whenever it is in charge already: nothing is said, and the exit code is 130."""

import signal
import subprocess
import sys

import pytest

from tools.environments import REPOSITORY

INTERRUPT = "__import__('signal').raise_signal(2)"
WHILE_IT_LOADS = f"""
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == {{!r}}:
            {INTERRUPT}
import sys
sys.meta_path.insert(0, Interrupting())
"""
START = "from cluster.cli.entry import main; import sys; sys.argv = ['cluster', 'version']"


def _started(program: str, before: "signal.Handlers" = signal.SIG_DFL) -> tuple[int, str, str]:
    line = [sys.executable, "-c", f"import signal; {program}"]
    if before is signal.SIG_IGN:
        line = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *line]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("module", ["cluster.cli.main", "cluster.cli.help"])
def test_while_the_command_line_loads(module: str) -> None:
    program = f"{START}\n{WHILE_IT_LOADS.format(module)}\nmain()"
    assert _started(program) == (130, "", "")


def test_while_the_file_unpacks_itself() -> None:
    program = f"from tools import boot; from tools.boot import cache; cache.tree = lambda: {INTERRUPT}; boot.main()"
    assert _started(program) == (130, "", "")


def test_where_it_is_ignored_it_stays_so() -> None:
    program = f"{START}\n{WHILE_IT_LOADS.format('cluster.cli.main')}\nmain()"
    code, out, err = _started(program, signal.SIG_IGN)
    assert (code, err) == (0, "")
    assert out.startswith("cluster ")
