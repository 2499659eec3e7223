"""Addresses: where we listen, and by what address this machine and others reach us there."""

import ipaddress
import socket

from cluster.domain.errors import InvalidInput


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of what to listen on. Other than an address to dial it may have port 0, for any that is free."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidInput(f"cannot listen on {text!r}: expected host:port, as in 0.0.0.0:50000")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_up(host: str, port: int) -> str:
    """`host:port`, or `[IPv6]:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def from_here(host: str) -> str:
    """By which this machine reaches what listens on `host`."""
    if not _is_any(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def from_elsewhere(host: str) -> str:
    """By which other machines most likely reach it: the address that our own packets to the outside have."""
    if not _is_any(host):
        return host
    v6 = ":" in host
    outside = "2001:db8::1" if v6 else "192.0.2.1"  # for documentation (RFC 3849, RFC 5737): nobody is there
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((outside, 9))  # of UDP this only looks up the route; no packet leaves
            return str(probe.getsockname()[0])
        except OSError:
            return from_here(host)  # no network: only this machine will join


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False  # a name
