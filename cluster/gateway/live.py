"""`GET /v1/live`: what a page that is open is told."""

from weakref import WeakKeyDictionary

from starlette.responses import Response, StreamingResponse

from cluster.gateway.event_streams import EVENT, EVENT_STREAM
from cluster.gateway.handled_routes import Calls, Exchange, HandledRoute
from cluster.gateway.live_feed import LiveFeed
from cluster.rpc.on_behalf import Proof

_CALLS = ("Events.Follow", "Jobs.List", "Jobs.ListWorkers", "Queue.ShowQueue")
_feeds: WeakKeyDictionary[Calls, dict[Proof, LiveFeed]] = WeakKeyDictionary()  # of each gateway, by who shows what


async def live(exchange: Exchange) -> Response:
    """From now on, until the caller goes. Raises the scheduler's ClusterError."""
    feeds = _feeds.setdefault(exchange.calls, {})
    feed = feeds.get(exchange.shown)
    if feed is None or feed.is_over:
        feed = feeds[exchange.shown] = LiveFeed(exchange)

    def leave() -> None:
        feed.leave()
        if feed.is_over and feeds.get(exchange.shown) is feed:
            del feeds[exchange.shown]

    exchange.at_end(leave)
    await feed.enter()
    headers = {"X-Accel-Buffering": "no"}  # for proxies that would keep events until there are many
    return StreamingResponse(feed.messages(), 200, headers, EVENT_STREAM)


ROUTES = (
    HandledRoute(
        *("GET", "/v1/live", _CALLS, "What changes: events, and jobs and workers as they are then.", live),
        answers={EVENT_STREAM: EVENT},
    ),
)
