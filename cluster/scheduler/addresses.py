"""Addresses: where we listen, and by what address this machine and others reach us there."""

import fcntl
import ipaddress
import socket
import struct
from contextlib import suppress
from pathlib import Path

from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.tokens import split_address

_SIOCGIFADDR = 0x8915  # netdevice(7): the first IPv4 address of an interface
_OUTSIDE = {False: "192.0.2.1", True: "2001:db8::1"}  # for documentation (RFC 5737, RFC 3849): nobody is there


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
    """The address at which this machine reaches what listens on `host`."""
    if not _is_any(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def from_elsewhere(host: str) -> str:
    """The address at which other machines most likely reach it: the one that our own packets to the outside have."""
    if not _is_any(host):
        return host
    v6 = ":" in host
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_OUTSIDE[v6], 9))  # of UDP this only looks up the route; no packet leaves
            return str(probe.getsockname()[0])
        except OSError:  # no route to the outside
            return next(iter(own_addresses(v6)), from_here(host))


def own_addresses(v6: bool = False) -> list[str]:
    """The addresses at which other machines may reach this one: those of its network cards that are up."""
    try:
        found = _own_v6() if v6 else _own_v4()
    except OSError:
        return []
    return [a for a in found if not ipaddress.ip_address(a).is_loopback]


def doubt_about(told: str, listen_host: str) -> str:
    """Why the host in the line to paste may not be the one by which other machines reach this one; empty: it is."""
    found = own_addresses(":" in listen_host)
    if _is_loopback(told) and not _is_any(listen_host):
        return f"it listens on {told} alone, so the line to paste works on this machine only"
    if _is_loopback(told):
        return (
            f"this machine has no network, so the line to paste says {told} and works on this machine only; once it "
            "has one, start the scheduler with --advertise HOST"
        )
    if not _is_any(listen_host) or len(found) < 2 or _has_route(":" in listen_host):
        return ""
    return (
        f"this machine has no default route, so it is not known by which of its addresses ({', '.join(found)}) others "
        f"reach it; the line to paste says {told}: --advertise HOST names another"
    )


def check_host(text: str) -> str:
    """Return what others are to call this machine, a name or an address, or raise InvalidInput."""
    host = text.removeprefix("[").removesuffix("]")
    try:
        if ":" not in host or _is_v6(host):
            split_address(join_up(host, 1))
            return host
    except InvalidInput:
        pass
    raise InvalidInput(f"--advertise {text!r} is no host: give a name or an address alone, without a port")


def _own_v4() -> list[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        found = []
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # without an address
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append(socket.inet_ntoa(answer[20:24]))
        return found


def _own_v6() -> list[str]:
    rows = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
    return [str(ipaddress.IPv6Address(bytes.fromhex(row[0]))) for row in rows if row[3] == "00"]  # of global scope


def _has_route(v6: bool) -> bool:
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_OUTSIDE[v6], 9))
        except OSError:
            return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False  # a name
