"""Which images a training sees, and how often: positions within a case's set, by sampling."""

from collections.abc import Callable

import numpy as np

from study.counts import at_least_one, exact

Sampling = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]
"""(labels, random stream, the imbalance ratio to go to) -> positions."""


def none(labels: np.ndarray, rng: np.random.Generator, to: float = 1.0) -> np.ndarray:
    """Every image once."""
    return np.arange(len(labels))


def over(labels: np.ndarray, rng: np.random.Generator, to: float = 1.0) -> np.ndarray:
    """Every image once, and random repeats until no class is smaller than the largest / `to`.

    A smaller ratio repeats what a larger one repeats, and more.
    """
    counts = np.bincount(labels)
    least = at_least_one(exact(counts.max()) / exact(to))
    repeats = [
        rng.choice(np.flatnonzero(labels == label), counts.max() - count)[: max(least - count, 0)]
        for label, count in enumerate(counts)
        if count
    ]
    return np.concatenate([np.arange(len(labels)), *repeats])


def under(labels: np.ndarray, rng: np.random.Generator, to: float = 1.0) -> np.ndarray:
    """A random part of each class, at most the smallest class's size x `to`.

    A larger ratio keeps what a smaller one keeps, and more.
    """
    counts = np.bincount(labels)
    least = counts[counts > 0].min()
    more = at_least_one(exact(least) * exact(to)) - least
    classes = [np.flatnonzero(labels == label) for label in np.flatnonzero(counts)]
    kept = [rng.choice(places, least, replace=False) for places in classes]
    if more:
        rest = zip(classes, list(kept), strict=True)
        kept += [rng.permutation(np.setdiff1d(places, own))[:more] for places, own in rest]
    return np.sort(np.concatenate(kept))


SAMPLINGS: dict[str, Sampling] = {"none": none, "over": over, "under": under}
