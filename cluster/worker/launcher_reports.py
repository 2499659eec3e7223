"""What the launcher reports, completed by what its attempts have left on disk, before the core hears of it.

What is looked at belongs to attempts, and may hang: so it is looked at in lanes.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from cluster.domain.job import endings
from cluster.domain.launcher.core import SLOT_LOST_TEXT
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.messages import OWN, LauncherConnected, LauncherLost, LauncherReported
from cluster.worker.output.files import Left, Outputs
from cluster.worker.output.lanes import Lanes
from cluster.worker.output.readers import lane_of

logger = logging.getLogger(__name__)
T = TypeVar("T")

LOOK = 5.0  # seconds that a look at what attempts have left may take

LauncherEvent = LauncherConnected | LauncherReported | LauncherLost


class LauncherReports:
    """`left`: what was there when the present launcher was found."""

    def __init__(self, outputs: Outputs, lanes: Lanes) -> None:
        self._outputs, self._lanes = outputs, lanes
        self.left = Left()

    async def completed(self, event: LauncherEvent) -> LauncherEvent:
        """The event with the sizes that its launcher could not know, in order; what hangs, hangs once."""
        if isinstance(event, LauncherConnected):
            self.left = await self._in_lane(self._outputs, self._outputs.look_back, Left())
        if isinstance(event, LauncherConnected | LauncherReported):
            entries = list(map(_settled, event.reports))
            unsized = [at for at, entry in enumerate(entries) if is_unsized(entry.what)]
            sized = await asyncio.gather(*(self._with_sizes(entries[at]) for at in unsized))
            for at, entry in zip(unsized, sized, strict=True):
                entries[at] = entry
            event = replace(event, reports=entries)
        return event

    async def _with_sizes(self, entry: JournalEntry) -> JournalEntry:
        key, end = entry
        out, err = await self._in_lane(lane_of(key), partial(self._outputs.settle, key), (0, 0))
        return JournalEntry(key, end._replace(out=out, err=err))  # type: ignore[call-arg]  # it is an end

    async def _in_lane(self, lane: Hashable, look: Callable[[], T], unknown: T) -> T:
        """What it sees there, or what counts as that where a disk does not answer."""
        try:
            return await self._lanes.run(lane, look, LOOK)
        except OSError as error:
            logger.warning("what attempts have left cannot be looked at: %s", error.strerror)
            return unknown


def is_unsized(report: Started | Ended) -> bool:
    """A launcher does not know what an attempt has written that ran under the one before it, or in a slot that was
    killed."""
    return isinstance(report, Ended) and (report.reason == endings.LOST or report.text == SLOT_LOST_TEXT)


def _settled(entry: JournalEntry) -> JournalEntry:
    """A job of the worker's own API can be returned to nobody: what this machine lacked for it, it failed by."""
    key, what = entry
    if key.job != OWN or not isinstance(what, Ended) or what.reason != endings.RETURNED or not what.text:
        return entry
    return JournalEntry(key, what._replace(reason=endings.LAUNCH_FAILED))
