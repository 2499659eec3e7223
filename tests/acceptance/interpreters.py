"""The Pythons of this machine, to show that the file runs under each of them."""

import os
import pwd
import subprocess
from functools import cache
from pathlib import Path


@cache
def interpreters(first: int, last: int) -> list[str]:
    """One path for each CPython from 3.`first` to 3.`last` that starts, wherever it is installed."""
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)  # not $HOME: the tests must also find them under an empty one
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    # Without pyenv's shims: each is a script that looks for one of those, and every process that finds the tests asks.
    in_path = [place for place in map(Path, os.get_exec_path()) if place != pyenv.with_name("shims")]
    places = [*pyenv.glob("*/bin"), Path("/usr/bin"), Path("/usr/local/bin"), *in_path]
    found: dict[str, str] = {}
    for minor in range(first, last + 1):
        for place in places:
            path = place / f"python3.{minor}"
            if path.exists() and (version := _version(path.resolve())):
                found.setdefault(version, str(path))
    return list(found.values())


@cache
def _version(python: Path) -> str:
    """What makes this Python differ from others; empty when it does not start."""
    ask = "import sys; print(sys.version, sys.base_prefix)"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""
