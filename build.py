#!/usr/bin/env python3
"""The one task runner. Needs only Python 3.11 and the package index; what it makes lies below .build/ and dist/.

python3 build.py                     makes dist/cluster, the one file, for this machine
python3 build.py --platform manylinux_2_28_aarch64
                                     makes it for another one, as dist/cluster-aarch64
python3 build.py --with redis        makes it with the client of Redis in it
python3 build.py test [--quick] ...  checks everything; further arguments go to pytest
python3 build.py test --sim 10000    runs seeds of the simulation on all cores, so many or (5000-5999) those, alone
python3 build.py fix                 formats the code and repairs what the linter can
python3 build.py protos              generates cluster/v1 anew from protos/
python3 build.py lock                makes requirements/*.lock anew from pyproject.toml
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - a stranger may well have an older one
    sys.exit(f"build: needs Python 3.11 or newer, and {sys.executable} is older: try `python3.11 build.py`")

import argparse
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools import checks, locks, page, protos
from tools.environments import REPOSITORY, clean_environ, environment

MACHINES = ("x86_64", "aarch64")


def main() -> None:
    """Does what the command line asks for; exits with the number of things that failed, or 0."""
    options, pytest_arguments = _command_line()
    try:
        match options.task:
            case "file":
                extras = [name for names in options.extras for name in names.split(",")]
                print(make_file(options.platform, options.output, fast=options.fast, extras=extras))
            case "test" if options.sim is not None:
                sys.exit(checks.simulate(options.sim))
            case "test":
                sys.exit(checks.run(pytest_arguments, quick=options.quick, make_file=make_file))
            case "fix":
                checks.fix()
            case "protos":
                protos.generate(REPOSITORY)
            case "lock":
                locks.make()
    except subprocess.CalledProcessError as failure:
        sys.exit(f"build: failed with code {failure.returncode}: {' '.join(map(str, failure.cmd))}")


def make_file(
    wanted_platform: str | None = None, output: Path | None = None, *, fast: bool = False, extras: Sequence[str] = ()
) -> Path:
    """Makes the one file for that platform (this machine, when None) and returns where it is. `fast`: a larger one.
    `extras`: of pyproject.toml, whose packages come along."""
    machine = _machine(wanted_platform or platform.machine())
    name = "cluster" if machine == platform.machine() else f"cluster-{machine}"
    output = (output or REPOSITORY / "dist" / name).absolute()
    pack: list[str | Path] = [environment("build"), "-m", "tools.pack", "--machine", machine, "--output", output]
    pack += ["--fast"] if fast else []
    page.make()
    pack += [f"--with={extra}" for extra in extras]
    subprocess.run(pack, check=True, cwd=REPOSITORY, env=clean_environ())
    return output


def _machine(wanted_platform: str) -> str:
    """The machine in the name of a platform, such as aarch64 in manylinux_2_28_aarch64."""
    match = re.fullmatch(r"(?:manylinux\w*?_)?(x86_64|aarch64)", wanted_platform)
    if match is None:
        names = " or ".join(f"manylinux_2_28_{machine}" for machine in MACHINES)
        sys.exit(f"build: no file can be made for platform {wanted_platform!r}: name {names}")
    return match[1]


def _command_line() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="build.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(task="file")
    parser.add_argument("--platform", metavar="NAME", help="the platform to make the file for")
    parser.add_argument("--output", metavar="PATH", type=Path, help="where the file goes instead of dist/")
    parser.add_argument("--with", dest="extras", metavar="EXTRAS", action="append", default=[], help="such as redis")
    parser.add_argument("--fast", action="store_true", help="compress less: a larger file, in a third of the time")
    tasks = parser.add_subparsers(dest="task", metavar="TASK")
    test = tasks.add_parser("test", help="check everything", add_help=False)
    test.add_argument("--quick", action="store_true", help="leave out the slow tests")
    test.add_argument("--sim", metavar="SEEDS", help="run only these seeds of the simulation: N, or FIRST-LAST")
    for name in ("fix", "protos", "lock"):
        tasks.add_parser(name)
    options, rest = parser.parse_known_args()
    options.task = options.task or "file"
    if rest and (options.task != "test" or options.sim is not None):
        parser.error(f"unknown arguments: {' '.join(rest)}")
    return options, rest


if __name__ == "__main__":
    main()
