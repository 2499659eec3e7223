"""`cluster login`: a user of somebody else's cluster, from this machine."""

import asyncio
import getpass
import json
import os

import click

from cluster.client.config import state_root
from cluster.client.discovery import USER_CLUSTER_FILE, USER_DIRECTORY, USER_FILE
from cluster.domain.identity import Kind
from cluster.domain.tokens import parse_join_token


@click.command()
@click.argument("token")
def login(token: str) -> None:
    """Use a cluster from this machine, by a user's token of `cluster token create --role user --user NAME`.

    From then on `cluster run` and `cluster job` go there. The key is made here and never leaves.
    """
    from cluster.pki.enrol import KeyRequest  # cryptography: 130 ms
    from cluster.pki.files import private_directory, save_credentials, write_private
    from cluster.pki.peers import check_pinned_chain
    from cluster.rpc.join import join_by_token

    place = private_directory(state_root() / USER_DIRECTORY)  # first: what follows spends the token
    request = KeyRequest()
    joined = asyncio.run(join_by_token(parse_join_token(token), request.request, _me(), check_pinned_chain, Kind.USER))
    credentials = request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)
    save_credentials(place / USER_FILE, credentials)
    write_private(place / USER_CLUSTER_FILE, json.dumps({"scheduler": joined.scheduler_address}).encode())
    print(f"you are {joined.identity.name} of the cluster at {joined.scheduler_address}")


def _me() -> str:
    """What the user is called here, if anything: the token says what there."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry; from Python 3.13 on an OSError
        return f"user-{os.geteuid()}"
