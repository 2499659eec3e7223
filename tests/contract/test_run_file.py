"""`cluster run --file`: what cannot be followed is refused before anything is handed in."""

from pathlib import Path
from typing import NoReturn

import pytest

from cluster.cli import connection, job_file
from cluster.cli.main import run
from cluster.scheduler.access import MOST_SELECTORS


def test_no_more_jobs_than_one_call_selects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were handed in, and then could not be asked about."""

    def asked(*arguments: object, **options: object) -> NoReturn:
        raise AssertionError("the cluster is asked")

    assert job_file.MOST_FOLLOWED <= MOST_SELECTORS
    monkeypatch.setattr(job_file, "MOST_FOLLOWED", 1)
    monkeypatch.setattr(connection, "client", asked)
    file = tmp_path / "two.toml"
    file.write_text('[jobs.a]\ncommand = "true"\n[jobs.b]\ncommand = "true"\n')
    assert run(["run", "--file", str(file)]) == 2
    said = "it has 2 jobs, and the most that are followed are 1: hand the file in with `cluster job submit --file`"
    assert capsys.readouterr().err == f"cluster: {file}: {said}\n"
