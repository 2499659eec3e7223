"""Keeping Python's collector of cycles from walking over all jobs again and again.

It looks at every object that lives whenever a quarter has been added: with 100,000 jobs that holds the event loop for
most of a second. But what has lived through such a walk is state, and state here is to have no cycles: it is freed when
it is let go. So each walk is the last one for what it found alive. Whoever makes objects that live for long and know
each other has to part them at their end (as `cluster.rpc.connection_front` does), or they stay for ever.

And it looks at what is new only when there is more of that than Python would wait for: most of what a turn makes goes
by itself soon after, and to look at it before costs a tenth of the processor.
"""

import gc
from typing import Any

# Objects that have come, less those that have gone, before the new ones are looked at: some 0.5 ms. Every second time
# also those are that were new the time before, and every sixth time or so all that is not frozen.
NEW, SECOND, THIRD = 15_000, 1, 1


def look_at_each_object_once() -> None:
    """From now on, in this process, the collector looks at no object twice, and not at those that live already."""
    gc.collect()
    gc.freeze()
    gc.collect()  # finds nothing, and so the next one does not wait until a quarter of all that lives has come
    gc.set_threshold(NEW, SECOND, THIRD)
    if _freeze not in gc.callbacks:
        gc.callbacks.append(_freeze)


def _freeze(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()
