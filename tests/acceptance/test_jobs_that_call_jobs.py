"""The one file, inside jobs that run as another user than their worker."""

import os
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only a worker that is root runs jobs as another user"),
]


class PackedCommand(Command):
    file = Path()

    def line(self, *arguments: str) -> list[str]:
        return [str(self.file), *arguments]


def test_a_job_that_runs_as_nobody_calls_jobs(tmp_path: Path, cluster_file: Path) -> None:  # S3.13
    command = PackedCommand(tmp_path)
    command.file = cluster_file
    with Daemons(command) as daemons:
        daemons.start_scheduler()
        daemons.start_worker("w1", "--run-as", "nobody")
        script = (
            "id -un; cluster job submit -- sh -c 'id -un; pwd'; cluster job wait last; cluster job logs last; exit 5"
        )
        done = command("run", "--", "sh", "-c", script)
        lines = done.text.splitlines()
        assert (done.code, done.err) == (5, "")
        assert lines[:4] == ["nobody", "job 2 submitted", "job 2 succeeded", "nobody"]
        assert lines[4].endswith("/2/0.1")  # in a directory of its own
