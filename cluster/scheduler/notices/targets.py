"""Where notices may go: only where the operator of the scheduler allowed it. Else whoever may submit a job could make
the scheduler call whatever it reaches, or run whatever lies on its machine."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from cluster.domain.base.errors import InvalidInput, NotPermitted
from cluster.domain.job.notice_options import COMMAND, wrong_url
from cluster.domain.job.spec import JobSpec

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class NoticeTargets:
    urls: tuple[str, ...] = ()  # each whole, or a beginning and *
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # argv by name

    @classmethod
    def configured(cls, urls: Iterable[str], commands: Iterable[str]) -> Self:
        """`commands` as NAME=COMMAND, with the quotes of a shell. InvalidInput for one that can't be meant so."""
        urls = tuple(urls)
        for url in urls:
            if wrong := wrong_url(url.removesuffix("*")):
                raise InvalidInput(f"--notify-url {url!r}: {wrong}, and perhaps * at its end")
            if not urlsplit(url).path.startswith("/"):
                end = f"{url.rstrip('*')}/*"
                raise InvalidInput(f"--notify-url {url!r} ends within the host: put a / after it, as in {end}")
        named: dict[str, tuple[str, ...]] = {}
        for each in commands:
            name, _, line = each.partition("=")
            try:
                words = tuple(shlex.split(line))
            except ValueError as error:
                raise InvalidInput(f"--notify-command {each!r}: {error}") from None
            if not (name and words and words[0].startswith("/")):
                raise InvalidInput(f"--notify-command {each!r}: use NAME=/PATH/OF/COMMAND, and its arguments")
            named[name] = words
        return cls(urls, named)

    def check(self, spec: JobSpec) -> None:
        """NotPermitted for a job that wants to tell whom it may not."""
        if spec.notify and not self.allows(spec.notify):
            raise NotPermitted(
                f"--notify {spec.notify}: the scheduler's operator has not allowed that; "
                f"`cluster scheduler --notify-url URL` does, also with * at its end"
            )
        if spec.notify_cmd and spec.notify_cmd not in self.commands:
            there = ", ".join(sorted(self.commands)) or "none"
            raise NotPermitted(
                f"--notify-cmd {spec.notify_cmd}: the scheduler's operator has named no such command "
                f"(there are: {there}); `cluster scheduler --notify-command NAME=COMMAND` does"
            )

    def allows(self, target: str) -> bool:
        """Whether notices may go there now: a URL, or a command's name behind COMMAND."""
        if target.startswith(COMMAND):
            return target.removeprefix(COMMAND) in self.commands
        return not wrong_url(target) and any(_matches(target, allowed) for allowed in self.urls)


def receiver_of(target: str) -> str:
    """Whom a target means, however it is spelt: a server, or a command."""
    return target if target.startswith(COMMAND) else "{}://{}:{}".format(*_parts(target)[0])


NOWHERE = NoticeTargets()


def _matches(url: str, allowed: str) -> bool:
    is_open = allowed.endswith("*")
    (server, rest), (allowed_server, beginning) = _parts(url), _parts(allowed.removesuffix("*"))
    if server != allowed_server or not is_open:
        return server == allowed_server and rest == beginning
    # What a server decodes before it looks for steps back could lead out of what was allowed.
    hidden = any(each in rest.removeprefix(beginning).partition("?")[0].lower() for each in ("%2f", "%5c", "%25"))
    return rest.startswith(beginning) and not hidden


def _parts(url: str) -> tuple[tuple[str, str, int], str]:
    """The server, and what is asked of it."""
    parts = urlsplit(url)
    server = (parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme])
    return server, f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
