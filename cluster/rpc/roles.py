"""Who may call what: the one table. What is not in it cannot be called, and a server that offers it does not start.

Whose job it is, is asked further inside: a user's calls reach their own jobs, a worker's its own attempts, and what
belongs to somebody else answers exactly like what does not exist.
"""

from cluster.domain.trust.identity import Role

_NOBODY: frozenset[Role] = frozenset()
_ANYBODY = frozenset(Role) - {Role.ATTEMPT}
# Whoever has a certificate to renew.
_CERTIFIED = frozenset({Role.ADMIN, Role.USER, Role.VIEWER, Role.WORKER, Role.GATEWAY, Role.POOLS})
_WORKERS = frozenset({Role.WORKER})
_READERS = frozenset({Role.ADMIN, Role.USER, Role.VIEWER})
_USERS = frozenset({Role.ADMIN, Role.USER})
# Jobs call by their workers, which vouch for them (cluster.rpc.vouching).
_AND_JOBS = frozenset({Role.ATTEMPT})
_ADMINS = frozenset({Role.ADMIN})
# Who makes and removes workers by demand: only tokens for one worker each, and only the workers of pools.
_POOLS = frozenset({Role.POOLS})

ROLES: dict[str, frozenset[Role]] = {
    "/grpc.health.v1.Health/Check": _ANYBODY,
    "/grpc.health.v1.Health/List": _ANYBODY,
    "/grpc.health.v1.Health/Watch": _ANYBODY,
    # Joining happens on a listener of its own (cluster.rpc.join_listener), where callers have no identity yet.
    "/cluster.v1.Scheduler/Join": _NOBODY,
    "/cluster.v1.Scheduler/Renew": _CERTIFIED,
    "/cluster.v1.Scheduler/Register": _WORKERS,
    "/cluster.v1.Scheduler/Deregister": _WORKERS,
    "/cluster.v1.Scheduler/Session": _WORKERS,
    "/cluster.v1.Scheduler/PushOutput": _WORKERS,
    "/cluster.v1.Scheduler/WantedResults": _WORKERS,
    "/cluster.v1.Scheduler/KeepResults": _WORKERS,
    "/cluster.v1.Scheduler/Vouch": _WORKERS,
    "/cluster.v1.Gateways/PassOn": frozenset({Role.GATEWAY}),
    "/cluster.v1.Jobs/Submit": _USERS | _AND_JOBS,
    "/cluster.v1.Jobs/SubmitMany": _USERS | _AND_JOBS,
    "/cluster.v1.Jobs/SubmitAndWait": _USERS,
    "/cluster.v1.Jobs/Cancel": _USERS | _AND_JOBS,
    "/cluster.v1.Jobs/Pause": _USERS,
    "/cluster.v1.Jobs/Resume": _USERS,
    "/cluster.v1.Jobs/SetPriority": _USERS,
    "/cluster.v1.Jobs/Set": _USERS,
    "/cluster.v1.Jobs/Retry": _USERS,
    "/cluster.v1.Jobs/Rerun": _USERS,
    "/cluster.v1.Jobs/Delete": _USERS,
    "/cluster.v1.Jobs/Pin": _USERS,
    "/cluster.v1.Jobs/Unpin": _USERS,
    "/cluster.v1.Jobs/List": _READERS | _AND_JOBS,
    "/cluster.v1.Jobs/Get": _READERS | _AND_JOBS,
    "/cluster.v1.Jobs/Wait": _READERS | _AND_JOBS,
    "/cluster.v1.Jobs/ReadOutput": _READERS | _AND_JOBS,
    "/cluster.v1.Jobs/ListResults": _READERS | _AND_JOBS,
    "/cluster.v1.Jobs/ReadResults": _READERS | _AND_JOBS,
    "/cluster.v1.Jobs/Tree": _READERS | _AND_JOBS,
    "/cluster.v1.Jobs/SetState": _AND_JOBS,
    "/cluster.v1.Jobs/GetState": _READERS | _AND_JOBS,
    "/cluster.v1.Jobs/ListWorkers": _READERS,
    # A job sends nothing: its calls come by its worker, one message each.
    "/cluster.v1.Files/FindMissing": _USERS | _WORKERS,
    "/cluster.v1.Files/PutContents": _USERS | _WORKERS,
    "/cluster.v1.Files/GetContents": _WORKERS,
    "/cluster.v1.Jobs/History": _READERS,
    "/cluster.v1.Jobs/Stats": _READERS,
    "/cluster.v1.Jobs/Usage": _READERS,
    "/cluster.v1.Jobs/MapTasks": _READERS,
    "/cluster.v1.Tokens/CreateToken": _ADMINS | _POOLS,
    "/cluster.v1.Tokens/ListTokens": _ADMINS,
    "/cluster.v1.Tokens/RevokeToken": _ADMINS,
    "/cluster.v1.Users/WhoAmI": _READERS,
    "/cluster.v1.Users/ListUsers": _ADMINS,
    "/cluster.v1.Users/RevokeUser": _ADMINS,
    "/cluster.v1.Workers/RemoveWorker": _ADMINS | _POOLS,
    "/cluster.v1.Workers/DrainWorkers": _ADMINS | _POOLS,
    "/cluster.v1.Workers/ResumeWorkers": _ADMINS,
    "/cluster.v1.Metrics/ShowMetrics": _READERS,
    "/cluster.v1.Room/ShowRoom": _READERS,
    "/cluster.v1.Room/Prune": _ADMINS,
    "/cluster.v1.Queue/PauseQueue": _ADMINS,
    "/cluster.v1.Queue/ResumeQueue": _ADMINS,
    "/cluster.v1.Queue/ShowQueue": _READERS,
    "/cluster.v1.Events/Follow": _READERS,
    "/cluster.v1.Queue/SetShare": _ADMINS,
    "/cluster.v1.Pools/Exchange": _POOLS,
    "/cluster.v1.Pools/ListPools": _READERS | _POOLS,
    "/cluster.v1.Pools/SetPool": _ADMINS,
    "/cluster.v1.Worker/StartJob": _USERS,
    "/cluster.v1.Worker/StopJob": _USERS,
    "/cluster.v1.Worker/RecordJobStatus": _USERS,
    "/cluster.v1.Worker/GetJobs": _READERS,
    "/cluster.v1.Worker/WaitJob": _READERS,
    "/cluster.v1.Worker/ReadJobOutput": _READERS,
}

# The services of which a gateway makes calls for others. Never Renew: a certificate outlives what was shown for it.
# Of a worker's own service only one that stands alone lets them in.
_SERVICES = ("Jobs", "Files", "Tokens", "Users", "Workers", "Queue", "Events", "Metrics", "Room", "Worker")
_BY_GATEWAYS = tuple(f"/cluster.v1.{service}/" for service in _SERVICES)

# What people type for the calls that not every person may make. Their refusal names that.
VERBS = {
    "/cluster.v1.Jobs/Submit": "job submit",
    "/cluster.v1.Jobs/SubmitMany": "job submit",
    "/cluster.v1.Jobs/SubmitAndWait": "job submit",
    "/cluster.v1.Jobs/Cancel": "job cancel",
    "/cluster.v1.Jobs/Pause": "job pause",
    "/cluster.v1.Jobs/Resume": "job resume",
    "/cluster.v1.Jobs/SetPriority": "job set",
    "/cluster.v1.Jobs/Set": "job set",
    "/cluster.v1.Jobs/Retry": "job retry",
    "/cluster.v1.Jobs/Rerun": "job rerun",
    "/cluster.v1.Files/FindMissing": "job submit",
    "/cluster.v1.Files/PutContents": "job submit",
    "/cluster.v1.Jobs/Delete": "job delete",
    "/cluster.v1.Jobs/Pin": "job pin",
    "/cluster.v1.Jobs/Unpin": "job unpin",
    "/cluster.v1.Room/Prune": "prune",
    "/cluster.v1.Tokens/CreateToken": "token create",
    "/cluster.v1.Tokens/ListTokens": "token list",
    "/cluster.v1.Tokens/RevokeToken": "token revoke",
    "/cluster.v1.Users/ListUsers": "user list",
    "/cluster.v1.Users/RevokeUser": "user revoke",
    "/cluster.v1.Workers/RemoveWorker": "worker remove",
    "/cluster.v1.Workers/DrainWorkers": "worker drain",
    "/cluster.v1.Workers/ResumeWorkers": "worker resume",
    "/cluster.v1.Queue/PauseQueue": "queue pause",
    "/cluster.v1.Queue/ResumeQueue": "queue resume",
    "/cluster.v1.Queue/SetShare": "user share",
    "/cluster.v1.Pools/SetPool": "pool scale",
    "/cluster.v1.Worker/StartJob": "job submit",
    "/cluster.v1.Worker/StopJob": "job cancel",
    "/cluster.v1.Worker/RecordJobStatus": "job state",
}

# The same of calls that every person may make, and no job.
_OF_JOBS = {
    "/cluster.v1.Jobs/ListWorkers": "worker list",
    "/cluster.v1.Jobs/History": "job history",
    "/cluster.v1.Jobs/Stats": "job stats",
    "/cluster.v1.Jobs/Usage": "usage",
    "/cluster.v1.Events/Follow": "events",
    "/cluster.v1.Users/WhoAmI": "status",
}


def refusal(method: str, role: Role) -> str:
    """What a caller in a role that may not call the method is told."""
    if role is Role.ATTEMPT:
        verb, name = VERBS.get(method) or _OF_JOBS.get(method), method.rpartition("/")[2]
        return f"may not {f'use `cluster {verb}`' if verb else f'call {name}'}: only users may"
    what = f"use `cluster {VERBS[method]}`" if method in VERBS else f"call {method.rpartition('/')[2]}"
    return f"has the role {role}, which may not {what}"


def allowed(method: str, role: Role) -> bool:
    """Whether the role may call the method (`/package.Service/Method`)."""
    return role in ROLES.get(method, _NOBODY)


def allowed_by_gateway(method: str) -> bool:
    """Whether a gateway may make such a call for somebody whose role allows it."""
    return method.startswith(_BY_GATEWAYS)
