"""What errors advise to do, for callers of HTTP: where they name a command, and a route does that, they name the route.

The scheduler's words are the same for everybody, and say what people type, as in "`cluster worker list` shows those".
"""

import re
from collections.abc import Iterable, Mapping

from cluster.gateway.handled_routes import HandledRoute
from cluster.gateway.routes import Route
from cluster.rpc.roles import VERBS

# The commands for calls that every person may make.
_READING = {
    "/cluster.v1.Jobs/List": "job list",
    "/cluster.v1.Jobs/History": "job history",
    "/cluster.v1.Jobs/Stats": "job stats",
    "/cluster.v1.Jobs/Usage": "usage",
    "/cluster.v1.Jobs/Get": "job show",
    "/cluster.v1.Jobs/Tree": "job tree",
    "/cluster.v1.Jobs/ListWorkers": "worker list",
    "/cluster.v1.Queue/ShowQueue": "queue show",
}
_COMMAND = re.compile(r"`cluster ([a-z]+ [a-z]+)((?: [^` ]+)*)`")


class HttpWords:
    """What the commands are over HTTP, of a gateway with these routes."""

    def __init__(self, routes: Iterable[Route | HandledRoute]) -> None:
        self._routes: dict[str, Route] = {}
        commands: Mapping[str, str] = {**VERBS, **_READING}
        for route in routes:
            if isinstance(route, Route) and route.method.path in commands:
                self._routes.setdefault(commands[route.method.path], route)

    def of(self, text: str) -> str:
        """The text, with a route for each command that one stands for."""
        return _COMMAND.sub(lambda found: self._call(found[1], found[2].split()) or found[0], text)

    def _call(self, command: str, words: list[str]) -> str:
        """Empty: there is none for all that the command says."""
        route = self._routes.get(command)
        if route is None:
            return ""
        path, places, query = route.path, list(route.at), list[str]()
        while words:
            word = words.pop(0)
            name = word.removeprefix("--").replace("-", "_")
            if word.startswith("--") and words and (known := [n for n in (name, f"{name}s") if n in route.query]):
                query.append(f"{known[0]}={words.pop(0)}")
            elif not word.startswith("--") and places:
                path = path.replace(f"{{{places.pop(0)}}}", word)
            else:
                return ""
        return f"`{route.verb} {path}{'?' if query else ''}{'&'.join(query)}`"
