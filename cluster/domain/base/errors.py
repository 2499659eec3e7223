"""The one tree of errors that people may see. Anything raised that is not in it is a bug of ours.

The message is for people: one line that says what was wrong, with which value, and what to do. The command
line prints it after `cluster: ` and leaves with `exit_code`; `cluster.rpc.errors` carries it over the wire
unchanged. Exit codes follow sysexits.h where it has a word for the case.
"""


class ClusterError(Exception):
    """The root. Raised as itself only where no subclass says more."""

    exit_code = 1


class InvalidInput(ClusterError):
    """Their fault: a value that can never be right, whatever the state of the cluster."""

    exit_code = 2


class NotFound(ClusterError):
    """No such job, worker, token…, or one of somebody else: the two must not be told apart."""


class Conflict(ClusterError):
    """A right request at the wrong time: the present state forbids it."""


class MissingContents(Conflict):
    """A job is to find files that its owner has not sent, or that have gone meanwhile: send them, and try again."""


class Exhausted(ClusterError):
    """A bound was reached (requests a minute, size, disk); nothing was changed, later it may work."""

    exit_code = 75  # EX_TEMPFAIL


class Unusable(ClusterError):
    """A file or directory of this machine cannot be read, written or made; nothing was changed."""

    exit_code = 74  # EX_IOERR


class NoAccess(Unusable):
    """This user may not use a file or directory of this machine: it is another user's, or closed."""

    exit_code = 77  # EX_NOPERM


def unusable(what: str, error: OSError) -> Unusable:
    """What to raise when the system refuses a file or directory: NoAccess where this user has no right to it. `what`
    is the beginning of the message, as in `/etc/x cannot be read`."""
    kind = NoAccess if isinstance(error, PermissionError) else Unusable
    return kind(f"{what}: {error.strerror}")


class NotAuthenticated(ClusterError):
    """The caller's certificate or token proves nothing (any more): expired, revoked, of another cluster."""

    exit_code = 77  # EX_NOPERM


class Revoked(NotAuthenticated):
    """The caller was expelled, or never was of this cluster as it is now: no further try will change that."""


class NotPermitted(ClusterError):
    """The caller is known, and its role may not do this."""

    exit_code = 77  # EX_NOPERM


class IdentityInUse(NotPermitted):
    """The caller's identity is that of somebody else who is there: it is a copy, and must become one of its own."""


class Unreachable(ClusterError):
    """Nobody answers at that address, or the connection broke.

    Nothing is known about what became of the call.
    """

    exit_code = 75  # EX_TEMPFAIL


class NotReached(Unreachable):
    """No connection could be made: the call certainly did not happen."""


class NotOffered(ClusterError):
    """Who answers does not know such a call: it is of another version, or something else. Nothing was done."""


class Untrusted(ClusterError):
    """Somebody answers, and cannot prove to be who we want, or does not believe who we are."""

    exit_code = 77  # EX_NOPERM


class Internal(ClusterError):
    """A bug on the other side.

    The message carries a short id; the traceback is in that side's log under it.
    """

    exit_code = 70  # EX_SOFTWARE
