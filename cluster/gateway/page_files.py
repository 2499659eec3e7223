"""The page at /ui: files that are the same for everybody. They hold no secret, and so ask for no token; all that
the page shows comes by /v1, with one."""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from cluster.gateway.guards import PAGE
from cluster.gateway.problems import NOT_FOUND, Problem

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
FILES = {  # by path
    PAGE: ("index.html", "text/html; charset=utf-8"),
    f"{PAGE}/app.js": ("app.js", "text/javascript; charset=utf-8"),
    f"{PAGE}/app.css": ("app.css", "text/css; charset=utf-8"),
    f"{PAGE}/licences.txt": ("licences.txt", "text/plain; charset=utf-8"),
}
_BESIDE_US = Path(__file__).with_name("page")  # in the one file
_MADE = Path(__file__).parents[2] / ".build" / "ui"  # in a source tree


class PageFile(NamedTuple):
    content: bytes
    packed: bytes  # gzip
    tag: str


def answers() -> Mapping[str, Callable[[Request], Awaitable[Response]]]:
    """What answers GET of each path."""
    return dict.fromkeys(FILES, page_file)


async def page_file(request: Request) -> Response:
    """The file of that path. Problem where this program was built without the page."""
    name, media_type = FILES[request.url.path]
    file = _read(name)
    if file is None:
        raise Problem(
            NOT_FOUND, "this program was built without the page: its build needs npm; /v1/docs tells all calls"
        )
    headers = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Cache-Control": "no-cache",
        "ETag": file.tag,
        "Vary": "Accept-Encoding",
    }
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
    return Response(file.content, headers=headers, media_type=media_type)


@cache
def _read(name: str) -> PageFile | None:
    place = _BESIDE_US if _BESIDE_US.is_dir() else _MADE
    try:
        content = (place / name).read_bytes()
    except OSError:
        return None
    return PageFile(content, gzip.compress(content, mtime=0), f'"{hashlib.sha256(content).hexdigest()[:32]}"')
