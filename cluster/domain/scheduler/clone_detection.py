"""Tells a worker that is back from a copy of its directory.

A worker's identity is in its directory, and directories can be copied: an image that was made after joining, a backup,
a `cp -a`. Two that live at once would be given the same attempts, so the scheduler has one home for each worker, from
which it last said hello, and a worker from elsewhere is taken on only when nothing of that one can run any more.
"""

from cluster.domain.base.errors import ClusterError, IdentityInUse, Unreachable
from cluster.domain.scheduler.worker_record import Greeting, Rival, Worker
from cluster.domain.session.home import Home

PATIENCE = 15.0  # seconds after which who asks again asks anew


def is_overtaken(worker: Worker, greeting: Greeting, now: float, lease: float) -> bool:
    """Whether a hello was said before the last one of the same worker, so that what it lists is not to be believed:
    earlier in the same boot of its machine, or in a boot that is over, as the worker has come from another one since.

    A hello follows the answer to a registration. So every boot that says one has registered before, and whatever was
    said in it is old as soon as another boot registers, even if the scheduler never heard its hello. Who is there after
    all registers again before its next hello, and is then the latest.

    Times are the scheduler's monotonic clock. A machine that was set back to an earlier moment, as virtual ones are,
    says hello from there until its clock has caught up. It is believed as soon as that worker has been silent for a
    lease and holds nothing: then nothing can be given away.
    """
    gone = worker.session is None and not worker.jobs and now >= worker.last_heard + lease
    return (greeting.boot in worker.boots[:-1] or greeting.is_before(worker.greeting)) and not gone


def refusal(worker: Worker, home: Home, uptime: float, now: float) -> ClusterError | None:
    """Why a worker from `home`, whose machine has been up for `uptime` seconds, is not to be taken for `worker` now;
    None: it may be.

    A registration may be as old as a hello: an agent dials again beside a dial that hangs, and what it sent then may
    come after the machine's next boot. (Its first one was answered, or there would be no hello of that boot.) So a boot
    that another has followed is not taken for a reboot a second time: it waits until the worker is given up. What is
    left: a scheduler that has started since, or has seen MOST_BOOTS boots since, does not know that the boot is over;
    then such a pair counts if the worker was not heard for longer than that boot had lasted.

    Times are the scheduler's monotonic clock. Unreachable is for trying again: what the first one runs may live until
    its leash ends, and whether that one lives is known after a heartbeat. IdentityInUse is final.
    """
    first = worker.record.home
    if not home.is_elsewhere(first):
        return None
    if _has_rebooted(worker, home, uptime, now):
        return None
    silent = f"was last heard {now - worker.last_heard:.0f} s ago from another directory or machine"
    if worker.session is not None:
        before = worker.rival
        goes_on = before is not None and before.home == home and now - before.asked <= PATIENCE
        worker.rival = Rival(home, before.since if goes_on and before else now, now)
        if worker.word_at is not None and worker.word_at > worker.rival.since:
            where = f" at {worker.record.address}" if worker.record.address else ""
            return IdentityInUse(
                f"worker {worker.record.name} ({worker.id}) lives elsewhere{where}, and this one is a copy of it"
            )
        return Unreachable(f"worker {worker.record.name} {silent}: whether it lives is known in a moment")
    if worker.jobs:
        return Unreachable(
            f"worker {worker.record.name} {silent}, and what it runs may live on: this one is taken for it when that "
            "has ended or been given up"
        )
    return None


def _has_rebooted(worker: Worker, home: Home, uptime: float, now: float) -> bool:
    """Whether that is the same machine after a reboot: then nothing of before runs on."""
    unheard_since_boot = worker.word_at is None or worker.word_at <= now - uptime
    first, is_over = worker.record.home, home.boot in worker.boots[:-1]
    return home.machine == first.machine and home.boot != first.boot and unheard_since_boot and not is_over
