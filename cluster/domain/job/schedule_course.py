"""How far a job has come that comes again (`cluster.domain.job.schedule`)."""

from typing import NamedTuple

MOST_COUNTED = 100  # times that were missed at once, of which it is known how many they were


class ScheduleCourse(NamedTuple):
    """How far a schedule has come. Times are Unix seconds."""

    until: float  # no time up to this one is due any more
    last_run: int = 0  # the number of that job; 0: there was none
    skipped: int = 0  # times at which the run before had not ended, or the schedule was paused
    skipped_at: float = 0.0
    missed: int = 0  # times that were over when somebody looked
    missed_at: float = 0.0
    corrections: int = 0  # how often its times began anew, because the clock had been far ahead
    corrected_at: float = 0.0  # when they did last
