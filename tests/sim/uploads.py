"""What jobs find in simulated lives: contents that a machine's agent fetches, which takes its time, fails or finds no
room, by lot, and that go from its cache when nobody uses them."""

from collections import Counter
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.rows import file_in
from cluster.domain.job.spec import JobSpec
from cluster.domain.launcher.template import Template
from cluster.domain.worker.messages import ContentsFetched, FetchContents

if TYPE_CHECKING:
    from tests.sim.agent import Agent
    from tests.sim.machine import Machine

UPLOADS = ("a" * 64, "b" * 64)  # of all jobs together: many share one
NEVER = 0.03  # of the fetches, that can never succeed
NO_ROOM = 0.05
AGAIN = 1.0  # seconds after which a call that broke is made again
Content = tuple[str, bytes | None]  # an upload, or the file of it at that path


def draw_upload(random: Random, spec: JobSpec) -> JobSpec:
    """The spec with something to find, more often than not."""
    if random.random() < 0.3:
        return spec
    each = random.random() < 0.3
    if each:
        rows = b"\n".join(b'{"file": "in/%d"}' % n for n in range(spec.task_count))
        spec = replace(spec, lines=rows, rows=True, array=())
    return replace(
        spec,
        upload=random.choice(UPLOADS),
        upload_each=each,
        upload_beside=random.choice(UPLOADS) if each and random.random() < 0.5 else "",
        stdin=UPLOADS[0] if random.random() < 0.3 else "",
    )


class Cache:
    """On a machine's disk; its agents come and go."""

    def __init__(self) -> None:
        self.contents: set[Content] = set()
        self.forgot_uses = False  # an agent has died: what a launcher's backlog uses nobody may know any more

    def check_start(self, key: AttemptKey, line: str | None, template: Template) -> bool:
        """Whether a slot finds what that attempt needs."""
        file = file_in(line) if template.upload_each and line is not None else None
        upload = [(template.upload, file)] if template.upload else []
        whole: list[Content] = [(digest, None) for digest in (template.stdin, template.upload_beside) if digest]
        lacking = {*upload, *whole} - self.contents
        assert self.forgot_uses or not lacking, f"{key} starts, and {lacking} is not on its worker"
        return not lacking


class Fetching:
    """What one agent fetches, and uses."""

    def __init__(self, agent: "Agent", machine: "Machine") -> None:
        self._agent, self._machine, self._world = agent, machine, machine.world
        self.uses: dict[int, set[Content]] = {}

    def fetch(self, effect: FetchContents) -> None:
        assert effect.number not in self.uses, f"fetch {effect.number} is asked for twice"
        paths = (None,) if effect.paths is None else effect.paths
        contents: set[Content] = {(effect.upload, path or None) for path in paths} if effect.upload else set()
        contents |= {(digest, None) for digest in (effect.stdin, effect.beside) if digest}
        self.uses[effect.number] = contents
        self._world.at(
            self._world.random.choice((0.01, 0.5, 5.0, 60.0)) * self._world.between(0.5, 1.5),
            partial(self._ends, effect),
        )

    def release(self, number: int) -> None:
        del self.uses[number]  # each is released once
        used = Counter(content for contents in self.uses.values() for content in contents)
        for content in sorted(self._machine.cache.contents, key=str):
            if content not in used and self._world.chance(0.3):
                self._machine.cache.contents.discard(content)

    def _ends(self, effect: FetchContents) -> None:
        """Even if it was released meanwhile: then nobody cares."""
        if not self._agent.alive:
            return
        if self._agent.connection is None:
            self._world.at(AGAIN, partial(self._ends, effect))
            return
        if self._world.chance(NEVER):
            self._machine.truth.unfetchable.add(effect.job)
            self._agent.feed(ContentsFetched(effect.number, refusal="it cannot be had"))
        elif self._machine.disk.full or self._world.chance(NO_ROOM):
            self._agent.feed(ContentsFetched(effect.number, shortage="no space"))
        else:
            self._machine.cache.contents |= self.uses.get(effect.number, set())
            self._agent.feed(ContentsFetched(effect.number))
