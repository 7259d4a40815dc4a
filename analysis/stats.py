"""Intervals, paired tests, ranks and variance parts: arrays in, numbers out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2000
LEVEL = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean and its bounds, which are NaN where the values are too few for any."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """Mean ranks over cells, 1 the best; Friedman's p that all are equal; Nemenyi's p of each pair;
    and how far apart two mean ranks must be for that to be under 1 - LEVEL.
    """

    ranks: Floats
    friedman: float
    nemenyi: Floats
    critical: float


@dataclass(frozen=True)
class Parts:
    """Variances of nested draws. One that was drawn once in each of those above it is NaN: what it
    adds is then in the part above.
    """

    choice: float
    subset: float
    run: float


def bootstrap_means(samples: Sequence[Floats], seed: int = 0) -> Floats:
    """Percentile bootstrap of each sample's mean: a row (low, high) each, NaN where n < 2.

    Samples of one size share their resamples, so a row depends on the sample and the seed alone.
    """
    bounds = np.full((len(samples), 2), np.nan)
    sizes = np.array([len(sample) for sample in samples])
    for n in np.unique(sizes[sizes > 1]):
        rows = np.flatnonzero(sizes == n)
        values = np.stack([samples[int(row)] for row in rows])
        bounds[rows] = percentiles(values @ _shares(n, np.random.default_rng([seed, n])).T)
    return bounds


def percentiles(resamples: Floats) -> Floats:
    """The bounds (low, high) that hold LEVEL of the resamples, which lie along the last axis."""
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    return np.moveaxis(np.percentile(resamples, tails, axis=-1), 0, -1)


def redrawn(cells: Sequence[Floats], seed: int = 0) -> Floats:
    """(RESAMPLES, cells): each cell's mean, its replicates drawn anew in it.

    Cells are drawn independently. One with a single replicate keeps its value.
    """
    rng = np.random.default_rng([seed, len(cells)])
    drawn = [values[rng.integers(len(values), size=(RESAMPLES, len(values)))] for values in cells]
    return np.stack([values.mean(axis=1) for values in drawn], axis=1)


def resampled(cells: Sequence[Floats], seed: int = 0) -> Floats:
    """RESAMPLES values of the mean over cells of each cell's mean, replicates drawn anew in each.

    Where every cell holds one replicate the cells are drawn anew instead.
    """
    if max(len(values) for values in cells) > 1:
        return redrawn(cells, seed).mean(axis=1)
    rng = np.random.default_rng([seed, len(cells)])
    return _shares(len(cells), rng) @ np.concatenate(cells)


def mean_of_cells(cells: Sequence[Floats], seed: int = 0) -> Interval:
    """The mean over cells of each cell's mean, with the bounds of its resamples."""
    if not cells:
        return Interval(np.nan, np.nan, np.nan)
    mean = float(np.mean([values.mean() for values in cells]))
    if sum(len(values) for values in cells) < 2:
        return Interval(mean, np.nan, np.nan)
    low, high = percentiles(resampled(cells, seed))
    return Interval(mean, float(low), float(high))


def wilcoxon(differences: Floats) -> float:
    """Two-sided p of the signed-rank test; exact for few pairs, with ties and zeros too."""
    if not len(differences):
        return np.nan
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)


def holm(ps: Floats) -> Floats:
    """Holm's step-down correction over those that are not NaN."""
    corrected = np.full(len(ps), np.nan)
    known = np.flatnonzero(~np.isnan(ps))
    order = known[np.argsort(ps[known], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(ps[order] * steps), 1)
    return corrected


def improvement(differences: Floats) -> float:
    """The probability of improvement: the share of pairs won, of ties half."""
    if not len(differences):
        return np.nan
    return float((np.sign(differences).mean() + 1) / 2)


def ranking(scores: Floats) -> Ranking:
    """Ranks of at least three methods by their scores (cells, methods), the highest the best."""
    from scikit_posthocs import posthoc_nemenyi_friedman  # half a second, for ranks alone

    cells, methods = scores.shape
    ranks = stats.rankdata(-scores, axis=1)
    spread = np.sqrt(methods * (methods + 1) / (12 * cells))
    equal = not np.ptp(ranks)
    return Ranking(
        ranks=ranks.mean(axis=0),
        friedman=1.0 if equal else float(stats.friedmanchisquare(*scores.T).pvalue),
        nemenyi=np.ones((methods, methods))
        if equal
        else posthoc_nemenyi_friedman(pd.DataFrame(scores)).to_numpy(),
        critical=float(stats.studentized_range.ppf(LEVEL, methods, np.inf) * spread),
    )


def parts(table: Floats) -> Parts:
    """The parts of the variance in scores (replicates, subsets of each, runs of each of those).

    Estimates of a nested analysis of variance; one that comes out negative is 0.
    """
    replicates, subsets, runs = table.shape
    by_subset, by_replicate = table.mean(axis=2), table.mean(axis=(1, 2))
    # mean squares of each level around the level above
    run = _square(table - by_subset[:, :, None], replicates * subsets * (runs - 1))
    subset = runs * _square(by_subset - by_replicate[:, None], replicates * (subsets - 1))
    choice = subsets * runs * _square(by_replicate - table.mean(), replicates - 1)
    within = [level for level in (subset, run) if not np.isnan(level)]
    return Parts(
        choice=_estimate(choice, within, subsets * runs),
        subset=_estimate(subset, within[1:] if len(within) > 1 else [], runs),
        run=run,
    )


def _square(deviations: Floats, freedom: int) -> float:
    return float((deviations**2).sum() / freedom) if freedom else np.nan


def _estimate(square: float, within: list[float], size: int) -> float:
    """A level's own variance: its mean square less that of the level within, over its size."""
    return float(max(square - (within[0] if within else 0.0), 0.0) / size)


def _shares(n: int, rng: np.random.Generator) -> Floats:
    """(RESAMPLES, n): the weight of each of n values in a mean over as many drawn anew."""
    return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
