"""The client's verbs about what is kept, and about the room that everything takes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from cluster.client.arguments import selector_texts
from cluster.client.types import Deleted, Pruned, RoomStatus


class KeepingBackend(Protocol):
    """Makes the calls. See AsyncKeeping for what each verb does."""

    async def delete(self, selectors: Sequence[str]) -> Deleted:
        """Deletes ended jobs."""

    async def pin(self, selectors: Sequence[str], *, pinned: bool) -> tuple[tuple[int, ...], int]:
        """Pins jobs, or unpins them. Returns their numbers, and how many of them were otherwise before."""

    async def room(self) -> RoomStatus:
        """What everything takes."""

    async def prune(
        self, keep_jobs: str, keep_output: str, keep_files: str, keep_usage: str, *, dry_run: bool
    ) -> Pruned:
        """Deletes what is kept no longer. Empty: as the scheduler was told."""


class AsyncKeeping(ABC):
    """Those of AsyncClient's verbs."""

    async def delete(self, *selectors: str | int) -> Deleted:
        """Deletes jobs that have ended, with their output. Conflict where one has not, is pinned, or is needed by a job
        that goes on; then none is deleted. Of `all` such jobs just stay."""
        return await self._backend().delete(selector_texts(selectors))

    async def pin(self, *selectors: str | int) -> tuple[tuple[int, ...], int]:
        """Pins jobs: they are kept until they are unpinned or deleted. Returns their numbers, and how many of them were
        not pinned before."""
        return await self._backend().pin(selector_texts(selectors), pinned=True)

    async def unpin(self, *selectors: str | int) -> tuple[tuple[int, ...], int]:
        """Unpins jobs. Returns their numbers, and how many of them were pinned."""
        return await self._backend().pin(selector_texts(selectors), pinned=False)

    async def room(self) -> RoomStatus:
        """What everything takes on the scheduler's disk and on those of its workers."""
        return await self._backend().room()

    async def prune(
        self,
        *,
        keep_jobs: str = "",
        keep_output: str = "",
        keep_files: str = "",
        keep_usage: str = "",
        dry_run: bool = False,
    ) -> Pruned:
        """Deletes now what is kept no longer: ended jobs, and output and files of others. `keep_jobs`, `keep_output`,
        `keep_files`, `keep_usage`: limits for this call alone, such as "90d" or "20GB"; empty: as the scheduler was
        told. With `dry_run` nothing is deleted. Returns what went, or would, once its room was given back."""
        return await self._backend().prune(keep_jobs, keep_output, keep_files, keep_usage, dry_run=dry_run)

    @abstractmethod
    def _backend(self) -> KeepingBackend:
        """What makes the calls."""
