"""By what address other machines are told to reach a scheduler: in networks that the tests make."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.rpc.addresses import check_host, doubt_about
from cluster.scheduler.process import WORKED_OUT, _advertised

CAN_MAKE_NETWORKS = os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip")
in_a_network = pytest.mark.skipif(
    not CAN_MAKE_NETWORKS, reason="making networks needs root, unshare and ip (apt-get install util-linux iproute2)"
)
TELL = (
    "from cluster.rpc.addresses import doubt_about, from_elsewhere\n"
    "told = from_elsewhere({host!r}); print(told); print(doubt_about(told, {host!r}))"
)


def told(*commands: str, host: str = "0.0.0.0") -> tuple[str, str]:
    """What a scheduler that listens on `host` tells others, and what it is careful about, in a network of its own."""
    line = " && ".join(["ip link set lo up", *commands, 'exec "$0" -c "$1"'])
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", line, sys.executable, TELL.format(host=host)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    address, doubt = done.stdout.splitlines()
    return address, doubt


def card(name: str, address: str) -> tuple[str, ...]:
    """Makes a network card with that address."""
    return (
        f"ip link add {name} type veth peer name {name}p",
        f"ip addr add {address} dev {name} nodad" if ":" in address else f"ip addr add {address} dev {name}",
        f"ip link set {name} up",
        f"ip link set {name}p up",
    )


@in_a_network
def test_without_any_network_the_line_says_loudly_that_it_works_here_alone() -> None:
    address, doubt = told()
    assert address == "127.0.0.1"
    assert "has no network" in doubt


@in_a_network
def test_without_a_default_route_the_only_address_is_told() -> None:
    assert told(*card("net1", "10.9.8.7/24")) == ("10.9.8.7", "")
    assert told(*card("net1", "fd00:9::7/64"), host="::") == ("fd00:9::7", "")


@in_a_network
def test_without_a_default_route_all_addresses_are_named() -> None:
    address, doubt = told(*card("net1", "10.9.8.7/24"), *card("net2", "10.9.7.6/24"))
    assert address in ("10.9.8.7", "10.9.7.6")
    assert "10.9.8.7" in doubt
    assert "10.9.7.6" in doubt
    assert "--advertise HOST" in doubt


@in_a_network
def test_with_a_default_route_nothing_is_doubtful() -> None:
    route = "ip route add default via 10.9.8.1"
    assert told(*card("net2", "10.9.7.6/24"), *card("net1", "10.9.8.7/24"), route) == ("10.9.8.7", "")


@in_a_network
def test_an_address_of_the_loopback_interface_that_others_may_reach_is_told() -> None:
    """Machines that announce their address by a routing protocol have it there. It was not found, as not the first."""
    assert told("ip addr add 10.1.1.1/32 dev lo") == ("10.1.1.1", "")


@in_a_network
def test_a_route_that_gives_no_address_is_none() -> None:
    """0.0.0.0 stood in the line to paste."""
    link = ("ip link add net1 type veth peer name net1p", "ip link set net1 up", "ip link set net1p up")
    address, doubt = told(*link, "ip route add default dev net1")
    assert address == "127.0.0.1"
    assert "has no network" in doubt


@in_a_network
def test_an_address_of_a_card_that_is_down_is_not_told() -> None:
    assert told(*card("net1", "10.9.8.7/24"), "ip link set net1 down")[0] == "127.0.0.1"


def test_who_listens_on_loopback_alone_is_told_so() -> None:
    assert "on this machine only" in doubt_about("127.0.0.1", "127.0.0.1")
    assert doubt_about("10.0.0.1", "10.0.0.1") == ""


def test_what_was_advertised_is_remembered_until_something_else_is_said(tmp_path: Path) -> None:
    memory = tmp_path / "advertised"
    assert _advertised("", memory) == ""
    assert _advertised("head.example", memory) == "head.example"
    assert _advertised("", memory) == "head.example"
    assert _advertised("[fd00::1]", memory) == "fd00::1"
    assert _advertised("", memory) == "fd00::1"
    assert _advertised(WORKED_OUT, memory) == ""
    assert _advertised("", memory) == ""


@pytest.mark.parametrize("wrong", ["head:50000", "10.0.0.1:50000", "[::1]:5", "a b", "http://head"])
def test_what_is_no_host_is_not_advertised(wrong: str) -> None:
    with pytest.raises(InvalidInput):
        check_host(wrong)
