"""Users who want more than there is: with tasks large and small, of which some say how long they take: by lot."""

from dataclasses import replace
from random import Random
from uuid import UUID

from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec

USERS = ("alice", "bob", "cora")
# Of each name of a job, what its users may say of the seconds that a task takes; 0: nothing. Some take longer.
SAID = {"brief": (0.0, 1.0, 5.0), "mixed": (0.0, 0.0, 5.0, 45.0), "long": (0.0, 45.0, 200.0)}


def draw_crowded(random: Random, spec: JobSpec, largest: int) -> JobSpec:
    """The spec with other sizes, up to the millicpus of the largest machine."""
    name = random.choice(("brief", "mixed", "mixed", "long"))
    count = random.choice((1, 1, 2, 5, 12))
    return replace(
        spec,
        name=name,
        worker="",
        lines=b"",
        array=(ArraySegment(1, count),) if count > 1 else (),
        millicpus=random.choice((300, 500, 1000, largest // 2, largest)),
        time_request=random.choice(SAID[name]),
        timeout=random.choice((0.0, 0.0, 60.0)),
        priority=random.choice((0, 0, 0, -10)),
    )


def owner_of(job_id: str) -> str:
    """The same whenever it is asked."""
    return USERS[UUID(job_id).int % len(USERS)]
