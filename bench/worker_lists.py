"""What it costs to tell pages of workers: the scheduler for its answer, and a gateway to find what has changed.

    python3 -m bench.worker_lists [--workers 1000] [--tasks 100000] [--rounds 20]

Milliseconds of cpu of one look at all workers, of a house that is full; `live_feed` looks each second at most, and so
seldom that looks take 5 % of its time. Beside it: what it would be to write all of them as JSON each time.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

from bench.scale import filled
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.views import worker_views
from cluster.gateway.json_messages import to_json
from cluster.gateway.live_feed import _lasting
from cluster.rpc.convert import workers_to_proto
from cluster.v1 import jobs_pb2


def milliseconds(rounds: int, work: Callable[[], object]) -> str:
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(1000 * (time.process_time() - began))
    return f"median {statistics.median(times):7.1f} ms, worst {max(times):7.1f}"


def answer(core: SchedulerCore, *, with_jobs: bool) -> bytes:
    views = worker_views(core, core.workers.values(), with_jobs=with_jobs)
    workers = workers_to_proto(views, 1.0, lambda owner: with_jobs)
    return jobs_pb2.ListWorkersResponse(workers=workers).SerializeToString()


def found(data: bytes) -> list[bytes]:
    return [_lasting(worker) for worker in jobs_pb2.ListWorkersResponse.FromString(data).workers]


def all_as_json(data: bytes) -> list[object]:
    return [to_json(worker) for worker in jobs_pb2.ListWorkersResponse.FromString(data).workers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    for one_job in (True, False):
        core = filled(args.workers, args.tasks, one_job=one_job).core
        print("one array" if one_job else "one-task jobs")
        for with_jobs in (False, True):
            took = milliseconds(args.rounds, partial(answer, core, with_jobs=with_jobs))
            data = answer(core, with_jobs=with_jobs)
            print(f"  scheduler, {'with' if with_jobs else 'without'} their jobs: {took}, {len(data):,} bytes")
        data = answer(core, with_jobs=False)
        print(f"  gateway, nothing has changed: {milliseconds(args.rounds, partial(found, data))}")
        print(f"  gateway, all of them as JSON: {milliseconds(args.rounds, partial(all_as_json, data))}")


if __name__ == "__main__":
    main()
