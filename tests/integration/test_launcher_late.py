"""Attempts whose lease runs out while their slot makes them ready, on a disk that hangs."""

import os
from pathlib import Path

import pytest

from cluster.domain.launcher.template import Item, Template
from cluster.launcher.slot_protocol import handed_attempt
from cluster.launcher.spawn import Spawner, TooLate


def test_what_is_late_once_all_is_ready_for_it_is_not_started_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    """The clock is looked at last: opening its files may have taken longer than its leash."""
    outputs, work, ran = tmp_path / "outputs", tmp_path / "work", tmp_path / "ran"
    outputs.mkdir()
    work.mkdir()
    template = Template(("touch", str(ran)), (("PATH", os.environ["PATH"]),), str(outputs), str(work), fresh_cwd=True)
    seen = []

    def late() -> bool:
        seen.extend(sorted(path.name for path in (*outputs.iterdir(), *work.iterdir())))
        return True

    here = os.getcwd()
    spawner = Spawner("1-1", (None, None), lambda: None)
    try:
        with pytest.raises(TooLate):
            spawner.start(handed_attempt(Item("5.0#1"), b""), template, late)
        spawner.tidy()
    finally:
        os.chdir(here)
    assert seen == ["0.1", "0.1.err", "0.1.out"]
    assert [*outputs.iterdir(), *work.iterdir()] == []
    assert not ran.exists()
