"""How fast threads make images of photographs: decoding, resizing with cropping, and both."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from study.data.pictures import MODES, Pictures, decode

SAMPLE = 256
"""Files that are read over and over: the page cache holds them, and the disk plays no part."""

DECODED = 32
"""Of them, those that are kept as pictures, to be resized and cropped alone."""

APART = 17
"""Files between the one that a thread begins with and the next thread's."""

SHARE = 0.25
"""Of the seconds of a measurement; what is steady needs fewer."""


@dataclass(frozen=True)
class Reading:
    """Images a second, by so many threads."""

    threads: int
    decoded: float
    cropped: float
    both: float


def steps(cores: int) -> list[int]:
    """Numbers of threads to be tried: 1, 2, 4, ... and all cores."""
    return sorted({cores, *(1 << n for n in range(cores.bit_length()))})


def measure(pictures: Pictures, threads: list[int], seconds: float) -> list[Reading]:
    """A random sample of the pictures, by each number of threads."""
    rng = np.random.default_rng(0)
    sample = pictures[rng.choice(len(pictures), min(SAMPLE, len(pictures)), replace=False)]
    paths = [sample.root / name for name in sample.names]
    crops = [int(crop) for crop in rng.integers(2**63, size=len(sample))]
    mode, view = MODES[sample.view.channels], sample.view
    for path in paths:
        path.read_bytes()  # from here on the page cache holds it
    decoded = [decode(path, mode) for path in paths[:DECODED]]
    works: tuple[Callable[[int], object], ...] = (
        lambda i: decode(paths[i % len(paths)], mode),
        lambda i: view.apply(decoded[i % len(decoded)], crops[i % len(crops)]),
        lambda i: sample.read(i % len(sample), crops[i % len(crops)]),
    )
    return [Reading(n, *(_rate(work, n, SHARE * seconds) for work in works)) for n in threads]


def _rate(work: Callable[[int], object], threads: int, seconds: float) -> float:
    """How often a second it is done, by threads that each begin elsewhere."""
    begin = perf_counter()

    def repeat(start: int) -> int:
        done = 0
        while perf_counter() - begin < seconds:
            work(start + done)
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        total = sum(pool.map(repeat, [number * APART for number in range(threads)]))
    return total / (perf_counter() - begin)
