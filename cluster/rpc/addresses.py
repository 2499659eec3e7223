"""Addresses: where we listen, and by what address this machine and others reach us there."""

import fcntl
import ipaddress
import socket
import struct
from array import array
from collections.abc import Sequence
from pathlib import Path

from cluster.domain.base.errors import InvalidInput, Unreachable
from cluster.domain.trust.tokens import split_address

# netdevice(7): all IPv4 addresses with their interfaces' names; an interface's flags, of which one says that it is up.
_SIOCGIFCONF, _SIOCGIFFLAGS, _IFF_UP = 0x8912, 0x8913, 1
_INTERFACE = struct.Struct("16sHxx4s16x" if struct.calcsize("P") == 8 else "16sHxx4s8x")  # struct ifreq with an address
_MOST_ADDRESSES = 1024
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
    return _towards_the_outside(v6) or next(iter(own_addresses(v6)), from_here(host))


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
    if is_loopback(told) and not _is_any(listen_host):
        return f"it listens on {told} alone, so the line to paste works on this machine only"
    if is_loopback(told):
        return (
            f"this machine has no network, so the line to paste says {told} and works on this machine only; once it "
            "has one, start the scheduler with --advertise HOST"
        )
    if not _is_any(listen_host) or len(found) < 2 or _towards_the_outside(":" in listen_host):
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
        answer = array("B", bytes(_MOST_ADDRESSES * _INTERFACE.size))
        asked = struct.pack("iP", len(answer), answer.buffer_info()[0])
        (length,) = struct.unpack_from("i", fcntl.ioctl(probe, _SIOCGIFCONF, asked))
        rows = _INTERFACE.iter_unpack(answer.tobytes()[:length])
        return [socket.inet_ntoa(address) for name, _, address in rows if _is_up(probe, name)]


def _is_up(probe: socket.socket, interface: bytes) -> bool:
    flags: int = struct.unpack_from("16xH", fcntl.ioctl(probe, _SIOCGIFFLAGS, struct.pack("40s", interface)))[0]
    return bool(flags & _IFF_UP)


def _own_v6() -> list[str]:
    rows = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
    return [str(ipaddress.IPv6Address(bytes.fromhex(row[0]))) for row in rows if row[3] == "00"]  # of global scope


def _towards_the_outside(v6: bool) -> str:
    """The address that our packets to the outside have; empty without a route to there, or where it gives them none."""
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_OUTSIDE[v6], 9))  # of UDP this only looks up the route; no packet leaves
        except OSError:
            return ""
        address = str(probe.getsockname()[0])
        return "" if _is_any(address) else address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
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


def resolved(addresses: Sequence[str]) -> str:
    """Several host:port as a target of gRPC. Names are looked up, which may take a moment; those that are not known
    are left out. Unreachable where none is."""
    found: list[tuple[str, int]] = []
    for address in addresses:
        try:
            found.append(socket.getaddrinfo(*split_address(address), type=socket.SOCK_STREAM)[0][4][:2])  # type: ignore[arg-type]
        except OSError:
            continue
    if not found:
        raise Unreachable(f"{','.join(addresses)} cannot be reached: none of these host names is known")
    if all(":" not in host for host, _ in found):
        return "ipv4:" + ",".join(f"{host}:{port}" for host, port in found)
    mapped = [(host if ":" in host else f"::ffff:{host}", port) for host, port in found]
    return "ipv6:" + ",".join(f"[{host}]:{port}" for host, port in mapped)


def reachable(host: str, scheduler: str) -> str:
    """The host under which others reach a server that listens on `host`. If that is every interface: the one that
    leads to the scheduler (asked of the kernel; nothing is sent)."""
    if host not in ("0.0.0.0", "[::]"):
        return host
    if not scheduler:
        return "127.0.0.1"
    try:
        first = scheduler.split(",")[0]
        family, kind, _, _, target = socket.getaddrinfo(*split_address(first), type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(target)
            found = str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
    return f"[{found}]" if ":" in found else found
