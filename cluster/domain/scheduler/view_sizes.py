"""How many bytes of an answer each thing takes that is shown, about: so that answers can be cut to size whatever form
they are sent in."""

from collections.abc import Iterable
from itertools import chain

from cluster.domain.job.exec_limits import size_of
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.views import Detail, JobView, TaskView, WorkerView
from cluster.domain.session.offer import Offer

# Bytes of the numbers and times of one thing, of an array's segment, of what tells one text from the next, and of a job
# that a worker has.
_NUMBERS, _SEGMENT, _TEXT, _HELD_JOB = 60, 12, 3, 20


def size_of_texts(texts: Iterable[str]) -> int:
    return sum(size_of(text) + _TEXT for text in texts)


def size_of_job(view: JobView, detail: Detail = Detail.WHOLE) -> int:
    pause = (view.pause.by, view.pause.reason) if view.pause else ()
    record = view.record
    texts = (record.id, record.owner, view.reason, view.cancelled_by, view.cancel_reason, view.part, *pause)
    size = _NUMBERS + size_of_texts((*texts, view.waits_for)) + size_of_texts(view.pending_because)
    return size if detail is Detail.NONE else size + size_of_spec(view.record.spec, detail)


def size_of_spec(spec: JobSpec, detail: Detail = Detail.WHOLE) -> int:
    """The size of a spec without its lines, in bytes."""
    texts = (
        *spec.argv,
        spec.name,
        spec.script,
        *spec.script_args,
        spec.cwd,
        spec.worker,
        *spec.resources,
        spec.need,
        spec.prefer,
    )
    size = _NUMBERS + size_of_texts(texts) + _SEGMENT * len(spec.array)
    if detail is not Detail.WHOLE:
        return size
    return size + sum(map(size_of_texts, spec.env)) + len(spec.script_text) + sum(map(len, spec.files))


def size_of_task(view: TaskView) -> int:
    texts = [view.worker_id, view.worker_name, view.reason, view.reference]
    if view.end is not None:
        texts += [view.end.detail, view.end.signal]
    return _NUMBERS + size_of_texts(texts) + len(view.line or b"")


def size_of_worker(view: WorkerView) -> int:
    record = view.record
    drain = (record.drain.by, record.drain.reason) if record.drain else ()
    texts = (record.id, record.name, record.address, record.version, view.no_room, view.trouble, *drain)
    return _NUMBERS + size_of_texts(texts) + _size_of_offer(record.offer) + _HELD_JOB * len(view.jobs)


def _size_of_offer(offer: Offer) -> int:
    names = [name for name, _ in offer.sums]
    return size_of_texts((*offer.gpus, *names, *names, *chain.from_iterable(offer.labels))) + _NUMBERS * len(names)
