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
    """Every image once, and random repeats until no class is smaller than the largest / `to`."""
    counts = np.bincount(labels)
    least = at_least_one(exact(counts.max()) / exact(to))
    repeats = [
        rng.choice(np.flatnonzero(labels == label), max(least - count, 0))
        for label, count in enumerate(counts)
        if count
    ]
    return np.concatenate([np.arange(len(labels)), *repeats])


def under(labels: np.ndarray, rng: np.random.Generator, to: float = 1.0) -> np.ndarray:
    """A random part of each class, at most the smallest class's size x `to`."""
    counts = np.bincount(labels)
    most = at_least_one(exact(counts[counts > 0].min()) * exact(to))
    kept = [
        rng.choice(np.flatnonzero(labels == label), min(most, count), replace=False)
        for label, count in enumerate(counts)
        if count
    ]
    return np.sort(np.concatenate(kept))


SAMPLINGS: dict[str, Sampling] = {"none": none, "over": over, "under": under}
