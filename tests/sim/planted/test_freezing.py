"""What stands still, and what does not: bugs that must be caught."""

from typing import Any

import pytest

from cluster.domain.launcher.freezing import Freezing
from cluster.domain.launcher.slots import Attempt
from cluster.domain.scheduler import pausing
from tests.sim import lives
from tests.sim.planted.catching import Bug, Method, Patch, found_by, must_be_caught, planted


@found_by(12, 0)
def the_time_that_an_attempt_may_run_goes_on_while_it_is_frozen(patch: Patch) -> None:
    obey: Method = Freezing._obey_freeze

    def goes_on(self: Freezing, attempt: Attempt, now: float, effects: Any) -> None:
        due = attempt.deadline
        obey(self, attempt, now, effects)
        if attempt.frozen and due is not None:
            self._set_deadline(attempt, due)

    patch.setattr(Freezing, "_obey_freeze", goes_on)


@found_by(151)
def what_a_worker_has_frozen_is_not_believed(patch: Patch) -> None:
    patch.setattr(pausing, "note_frozen", lambda *_: None)


@pytest.mark.slow
@planted(
    the_time_that_an_attempt_may_run_goes_on_while_it_is_frozen,
    what_a_worker_has_frozen_is_not_believed,
)
def test_who_stands_still_when_nobody_wants_that_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_orders)
