"""What this worker offers beside cpus: as it was told, and else what is found here."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.amounts import MEMORY, parse_amounts
from cluster.domain.session.elsewhere import KnownElsewhere
from cluster.domain.session.offer import Offer, check_offer, parse_gpus, parse_labels
from cluster.worker.capacity import available_memory, found_gpus
from cluster.worker.elsewhere import found_elsewhere
from cluster.worker.runners import ENGINES
from cluster.worker.runners.engine import Engine


class OfferOptions(Protocol):
    """What is needed of `cluster.worker.process.WorkerOptions`, which says what each means."""

    @property
    def memory(self) -> int | None: ...
    @property
    def gpus(self) -> str | None: ...
    @property
    def resources(self) -> Sequence[str]: ...
    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def runner(self) -> str: ...
    @property
    def millicpus(self) -> int | None: ...


def check_engine_options(options: OfferOptions) -> None:
    """InvalidInput where an engine is to run the jobs and nobody says how much of it they may take."""
    if options.runner in ENGINES and (options.millicpus is None or options.memory is None):
        raise InvalidInput(f"--runner {options.runner} needs --cpus and --mem: how much jobs may take there at once")


def offer_through(engine: Engine | None, options: OfferOptions, sandbox: str) -> Offer:
    """What jobs may have here, or there, where an engine runs them: as we were told, and labels that say where."""
    if engine is None:
        return replace(offer_of(options), sandbox=sandbox, elsewhere=found_elsewhere())
    told = told_offer(options)
    labels = {**{name: value for name, value in engine.metadata.items() if value}, **dict(told.labels)}
    elsewhere = KnownElsewhere(engine.external_id, tuple(sorted(engine.metadata.items())), engine.reference)
    return replace(told, labels=tuple(sorted(labels.items())), limits_memory=True, elsewhere=elsewhere)


def offer_of(options: OfferOptions) -> Offer:
    """What there is. InvalidInput as of `told_offer`; ClusterError where gpus cannot be told. May take some seconds, to
    ask for these."""
    told = told_offer(options)
    sums = told.sums
    if options.memory is None and (memory := available_memory()):
        sums = tuple(sorted((*sums, (MEMORY, memory))))
    return Offer(sums, found_gpus() if options.gpus is None else told.gpus, told.labels)


def told_offer(options: OfferOptions) -> Offer:
    """What the options say alone. InvalidInput for what cannot be."""
    try:
        sums = parse_amounts(tuple(part for text in options.resources for part in text.split(",")))
    except InvalidInput as error:
        raise InvalidInput(f"--resource: {error}") from None
    try:
        labels = parse_labels(tuple(options.labels))
    except InvalidInput as error:
        raise InvalidInput(f"--label: {error}") from None
    if options.memory is not None:
        sums = tuple(sorted((*sums, (MEMORY, options.memory))))
    offer = Offer(sums, parse_gpus(options.gpus) if options.gpus is not None else (), labels)
    check_offer(offer)
    return offer
