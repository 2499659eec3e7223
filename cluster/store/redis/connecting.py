"""Connections to Redis: where it is, what it must be like, and what its errors mean in one line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from cluster.domain.base.errors import InvalidInput, NotAuthenticated, Unusable
from cluster.store.interface import StoreTroubled
from cluster.store.redis import scripts

if TYPE_CHECKING:
    import redis

SCHEMES = ("redis", "rediss", "unix")
PATIENCE = 4.0  # seconds for an answer, or for a connection; less than store_writer.HANGS, as we know more of it
OLDEST = (7, 0)  # version
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")  # options of the URL
UNSAFE = "--store-may-lose takes it all the same"


def place_of(url: str) -> str:
    """The URL without user, password and options: what may be shown. InvalidInput for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # whose text may have a part of the password
        raise InvalidInput(
            "the store's URL is none: its host or port is wrong, or its password has a / that is to be written %2F"
        ) from None
    if parts.scheme not in SCHEMES:
        raise InvalidInput(f"a store of {parts.scheme or 'no scheme'}: use redis://HOST:PORT/DB, rediss:// or unix://")
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    if not parts.hostname:
        raise InvalidInput(f"the store's URL {parts.scheme}:// names no host: use redis://HOST:PORT/DB")
    if not parts.path.strip("/").isdigit() and parts.path.strip("/"):
        raise InvalidInput(f"the store's database is {parts.path!r}: use a number, as in redis://HOST:PORT/0")
    return f"{parts.scheme}://{parts.hostname}:{port or 6379}/{parts.path.strip('/') or 0}"


def connect(url: str) -> "redis.Redis":
    """A client that has not connected yet and repeats nothing by itself: what is repeated must be known to be."""
    place = place_of(url)
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise Unusable(
            f"the store {place} needs the client of Redis, which this program was made without: "
            "make it by `python3 build.py --with redis`"
        ) from None
    _expect_files(url, place)
    options: dict[str, Any] = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    try:
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), protocol=2, **options)
    except (ValueError, TypeError, redis.RedisError) as error:
        raise InvalidInput(f"the store's URL {place} cannot be used: {error}") from None


def _expect_files(url: str, place: str) -> None:
    """InvalidInput where one that the URL names for TLS cannot be read."""
    for name, path in parse_qsl(urlsplit(url).query):
        if name in _FILES and not os.access(path, os.R_OK):
            raise InvalidInput(f"the store's URL {place} names {name}={path}, which cannot be read: mend it")


@contextmanager
def troubled(place: str) -> Iterator[None]:
    """Turns what the client raises into StoreTroubled: all of it heals when somebody mends Redis."""
    import redis

    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise StoreTroubled(f"the store {place} {explain(error)}") from None


def explain(error: Exception) -> str:
    """The error in words, after the name of the store."""
    import redis

    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    match error:
        case redis.AuthenticationError():
            return f"does not let us in: {text}; mend user and password in its URL"
        case redis.exceptions.NoPermissionError():
            return f"lacks a permission: {text}; give it to the user by ACL SETUSER"
        case redis.exceptions.OutOfMemoryError():
            return "is full (maxmemory): give it more"
        case redis.ReadOnlyError():
            return "is a replica, which takes no writes: name the primary"
        case redis.BusyLoadingError():
            return "is reading its data"
        case redis.TimeoutError() | TimeoutError():
            return f"has not answered for {PATIENCE:g} s"
        case redis.ConnectionError() | OSError():
            return f"cannot be reached: {text}"
        case _:
            return f"refuses: {text}"


def expect_fit(client: "redis.Redis", place: str, *, may_lose: bool) -> None:
    """ClusterError unless it is of a version that works, lets us do what we must, and keeps what it acknowledges."""
    import redis

    try:
        _expect_version(client, place)
        missing = client.eval(scripts.MISSING, 0, scripts.FENCE)
    except redis.AuthenticationError as error:
        raise NotAuthenticated(f"the store {place} {explain(error)}") from None
    except redis.exceptions.NoPermissionError as error:
        raise NotAuthenticated(f"the store {place} {explain(error)}") from None
    if missing:
        names = ", ".join(sorted(word.decode() for word in missing))
        raise NotAuthenticated(
            f"the store {place} lets its user not run {names} on {scripts.FENCE}: allow these by ACL SETUSER"
        )
    if not may_lose:
        for wrong in _losses(client, place):
            raise Unusable(f"the store {place} may lose what it has acknowledged: {wrong}; {UNSAFE}")


def _expect_version(client: "redis.Redis", place: str) -> None:
    said = str(_information(client, "server").get("redis_version", "0"))
    if tuple(int(part) for part in said.split(".")[:2] if part.isdigit()) < OLDEST:
        raise Unusable(f"the store {place} is Redis {said}: use {'.'.join(map(str, OLDEST))} or newer")


def _information(client: "redis.Redis", section: str) -> dict[str, Any]:
    return dict(client.info(section))


def _losses(client: "redis.Redis", place: str) -> Iterator[str]:
    import redis

    if (role := _information(client, "replication").get("role")) != "master":
        yield f"it is a {role}, not the primary"
    if not _information(client, "persistence").get("aof_enabled"):
        yield "appendonly is no: set it to yes"
    policy = _information(client, "memory").get("maxmemory_policy")
    if policy not in (None, "noeviction"):
        yield f"maxmemory-policy is {policy}: set it to noeviction"
    try:
        found: dict[str, str] = dict(client.config_get("appendfsync", "no-appendfsync-on-rewrite"))  # type: ignore[arg-type]
    except redis.exceptions.NoPermissionError as error:
        raise NotAuthenticated(f"the store {place} {explain(error)}, or {UNSAFE}") from None
    if found.get("appendfsync") != "always":
        yield f"appendfsync is {found.get('appendfsync')}: set it to always"
    if found.get("no-appendfsync-on-rewrite") != "no":
        yield "no-appendfsync-on-rewrite is yes: set it to no"
