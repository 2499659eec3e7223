"""What errors say, for callers of HTTP: routes in place of commands, members of a body in place of options.

The scheduler's words are the same for everybody, and say what people type, as in "`cluster worker list` shows those"
and "--timeout -1: use 0 to 1000000000 s".
"""

import re
from collections.abc import Iterable, Mapping

from cluster.domain.job.spec import OPTIONS
from cluster.gateway.handled_routes import HandledRoute
from cluster.gateway.problems import INVALID, Problem, WrongPlace
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
_OPTION = re.compile(r"(`[^`]*`)|(?<![\w-])--([a-z][a-z-]*[a-z])")
_NO_COMMAND = re.compile("give one after --, as in: cluster run -- echo hello")
_A_COMMAND = 'give one, as in {"argv": ["echo", "hello"]}'
NODE_PROCESSOR = "/nodes/{node}/processor"
_WHOLE_SPEC = "/v1/jobs"  # its body is a spec, whose members are the fields of the message
_FIELDS = {option.name.replace("_", "-"): option.field for option in OPTIONS}
_NAMES = {option.name.replace("_", "-"): option.name.replace("_", "-") for option in OPTIONS}  # as in a job file
_STARTED = {**_NAMES, "script": "path"}
_ASKED = {**_NAMES, "key": "request_id"}  # of requests as a founding document writes them


class HttpWords:
    """What the commands are over HTTP, of a gateway with these routes."""

    def __init__(self, routes: Iterable[Route | HandledRoute]) -> None:
        self._routes: dict[str, Route] = {}
        self._own: dict[tuple[str, str], set[str]] = {}  # the commands that a route stands for itself, by verb and path
        commands: Mapping[str, str] = {**VERBS, **_READING}
        for route in routes:
            if isinstance(route, Route) and route.method.path in commands:
                self._routes.setdefault(commands[route.method.path], route)
            own = {VERBS[method.path] for method in route.methods if method.path in VERBS}
            self._own[route.verb, route.path] = own

    def of(self, text: str, verb: str = "", path: str = "") -> str:
        """The text, with a route for each command that one stands for: for what was called, that of this verb and
        path."""
        own = self._own.get((verb, path), ())

        def route(found: re.Match[str]) -> str:
            if found[1] in own and not found[2]:
                return f"`{verb} {path}`"
            return self._call(found[1], found[2].split()) or found[0]

        return _COMMAND.sub(route, text)

    def told(self, problem: Problem, path: str, verb: str = "") -> None:
        """Puts the problem into the words of the route of that verb at that path. Where it is about one member, it says
        which."""
        members = _members_at(path)
        begin = _OPTION.match(problem.detail)
        problem.detail = self.of(problem.detail, verb, path)
        if not members:
            return
        problem.detail = _NO_COMMAND.sub(_A_COMMAND, problem.detail)
        problem.detail = _OPTION.sub(lambda found: found[1] or members.get(found[2], found[0]), problem.detail)
        if begin and begin[2] in members and problem.kind is INVALID and not problem.errors and path in _ONE_JOB:
            problem.errors = [WrongPlace(problem.detail, f"/{members[begin[2]]}")]

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


_ONE_JOB = {_WHOLE_SPEC, "/start"} | {
    f"{place}/{word}/new" for place in ("/scheduler", "/processor", NODE_PROCESSOR) for word in ("jobs", "job")
}


def _members_at(path: str) -> Mapping[str, str]:
    """What the options of a job are called in the bodies of that path. Empty: it has none."""
    if path.startswith("/v1/"):
        return _FIELDS
    if path == "/start":
        return _STARTED
    return _ASKED if path.startswith(("/scheduler/", "/processor/", NODE_PROCESSOR)) else {}
