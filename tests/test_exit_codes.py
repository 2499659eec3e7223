"""Every exit code that `cluster` can leave with by itself stands in the README, and no other; and those that it gives
to jobs that have none of their own."""

import importlib
import pkgutil
import re

import click

import cluster
from cluster.cli import exit_codes
from cluster.domain.base.errors import ClusterError
from cluster.domain.job.endings import CANCELLED_EXIT, LOST_EXIT, NOT_FOUND, NOT_RUNNABLE
from tools import boot
from tools.environments import REPOSITORY

ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)


def test_every_exit_code_stands_in_the_readme() -> None:
    for module in pkgutil.walk_packages(cluster.__path__, "cluster."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    codes = {ClusterError.exit_code, *(error.exit_code for error in _below(ClusterError))}
    codes |= {code for name, code in vars(exit_codes).items() if name.isupper()}
    codes |= {click.UsageError.exit_code, boot.UNUSABLE}
    assert {int(row) for row in ROW.findall((REPOSITORY / "README.md").read_text())} == codes


def test_what_a_job_without_an_exit_code_gets_stands_before_the_table() -> None:
    chapter = (REPOSITORY / "README.md").read_text().partition("## Exit codes")[2].partition("| code |")[0]
    told = {int(number) for number in re.findall(r"\b\d+\b", chapter)}
    assert told == {128, NOT_FOUND, NOT_RUNNABLE, LOST_EXIT, CANCELLED_EXIT}


def _below(error: type[ClusterError]) -> set[type[ClusterError]]:
    return {*error.__subclasses__(), *(deeper for below in error.__subclasses__() for deeper in _below(below))}
