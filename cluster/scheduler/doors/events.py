"""The door for followers: the `Events` service."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from cluster.domain.scheduler.event_records import EventRecord
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.scheduler.doors.translating import texts_of
from cluster.scheduler.operations.events import EventOperations
from cluster.v1 import events_pb2, events_pb2_grpc

_FIELDS = [name for name in EventRecord._fields if name != "notify"]  # called alike in the message


class EventsDoor(events_pb2_grpc.EventsServicer):
    def __init__(self, events: EventOperations) -> None:
        self._events = events

    async def Follow(
        self, request: events_pb2.FollowRequest, context: Context
    ) -> AsyncIterator[events_pb2.FollowResponse]:
        since = request.since if request.HasField("since") else None
        texts = texts_of(request.selectors)
        pages = self._events.follow(current_caller(), since, texts, follow=request.follow)
        async with aclosing(pages):
            async for events, position in pages:
                yield events_pb2.FollowResponse(events=map(_message, events), position=position)


def _message(event: EventRecord) -> events_pb2.Event:
    return events_pb2.Event(**{name: getattr(event, name) for name in _FIELDS})
