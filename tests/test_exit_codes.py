"""Every exit code that `cluster` can leave with by itself stands in the README, and no other."""

import importlib
import pkgutil
import re

import click

import cluster
from cluster.cli import main
from cluster.domain.errors import ClusterError
from tools import boot
from tools.environments import REPOSITORY

ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)


def test_every_exit_code_stands_in_the_readme() -> None:
    for module in pkgutil.walk_packages(cluster.__path__, "cluster."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    codes = {ClusterError.exit_code, *(error.exit_code for error in _below(ClusterError))}
    codes |= {main.INTERRUPTED, main.BROKEN_PIPE, main.BUG, main.IO_ERROR, main.BUSY}
    codes |= {click.UsageError.exit_code, boot.UNUSABLE}
    assert {int(row) for row in ROW.findall((REPOSITORY / "README.md").read_text())} == codes


def _below(error: type[ClusterError]) -> set[type[ClusterError]]:
    return {*error.__subclasses__(), *(deeper for below in error.__subclasses__() for deeper in _below(below))}
