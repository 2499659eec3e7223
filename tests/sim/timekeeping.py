"""Jobs that wait for times, have deadlines or come again, in the simulated world; and what must be true of them by the
scheduler's wall clock, which is set forward and back meanwhile.

A scheduler knows only what its clock shows, and whoever starts it anew sees the same one. So what counts is the latest
time that any of them was shown.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from cluster.domain.base.wall_time import unix_time
from cluster.domain.job.records import JobProgress, JobRecord
from cluster.domain.job.schedule_course import MOST_COUNTED, ScheduleCourse
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.time_options import OVERLAPS, SKIP
from cluster.domain.job.times import deadline_after, deadline_of, start_in_force
from cluster.domain.scheduler.uncommitted import Saved
from tests.sim.world import World

EVERY_MINUTE = "* * * * *"
MINUTE = 60.0


def draw_times(world: World, spec: JobSpec) -> JobSpec:
    """Some of what is about time."""
    random = world.random
    if world.chance(0.2):
        overlap, catch_up = random.choice(OVERLAPS), world.chance(0.5)
        name = random.choice(("mixed", "long", "long"))
        return JobSpec(("work",), name=name, every=EVERY_MINUTE, overlap=overlap, catch_up=catch_up)
    return replace(
        spec,
        delay=random.choice((0.0, world.between(1.0, 60.0))),
        queue_timeout=random.choice((0.0, 0.0, world.between(1.0, 60.0))),
        deadline=random.choice(("", f"{world.between(61.0, 120.0):.3f}")),
    )


@dataclass(slots=True)
class Times:
    """What the scheduler's clock has shown, and what was committed of schedules."""

    shown: float = 0.0  # Unix seconds, the latest
    shows_now: float = 0.0
    records: dict[int, JobRecord] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)  # the number of a run, by its UUID
    courses: dict[int, ScheduleCourse] = field(default_factory=dict)  # how far each schedule has come
    deadlines: dict[int, float] = field(default_factory=dict)  # that were counted anew, in Unix seconds
    # Of a schedule that had ended and was tried again, or whose times count anew since the clock was far ahead: how far
    # it had come then, and with how many times it had dealt.
    again: dict[int, tuple[float, int]] = field(default_factory=dict)

    def shows(self, wall: float) -> None:
        self.shown, self.shows_now = max(self.shown, wall), wall

    def accepted(self, record: JobRecord, ended: Collection[int]) -> None:
        """It is committed, together with the ends of jobs, or after them."""
        if record.number in self.records:
            return
        self.records[record.number] = record
        if not record.schedule:
            return
        assert self.runs.setdefault(record.id, record.number) == record.number, (
            f"a time of {record.schedule} runs twice"
        )
        before = [run.number for run in self.records.values() if run.schedule == record.schedule][:-1]
        going = [number for number in before if number not in ended]
        overlap = self.records[record.schedule].spec.overlap
        if overlap == SKIP:
            assert not going, f"run {record.number} of schedule {record.schedule} begins, and {going} have not ended"

    def goes_on(self, number: int, saves: Sequence[Saved]) -> None:
        """The job, which had ended, goes on, as is committed with the others of these: a schedule does from then on. Up
        to its end it has dealt with each time."""
        if number in self.courses:
            self.check_course(number, self.courses[number])
        for save in saves:
            if isinstance(save, JobProgress) and save.number == number and save.course is not None:
                self.again[number] = save.course.until, self._dealt_with(number, save.course)

    def comes_to(self, progress: JobProgress) -> None:
        """It is committed."""
        if anew := dict(progress.changed).get("deadline"):
            self._deadline_is_counted_anew(progress.number, unix_time(anew, 0.0, None))
        course, before = progress.course, self.courses.get(progress.number)
        if course is not None:
            if course.corrections > (before.corrections if before else 0):
                self.again[progress.number] = course.until, self._dealt_with(progress.number, course)
            self.courses[progress.number] = course

    def check_start(self, job: int) -> None:
        """A task of it starts."""
        at = start_in_force(self.records[job], self.shows_now)
        assert at <= self.shown, f"job {job} starts {at - self.shown:.3f} s before its time"

    def check_deadline(self, job: int) -> None:
        """Something of it was ended for that."""
        at = self.deadlines.get(job) or deadline_of(self.records[job])
        assert at, f"job {job} was over its deadline, and has none"
        assert at <= self.shown, f"job {job} was ended {at - self.shown:.3f} s before its deadline"

    def _deadline_is_counted_anew(self, job: int, at: float) -> None:
        """Of nobody else deadlines are changed here."""
        if self.deadlines.get(job) != at:
            self.deadlines[job] = at
            most = self.shows_now + deadline_after(self.records[job])
            assert at <= most + 1e-3, f"job {job} has {at - most:.3f} s more than its deadline was to be"

    def check_course(self, number: int, course: ScheduleCourse) -> None:
        """Of each time that the schedule has dealt with it is known what became of it."""
        begins, before = self.again.get(number, (self.records[number].submitted_at, 0))
        due = before + int(course.until // MINUTE) - int(begins // MINUTE)
        dealt_with = self._dealt_with(number, course)
        uncounted = course.missed >= MOST_COUNTED and dealt_with < due
        assert dealt_with == due or uncounted, (
            f"schedule {number}: it has dealt with {dealt_with} of {due} times: {course}"
        )

    def _dealt_with(self, number: int, course: ScheduleCourse) -> int:
        """How many times have made runs, were skipped or were missed."""
        made = sum(1 for run in self.records.values() if run.schedule == number)
        return made + course.skipped + course.missed
