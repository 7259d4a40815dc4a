"""Which images a training sees, and how often: positions within a case's set, by sampling."""

from collections.abc import Callable

import numpy as np

Sampling = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def none(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every image once."""
    return np.arange(len(labels))


def over(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every image once, and random repeats until each class is as large as the largest."""
    counts = np.bincount(labels)
    repeats = [
        rng.choice(np.flatnonzero(labels == label), counts.max() - count)
        for label, count in enumerate(counts)
        if count
    ]
    return np.concatenate([np.arange(len(labels)), *repeats])


def under(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random part of each class, as many as the smallest class has."""
    counts = np.bincount(labels)
    least = counts[counts > 0].min()
    kept = [
        rng.choice(np.flatnonzero(labels == label), least, replace=False)
        for label, count in enumerate(counts)
        if count
    ]
    return np.sort(np.concatenate(kept))


SAMPLINGS: dict[str, Sampling] = {"none": none, "over": over, "under": under}
