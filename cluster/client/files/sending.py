"""Sending contents: only those that the scheduler lacks, and what broke off from where it was."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import NamedTuple

from cluster.client.backend import Backend
from cluster.client.files import digest_memory
from cluster.client.files.outgoing import ContentSource, Outgoing
from cluster.client.retrying import RetryPatience
from cluster.domain.base.errors import InvalidInput, Unreachable
from cluster.domain.files.pieces import AT_ONCE, MOST_PIECES, MOST_TOGETHER, SMALL, ContentPiece

MOST_BREAKS = 10  # one after another, of which none has brought anything there


class LackingContent(NamedTuple):
    """One that is to be sent, from a byte on."""

    digest: bytes
    source: ContentSource
    begin: int


class SendingListener:
    """Hears how an upload goes. This one does nothing."""

    def noted(self, note: str) -> None:
        """Something was left out."""

    def looked(self, count: int) -> None:
        """So many more bytes were read on this machine."""

    def begins(self, lacking: Sequence[LackingContent]) -> None:
        """These are to be sent. Called again where sending broke off."""

    def sent(self, count: int) -> None:
        """So many more bytes were handed over."""

    def ended(self) -> None:
        """All is there."""


async def send(
    backend: Backend, outgoing: Outgoing, patience: RetryPatience, listener: SendingListener, *, all: bool
) -> None:
    """Sends what is missing. Goes on after a break, also of a scheduler that is started again. Unless `all`, what a
    tree holds is taken to be there where the tree is: the scheduler finds out otherwise when the job comes."""
    breaks, best = 0, -1
    while True:
        try:
            lacking = await _lacking(backend, outgoing, patience, all=all)
            patience.renew()
            if not lacking:
                return
            left = sum(each.source.size - each.begin for each in lacking)
            breaks, best = (0, left) if best < 0 or left < best else (breaks + 1, best)
            listener.begins(lacking)
            await backend.put_contents(_messages(lacking, listener.sent))
            listener.ended()
            return
        except Unreachable as error:
            if breaks >= MOST_BREAKS:
                raise
            all = True  # the tree may be there by now, and not all that it holds
            await patience.pause(error)
        except InvalidInput:
            digest_memory.forget()  # one of its digests may have been wrong
            raise


async def _lacking(backend: Backend, outgoing: Outgoing, patience: RetryPatience, *, all: bool) -> list[LackingContent]:
    if not all:
        beside = [digest for digest in outgoing.contents if digest not in outgoing.in_trees]
        if not await backend.find_missing([*outgoing.trees, *beside], patience.left()):
            return []
    found: list[LackingContent] = []
    digests = list(outgoing.contents)
    for at in range(0, len(digests), AT_ONCE):
        some = digests[at : at + AT_ONCE]
        for place, begun in await backend.find_missing(some, patience.left()):
            source = outgoing.contents[some[place]]
            begin = begun if source.size > SMALL and begun <= source.size else 0
            found.append(LackingContent(some[place], source, begin))
    return found


async def _messages(
    lacking: Sequence[LackingContent], sent: Callable[[int], object]
) -> AsyncGenerator[list[ContentPiece], None]:
    messages = _read(lacking)
    while message := await asyncio.to_thread(next, messages, None):
        yield message
        sent(sum(len(piece.data) for piece in message))


def _read(lacking: Sequence[LackingContent]) -> Iterator[list[ContentPiece]]:
    """Blocks. InvalidInput where a file is not what it was."""
    together: list[ContentPiece] = []
    size = 0
    for each in lacking:
        if each.source.size > SMALL:
            continue
        piece = ContentPiece(b"".join(each.source.read(0)), each.digest, each.source.size)
        if together and (size + len(piece.data) > MOST_TOGETHER or len(together) >= MOST_PIECES):
            yield together
            together, size = [], 0
        together.append(piece)
        size += len(piece.data)
    if together:
        yield together
    for each in lacking:
        if each.source.size > SMALL:
            yield from _read_large(each)


def _read_large(each: LackingContent) -> Iterator[list[ContentPiece]]:
    head = ContentPiece(b"", each.digest, each.source.size, each.begin)
    for data in each.source.read(each.begin):
        yield [head._replace(data=data)]
        head = ContentPiece(b"")
    if head.digest:  # all of it is there, and was not looked at yet
        yield [head]
