"""How much of files a user may have kept."""

import pytest

from cluster.domain.base.errors import Exhausted
from cluster.domain.scheduler.quota import check_files


def test_up_to_the_quota_jobs_are_accepted_and_beyond_it_refused_with_both_figures() -> None:
    check_files("ada", 1 << 30, 1 << 30)
    said = r"^files of ada's jobs would take 1.5 GiB, and a user's may take 1.0 GiB \(--user-files of the scheduler\): "
    with pytest.raises(Exhausted, match=said):
        check_files("ada", 3 << 29, 1 << 30)
    with pytest.raises(Exhausted, match="would take 1 B, and a user's may take 0 B"):
        check_files("ada", 1, 0)
