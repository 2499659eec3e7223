"""`cluster ca`: the cluster's certificate authority."""

import click

from cluster.cli.options import connection


@click.group()
def ca() -> None:
    """Show the authority that vouches for all of the cluster."""


@ca.command()
@connection
@click.pass_context
def show(ctx: click.Context) -> None:
    """Print its certificate (PEM), for programs that speak HTTPS to a gateway. It is no secret.

    \b
    Example:
      cluster ca show > ca.pem; curl --cacert ca.pem https://head.example:5000/healthz
    """
    from cluster.cli.connection import endpoint

    print(endpoint(ctx).certificate.ca_pem.decode(), end="")
