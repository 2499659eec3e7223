"""The directory below which jobs of another user run, where everybody may put something in its place."""

import os
from pathlib import Path

import pytest

from cluster.worker import work_directory
from cluster.worker.work_directory import work_of_others
from tests.integration.schedulers import W1


def test_a_place_for_the_jobs_of_others_is_found_whatever_somebody_else_has_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_directory, "TEMPORARY", tmp_path)
    guessed = tmp_path / f"cluster-{W1}"
    assert work_of_others(W1, "") == guessed
    guessed.chmod(0o777)  # ours, and others may change it
    elsewhere = work_of_others(W1, "")
    assert elsewhere.name.startswith(f"cluster-{W1}-")
    assert work_of_others(W1, str(elsewhere)) == elsewhere
    assert elsewhere.stat().st_mode & 0o777 == 0o711
    guessed.rmdir()
    for put in (lambda: guessed.symlink_to(elsewhere), lambda: guessed.write_text("a file")):
        put()
        assert work_of_others(W1, "") not in (guessed, elsewhere)
        guessed.unlink()
    elsewhere.chmod(0o777)
    assert work_of_others(W1, str(elsewhere)) == guessed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_that_somebody_else_has_made_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_directory, "TEMPORARY", tmp_path)
    theirs = tmp_path / f"cluster-{W1}"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    assert work_of_others(W1, "") != theirs
    assert theirs.stat().st_uid == 65534
