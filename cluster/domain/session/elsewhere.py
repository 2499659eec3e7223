"""What a worker, and what it runs, are called elsewhere: by whoever made its machine, and by the engine of its jobs."""

from dataclasses import dataclass

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.ids import AttemptKey

MOST_FACTS = 32
LONGEST_ID, LONGEST_FACT = 512, 255  # characters
OWNER = "{owner}"  # in a reference: digits of the engine's own for this worker


@dataclass(frozen=True, slots=True)
class KnownElsewhere:
    """`external_id`: of the machine, or of what stands for it, as others know it (an instance, a task of ECS, a Pod, a
    host's name). `metadata`: more about that, by names. `reference`: how an engine calls an attempt, with `{job}`,
    `{index}` and `{attempt}` in it; empty: there is none."""

    external_id: str = ""
    metadata: tuple[tuple[str, str], ...] = ()  # by name, each once, in the order of the names
    reference: str = ""

    def reference_of(self, key: AttemptKey) -> str:
        """How the engine calls that attempt; empty: nobody there knows it."""
        text = self.reference
        for name, number in (("{job}", key.job), ("{index}", key.index), ("{attempt}", key.attempt)):
            text = text.replace(name, str(number))
        return text


NOWHERE = KnownElsewhere()


def check_elsewhere(elsewhere: KnownElsewhere) -> None:
    """InvalidInput for what no worker can be called."""
    texts = (elsewhere.external_id, elsewhere.reference)
    if len(elsewhere.metadata) > MOST_FACTS:
        raise InvalidInput(f"a worker with {len(elsewhere.metadata)} facts of elsewhere: the most are {MOST_FACTS}")
    for text in (*texts, *(text for pair in elsewhere.metadata for text in pair)):
        longest = LONGEST_ID if text in texts else LONGEST_FACT
        if len(text) > longest or not text.isprintable():
            raise InvalidInput(f"a worker is called {text[:80]!r} elsewhere: use {longest} printable characters")
