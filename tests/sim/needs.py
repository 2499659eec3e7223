"""What workers have beside cpus, and what jobs ask for of that: by lot."""

from dataclasses import replace
from random import Random

from cluster.domain.job.spec import JobSpec
from cluster.domain.session.offer import Offer


def draw_offer(random: Random) -> Offer:
    sums = tuple((name, random.randint(1, 5)) for name in ("licence", "mem") if random.random() < 0.7)
    gpus = tuple(map(str, range(random.choice((0, 2, 4)))))
    return Offer(sums, gpus, (("zone", random.choice("ab")),))


def draw_needs(random: Random, offer: Offer, spec: JobSpec) -> JobSpec:
    """The spec with what a worker of that offer can run. It is for no worker alone."""
    amounts = offer.amounts
    need = f'zone == "{dict(offer.labels)["zone"]}"' if random.random() < 0.3 else ""
    return replace(
        spec,
        worker="",
        millicpus=min(spec.millicpus, 500),
        memory=random.choice((0, 0, 1, amounts.get("mem", 0))) if "mem" in amounts else 0,
        gpus=min(random.choice((0, 1, 1, 2)), amounts.get("gpus", 0)),
        resources=("licence=1",) if "licence" in amounts and random.random() < 0.5 else (),
        need=need,
        spread=random.random() < 0.2,
        prefer=random.choice(("", 'zone == "a"', "has gpu")),
        exclusive=random.random() < 0.15,
    )


def draw_growth(random: Random, offer: Offer, spec: JobSpec) -> JobSpec:
    """The spec with memory that grows, up to what the offer has, where it has any and is tried again."""
    if not (spec.memory and spec.retries) or random.random() < 0.2:
        return spec
    return replace(spec, grow=f"mem={random.choice(('2x', '1.5x'))},max={offer.amounts['mem']}")
