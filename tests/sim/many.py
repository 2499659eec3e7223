"""Many seeds on all cores: `python3 build.py test --sim 10000` runs 0 to 9,999, `--sim 5000-5999` those.

A seed that fails is told at once, and the others go on. The last line has one hash of all that happened: two runs of
the same seeds on the same code have the same.
"""

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from multiprocessing import get_context

from tests.sim.scenario import simulate

TOLD = 1000  # seeds, after which it says how far it has come
Outcome = tuple[int, str, str]  # seed; trace; the failure and its story, or empty


def run(seeds: Sequence[int], say: Callable[[str], None] = print) -> list[int]:
    """Runs them all, and answers which have failed."""
    began, failed, traces = time.monotonic(), [], {}
    with get_context("fork").Pool(os.cpu_count(), _prepare) as pool:
        for count, (seed, trace, failure) in enumerate(pool.imap_unordered(_life, seeds, chunksize=8), 1):
            traces[seed] = trace
            if failure:
                failed.append(seed)
                say(f"FAILED {failure}\n")
            if count % TOLD == 0:
                say(f"{count} of {len(seeds)} seeds, {len(failed)} failed, {time.monotonic() - began:.0f} s")
    said = f"{len(failed)} failed: {' '.join(map(str, sorted(failed)))}" if failed else "none failed"
    trace = blake2b("".join(traces[seed] for seed in seeds).encode(), digest_size=8).hexdigest()
    say(f"{len(seeds)} seeds from {seeds[0]} on, {said}; {time.monotonic() - began:.0f} s, trace {trace}")
    return sorted(failed)


def _prepare() -> None:
    """What is there so far stays. Garbage is looked for behind each life, and only in what that has made."""
    gc.freeze()
    gc.disable()


def _life(seed: int) -> Outcome:
    try:
        return seed, simulate(seed).world.trace, ""
    except AssertionError as failure:
        return seed, "failed", str(failure)
    finally:
        gc.collect()


def parse(text: str) -> range:
    """`N`: 0 to N-1. `A-B`: both and all between. ValueError says what else it is."""
    first, dash, last = text.partition("-")
    if not all(part.isdecimal() for part in ((first, last) if dash else (first,))):
        raise ValueError(f"neither a number of seeds (10000) nor two seeds (5000-5999): {text!r}")
    seeds = range(int(first), int(last) + 1) if dash else range(int(first))
    if not seeds:
        raise ValueError(f"no seed at all: {text!r}")
    return seeds


def main(text: str) -> int:
    """1 when one has failed; 2 when `text` names no seeds."""
    try:
        seeds = parse(text)
    except ValueError as wrong:
        print(f"build: {wrong}", file=sys.stderr)
        return 2
    return 1 if run(seeds, lambda line: print(line, flush=True)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
