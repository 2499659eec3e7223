"""Finding the cluster: what is given, CLUSTER_ variables, the configuration file, where this user has logged in, and
last this machine's own scheduler."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.client import alone
from cluster.client.config import config_path, read_config, state_root
from cluster.client.inside import InsideJob, inside_job
from cluster.client.paths import EMBEDDED_FILE, USER_CLUSTER_FILE, USER_DIRECTORY, USER_FILE
from cluster.domain.base.errors import ClusterError, InvalidInput, NotFound, NotPermitted, unusable
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.tokens import check_address, check_addresses
from cluster.pki.files import load_credentials

Pathlike = str | os.PathLike[str]

ADMIN_FILE = "admin.pem"  # beside the scheduler's or lone worker's CA: the user made on first run

LOGIN = "cluster login"  # as the source of a setting

STOPPED = "the cluster on this machine is stopped: `cluster up` starts it again, with all its jobs"
LONE_NOT_RUNNING = "this machine's worker stands alone and does not run: `cluster worker --standalone` starts it again"
NOT_RUNNING = "this machine's scheduler is not running: `cluster scheduler` starts it again, with all its jobs"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the client's calls go, and as whom."""

    address: str  # host:port; of several schedulers, of which one leads, with commas between
    credentials: Credentials | None  # None: of a job, which shows its token
    is_worker: bool = False  # a lone worker's own API
    is_embedded: bool = False  # made by `cluster up` on this machine: jobs run in the caller's directory
    renewable: Path | None = None  # the file of credentials made by `cluster login`: their user's to renew
    inside: InsideJob | None = None  # of the job in which we are

    @property
    def user(self) -> str:
        """The name of the user as whom; empty for a job."""
        return self.credentials.identity.name if self.credentials else ""

    @property
    def has_several(self) -> bool:
        """Whether several schedulers are there, of which one leads."""
        return "," in self.address and self.inside is None and not self.is_worker

    @property
    def certificate(self) -> Credentials:
        """What to show there. NotPermitted for a job, which has none."""
        if self.credentials is None:
            raise NotPermitted("a job has no certificate: only users may do that")
        return self.credentials


@dataclass(frozen=True, slots=True)
class Chosen:
    """The value of a setting and its source: a flag, a variable, a file or a login. Both are empty when it is not
    set."""

    value: str = ""
    source: str = ""


def find(
    *,
    scheduler: str | None = None,
    direct: str | None = None,
    credentials: Pathlike | None = None,
    home: Pathlike | None = None,
) -> Endpoint:
    """The cluster to call. NotConfigured when there is none, InvalidInput for a setting that cannot be right.

    Inside a job that is the one that runs it, unless a flag or a variable names another."""
    inside = None if scheduler or direct or credentials or home or _named_by_variables() else inside_job()
    if inside is not None:
        return Endpoint(inside.socket, None, inside=inside)
    root = state_root(home)
    given = choose(scheduler=scheduler, direct=direct, credentials=credentials, home=home)
    if given["scheduler"].value and given["direct"].value:
        raise InvalidInput(
            f"a scheduler ({given['scheduler'].value}) and a single worker ({given['direct'].value}) are both named: "
            "give one"
        )
    if worker := given["direct"].value:
        own = alone.credentials_at(root, check_address(worker))
        return Endpoint(worker, _credentials(given["credentials"].value or own, root), is_worker=True)
    if address := given["scheduler"].value:
        mine = root / USER_DIRECTORY / USER_FILE
        renewable = mine if not given["credentials"].value and mine.exists() else None
        addresses = ",".join(check_addresses(address))
        return Endpoint(addresses, _credentials(given["credentials"].value, root), renewable=renewable)
    return local_endpoint(root, given["credentials"].value)


def _named_by_variables() -> bool:
    return any(os.environ.get(f"CLUSTER_{name}") for name in ("SCHEDULER", "AT", "CREDENTIALS", "HOME"))


class NotConfigured(ClusterError):
    """No cluster was named, and none runs on this machine."""

    exit_code = 75  # EX_TEMPFAIL, as for a cluster that cannot be reached


class NotLoggedIn(ClusterError):
    """This machine belongs to a cluster, but the caller has not logged in to it."""

    exit_code = 77  # EX_NOPERM, as for a cluster that does not let one in


def choose(
    *,
    scheduler: str | None = None,
    direct: str | None = None,
    credentials: Pathlike | None = None,
    home: Pathlike | None = None,
) -> dict[str, Chosen]:
    """Each of the client's three settings and where it comes from; empty where nobody said anything.

    Of `scheduler` and `direct` the one that stands higher in the order wins: a flag --direct beats CLUSTER_SCHEDULER.
    """
    flags = {"scheduler": scheduler, "direct": direct, "credentials": credentials and os.fspath(credentials)}
    variables = {key: os.environ.get(f"CLUSTER_{key.upper()}") for key in flags}
    path = config_path(home)
    layers: list[tuple[str, dict[str, Any]]] = [
        ("flag", flags),
        ("variable", variables),
        (str(path), read_config(path, required="CLUSTER_CONFIG" in os.environ).get("client", {})),
        (LOGIN, _logged_in(state_root(home))),
    ]
    chosen = {key: Chosen() for key in flags}
    for source, layer in layers:
        named_above = bool(chosen["scheduler"].value or chosen["direct"].value)
        for key, value in layer.items():
            if value and not chosen[key].value and (key == "credentials" or not named_above):
                chosen[key] = Chosen(value, f"CLUSTER_{key.upper()}" if source == "variable" else source)
    return chosen


def _logged_in(root: Path) -> dict[str, str]:
    """The cluster that this user has logged in to, as settings; nothing where there is none."""
    try:
        said = json.loads((root / USER_DIRECTORY / USER_CLUSTER_FILE).read_bytes())
        return {"scheduler": ",".join(said.get("schedulers") or [said["scheduler"]])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def local_scheduler(root: Path) -> dict[str, Any] | None:
    """What the scheduler of this machine last said of itself (scheduler.json); None when there was none."""
    path = root / "scheduler" / "scheduler.json"
    try:
        said = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unusable(f"{path} cannot be read", error) from None
    except ValueError as error:
        raise ClusterError(f"{path} cannot be read: {error}; start the scheduler again") from None
    if not isinstance(said, dict) or not isinstance(said.get("address"), str):
        raise ClusterError(f"{path} names no address; start the scheduler again")
    return said


def local_endpoint(root: Path, credentials: str = "") -> Endpoint:
    """The scheduler of this machine, whatever variables and the file say. NotConfigured where there is none."""
    said = local_scheduler(root)
    if said is None:
        if not (root / "scheduler" / ADMIN_FILE).exists() and (endpoint := _lone_worker(root, credentials)):
            return endpoint
        if address := _worked_for(root):
            raise NotLoggedIn(
                f"this machine is a worker of the cluster at {address}, and you are no user of it yet: paste here the "
                "`cluster login` line that `cluster token create --role user --user NAME` prints there"
            )
        if (root / "scheduler" / ADMIN_FILE).exists():
            raise NotConfigured(STOPPED if (root / EMBEDDED_FILE).exists() else NOT_RUNNING)
        raise NotConfigured(
            "no cluster is configured: `cluster up` starts one here; or name one with --scheduler HOST:PORT, "
            "CLUSTER_SCHEDULER, or scheduler in the configuration file's [client]"
        )
    embedded = is_embedded(root, said)
    if local_scheduler(root) != said:  # another one has started between our looks at the two files
        return local_endpoint(root, credentials)
    path = Path(credentials) if credentials else root / "scheduler" / ADMIN_FILE
    others = said.get("schedulers", [])
    addresses = [said["address"], *(each for each in others if each != said["address"])]
    return Endpoint(",".join(addresses), _load(path), is_embedded=embedded)


def _lone_worker(root: Path, credentials: str) -> Endpoint | None:
    """The one worker that stands alone here. NotConfigured where there are several, or where it does not run; None
    where there is none."""
    found = alone.notes(root)
    if len(found) > 1:
        ports = ", ".join(f"{alone.LOOPBACK}:{port}" for port in found)
        raise NotConfigured(f"several workers stand alone on this machine: name one of them with --direct ({ports})")
    for port, path in found.items():
        return Endpoint(f"{alone.LOOPBACK}:{port}", _load(Path(credentials) if credentials else path), is_worker=True)
    if (root / "worker" / ADMIN_FILE).exists():
        raise NotConfigured(LONE_NOT_RUNNING)
    return None


def _worked_for(root: Path) -> str:
    """The address of another machine's scheduler that this one's worker has joined; empty when there is none."""
    if (root / "scheduler").exists():
        return ""
    try:
        return str(json.loads((root / "worker" / "worker.json").read_bytes())["scheduler"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def is_embedded(root: Path, said: dict[str, Any]) -> bool:
    """Whether the scheduler that wrote scheduler.json is the one that `cluster up` started."""
    try:
        ours = json.loads((root / EMBEDDED_FILE).read_bytes())
        return bool(ours["scheduler"]["pid"] == said["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def found_credentials(root: Path, *, named: bool) -> Path | None:
    """The credentials file below the state directory that is used where nobody names one. `named`: for a scheduler or
    worker that somebody named; otherwise for this machine's scheduler."""
    places = [root / "scheduler" / ADMIN_FILE]
    if named:
        places = [root / USER_DIRECTORY / USER_FILE, *places, root / "worker" / ADMIN_FILE]
    return next((path for path in places if path.exists()), None)


def _credentials(given: str | Path | None, root: Path) -> Credentials:
    """The credentials that were named; otherwise those that lie below the state directory."""
    if given:
        return _load(Path(given))
    if path := found_credentials(root, named=True):
        return _load(path)
    raise NotFound(
        f"there are no credentials below {root}: give a file with --credentials or CLUSTER_CREDENTIALS, "
        "or log in: cluster login TOKEN"
    )


def _load(path: Path) -> Credentials:
    """The credentials in the file. Expired ones are renewed, where the CA that may renew them lies beside the file."""
    present = load_credentials(path)
    if present.valid_at(time.time()):
        return present
    from cluster.pki.authority import renew_beside  # cryptography: 130 ms, once a month at most

    return renew_beside(path, time.time()) or present
