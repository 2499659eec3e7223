"""Where state and configuration lie on this machine, and whether this machine's own scheduler is meant.

Paths are texts here, and next to nothing is loaded: every command begins with this.
"""

import os

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.task_variables import OWN_VARIABLES

EMBEDDED_FILE = (
    "embedded.json"  # processes that `cluster up` started: {"scheduler": {"pid", "started"}, "worker": …, "address"}
)
USER_DIRECTORY, USER_FILE, USER_CLUSTER_FILE = "user", "credentials.pem", "cluster.json"  # made by `cluster login`
# Variables that name neither a cluster nor an option of a command.
_SILENT = {f"CLUSTER_{name}" for name in ("HOME", "CACHE")}


def state_directory(home: str | os.PathLike[str] | None = None) -> str:
    """The directory that everything is kept below: `home`, $CLUSTER_HOME, or the user's XDG state directory."""
    if chosen := home or os.environ.get("CLUSTER_HOME"):
        return _absolute(chosen)
    state = os.environ.get("XDG_STATE_HOME", "")
    # The XDG Base Directory Specification: relative paths are invalid and must be ignored.
    return os.path.join(state if state.startswith("/") else _home(".local/state"), "cluster")


def config_file(home: str | os.PathLike[str] | None = None) -> str:
    """The configuration file, there or not: $CLUSTER_CONFIG, else below the chosen home, else where XDG says."""
    if chosen := os.environ.get("CLUSTER_CONFIG"):
        return _absolute(chosen)
    if home or os.environ.get("CLUSTER_HOME"):
        return os.path.join(state_directory(home), "config.toml")
    config = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(config if config.startswith("/") else _home(".config"), "cluster", "config.toml")


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.join("" if os.path.isabs(path) else os.getcwd(), path)


def _home(below: str) -> str:
    """A directory in the user's home directory. InvalidInput where neither HOME nor the system tells that, as of a
    container's user."""
    home = os.environ.get("HOME", "")
    if not home.startswith("/"):
        import pwd

        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            raise InvalidInput(
                f"HOME is not set, and the system knows no home of user {os.geteuid()}: set CLUSTER_HOME to a directory"
            ) from None
    return os.path.join(home, below)


def means_another() -> bool:
    """Whether a variable names a cluster, or sets an option."""
    set_here = {name for name in os.environ if name.startswith("CLUSTER_")}
    return bool(set_here - _SILENT - OWN_VARIABLES)


def means_this_machine(root: str) -> bool:
    """Whether nothing but a command line can name another cluster than this machine's own, or set an option: no
    variable, configuration file or login."""
    return not (
        means_another()
        or os.path.exists(config_file())
        or os.path.exists(os.path.join(root, USER_DIRECTORY, USER_CLUSTER_FILE))
    )
