"""`cluster login` and `logout`: a user of somebody else's cluster, from this machine."""

import asyncio
import getpass
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import click

from cluster.cli.confirmation import confirm, is_terminal
from cluster.cli.options import yes
from cluster.client.config import state_root
from cluster.client.paths import USER_CLUSTER_FILE, USER_DIRECTORY, USER_FILE
from cluster.domain.base.errors import ClusterError, Conflict
from cluster.domain.trust.identity import IdentityKind
from cluster.domain.trust.tokens import parse_join_token


@click.command()
@click.argument("token")
@yes
def login(token: str, yes: bool) -> None:
    """Use a cluster from this machine, by a user's token of `cluster token create --role user --user NAME`.

    From then on `cluster run` and `cluster job` go there. The key is made here and never leaves. Who has logged in
    before is asked, since the old key is gone then.
    """
    from cluster.pki.files import check_room, private_directory, save_credentials, write_private
    from cluster.pki.issuer import KeyRequest  # cryptography: 130 ms
    from cluster.pki.peer_certificates import check_pinned_chain
    from cluster.rpc.join_client import join_by_token

    parsed = parse_join_token(token)
    directory = private_directory(state_root() / USER_DIRECTORY)
    check_room(directory)  # first: what follows spends the token
    if not yes:
        _ask_to_replace(directory)
    request = KeyRequest()
    joined = asyncio.run(join_by_token(parsed, request.request, _me(), check_pinned_chain, IdentityKind.USER))
    credentials = request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)
    save_credentials(directory / USER_FILE, credentials)
    write_private(directory / USER_CLUSTER_FILE, _cluster_text(joined.scheduler_address, joined.schedulers))
    print(f"you are {joined.identity.name} of the cluster at {joined.scheduler_address}")


def _cluster_text(address: str, schedulers: Sequence[str]) -> bytes:
    return json.dumps({"scheduler": address, "schedulers": list(schedulers)}).encode()


@click.command()
@yes
def logout(yes: bool) -> None:
    """Forget the cluster that `cluster login` went to, and the key for it. Jobs there go on.

    From then on `cluster run` and `cluster job` go to this machine's own cluster. Only a new token leads back.
    """
    directory = state_root() / USER_DIRECTORY
    who = _who(directory)
    if not yes and who:
        confirm(f"You are {who}, and only a new token leads back. Log out?")
    for name in (USER_CLUSTER_FILE, USER_FILE):
        (directory / name).unlink(missing_ok=True)
    print(f"you were {who}" if who else "you had not logged in to a cluster")


def _ask_to_replace(directory: Path) -> None:
    """ClusterError unless there is no identity that still holds, or whoever has it gives it up."""
    who = _who(directory)
    if not who:
        return
    if not is_terminal():
        raise Conflict(f"you are {who} already, which would be lost: `cluster login --yes TOKEN` replaces it")
    confirm(f"You are {who}, and only a new token leads back. Replace that?")


def _who(directory: Path) -> str:
    """The user whose key lies there, and of which cluster; empty where there is none, or one that has expired."""
    from cluster.pki.files import load_credentials

    try:
        credentials = load_credentials(directory / USER_FILE)
        where = json.loads((directory / USER_CLUSTER_FILE).read_bytes())["scheduler"]
    except (ClusterError, OSError, ValueError, KeyError, TypeError):
        return ""
    return f"{credentials.identity.name} of the cluster at {where}" if credentials.not_after > time.time() else ""


def _me() -> str:
    """What the user is called here, if anything: the token says what there."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry; from Python 3.13 on an OSError
        return f"user-{os.geteuid()}"
