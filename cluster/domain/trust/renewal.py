"""When a certificate is renewed: a random moment in the middle of its life."""

# Before half of it renewing is waste; after four fifths too little is left to outlast a cluster that is down
# (a worker's 7 days leave 33 hours). The spread keeps workers that joined together from renewing together.
EARLIEST, LATEST = 0.5, 0.8


def renewal_time(not_before: float, not_after: float, fraction: float) -> float:
    """The moment (Unix seconds) to renew a certificate of that validity.

    `fraction` is a random number from EARLIEST to LATEST, drawn by the caller; another one is a bug
    (ValueError).
    """
    if not EARLIEST <= fraction <= LATEST:
        raise ValueError(f"fraction {fraction} is not within {EARLIEST} to {LATEST}")
    return not_before + (not_after - not_before) * fraction
