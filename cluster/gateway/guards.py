"""What is refused before a request is looked at further: wrong hosts, pages of other sites, tokens in URLs."""

from collections.abc import Collection

from starlette.requests import Request

from cluster.domain.trust.hosts import is_address
from cluster.gateway.problems import CROSS_SITE, INVALID, WRONG_HOST, Problem, WrongPlace
from cluster.gateway.proofs import looks_like_token

# As what others have tokens in URLs, where logs and histories keep them.
_SECRET_PARAMETERS = {
    "token",
    "access_token",
    "auth",
    "authorization",
    "api_key",
    "apikey",
    "key",
    "password",
    "secret",
}
PAGE = "/ui"
_OWN_SITE = {"same-origin", "none"}  # of Sec-Fetch-Site: our own page, or what somebody has typed

# On every answer. Nothing of ours is a part of anybody else's page, and nothing of anybody else's of ours.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guards:
    def __init__(self, hosts: Collection[str]) -> None:
        """`hosts` are the names by which this gateway is reached. By addresses it always is: no page can make a browser
        take a foreign name for one (DNS rebinding)."""
        self._hosts = {host.lower() for host in hosts}

    def check(self, request: Request) -> None:
        """Problem for a request that nobody may make."""
        self._check_host(request)
        if not _is_link_to_page(request):
            _check_site(request)
        _check_query(request)

    def _check_host(self, request: Request) -> None:
        given = request.headers.getlist("host")
        host = host_of(given[0]) if len(given) == 1 else ""
        if not is_address(host) and host.rstrip(".") not in self._hosts:
            named = f"Host: {given[0][:100]!r} is not a name of this gateway" if given else "there is no Host header"
            raise Problem(WRONG_HOST, f"{named}; `cluster gateway --host NAME` lets it have more")


def host_of(header: str) -> str:
    """The host of a Host header, without its port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _check_site(request: Request) -> None:
    """A browser shows its user's credentials to whoever makes it ask, and says who that is."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = {f"{request.url.scheme}://{request.headers.get('host', '')}".lower()}
    if site == "same-origin":  # a proxy before us may have ended the TLS that the browser knows of
        own.add(f"https://{request.headers.get('host', '')}".lower())
    if (site is not None and site not in _OWN_SITE) or (origin is not None and origin.lower() not in own):
        raise Problem(CROSS_SITE, f"a page of another site ({(origin or site or '')[:100]}) made this request")


def _is_link_to_page(request: Request) -> bool:
    """Whether somebody follows a link to the page, from a chat or a file: it is the same for all, holds no secret,
    and is nobody's frame."""
    navigates = (
        request.headers.get("sec-fetch-mode") == "navigate" and request.headers.get("sec-fetch-dest") == "document"
    )
    return navigates and request.method == "GET" and request.url.path == PAGE


def _check_query(request: Request) -> None:
    for name, value in request.query_params.multi_items():
        if name.lower() in _SECRET_PARAMETERS or looks_like_token(value):
            words = (
                "a token in a URL gets into logs and histories: show it as Authorization: Bearer, and revoke this one"
            )
            raise Problem(INVALID, words, [WrongPlace("no token is taken here", parameter=name[:60])])
