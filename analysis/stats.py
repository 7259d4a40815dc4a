"""Intervals of a mean by the bootstrap."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95

Floats = NDArray[np.float64]


def bootstrap_means(samples: Sequence[Floats], seed: int = 0) -> Floats:
    """Percentile bootstrap of each sample's mean: a row (low, high) each, NaN where n < 2.

    Samples of one size share their resamples, so a row depends on the sample and the seed alone.
    """
    bounds = np.full((len(samples), 2), np.nan)
    sizes = np.array([len(sample) for sample in samples])
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    for n in np.unique(sizes[sizes > 1]):
        rows = np.flatnonzero(sizes == n)
        values = np.stack([samples[int(row)] for row in rows])
        rng = np.random.default_rng([seed, n])
        shares = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
        bounds[rows] = np.percentile(values @ shares.T, tails, axis=1).T
    return bounds
