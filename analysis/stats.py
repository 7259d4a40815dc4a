"""Intervals, paired tests, ranks and variance parts: arrays in, numbers out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2000
LEVEL = 0.95

DIGITS = 9
"""Decimals that a score or a difference has; what differs further on is equal but for rounding."""

EXACT = 100
"""Pairs up to which the signed-rank test counts all signs."""

Floats = NDArray[np.float64]
Bounds = tuple[float, float]


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
    """Each sample's mean, drawn anew: a row (low, high) each, NaN where n < 2. The percentiles are
    widened as `widened` has it.

    Samples of one size share their resamples, so a row depends on the sample and the seed alone.
    """
    bounds = np.full((len(samples), 2), np.nan)
    sizes = np.array([len(sample) for sample in samples])
    for n in np.unique(sizes[sizes > 1]):
        rows = np.flatnonzero(sizes == n)
        values = np.stack([samples[int(row)] for row in rows])
        middle = values.mean(axis=1)[:, None]
        found = percentiles(values @ counts(int(n), seed).T / n)
        bounds[rows] = middle + scarce(n) * student(n - 1) * (found - middle)
    return bounds


def percentiles(resamples: Floats) -> Floats:
    """The bounds (low, high) that hold LEVEL of the resamples, which lie along the last axis."""
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    return np.moveaxis(np.percentile(resamples, tails, axis=-1), 0, -1)


def widened(effect: float, values: Floats, freedom: float) -> Bounds:
    """The percentiles of resampled values, further from the effect by Student's t of so many
    degrees of freedom; the effect is always inside.
    """
    low, high = (float(bound) for bound in percentiles(values))
    wider = student(freedom)
    return effect - wider * max(effect - low, 0), effect + wider * max(high - effect, 0)


def student(freedom: float) -> float:
    """How much wider an interval by Student's t is than one by the normal distribution."""
    upper = (1 + LEVEL) / 2
    return float(stats.t.ppf(upper, freedom) / stats.norm.ppf(upper))


def scarce(n: int) -> float:
    """By how much n values, n of them drawn anew, spread too little about their mean."""
    return float(np.sqrt(n / (n - 1)))


def seed_of(dataset: str, kind: str, rho: float, mu: float) -> int:
    """The seed of a cell's resamples: whatever is made of its draws is made of the same ones."""
    return crc32(f"{dataset} {kind} {float(rho)} {float(mu)}".encode())


def redrawn(cells: Sequence[Floats], seeds: Sequence[int]) -> Floats:
    """(1 + RESAMPLES, cells, columns): the means of each cell (draws, columns), then those of its
    draws drawn anew; cells apart.

    A cell with a single draw takes the spread of the others, pooled; none has one where all do.
    """
    means = np.stack([values.mean(axis=0) for values in cells])
    result = np.repeat(means[None], 1 + RESAMPLES, axis=0)
    spread = [
        (values - values.mean(axis=0)) * scarce(len(values)) for values in cells if len(values) > 1
    ]
    if not spread:
        return result
    pool = np.concatenate(spread)
    several = iter(spread)
    for i, (values, seed) in enumerate(zip(cells, seeds, strict=True)):
        n = len(values)
        if n == 1:
            rng = np.random.default_rng([seed, n])
            result[1:, i] += pool[rng.integers(len(pool), size=RESAMPLES)]
        else:
            result[1:, i] += counts(n, seed).astype(np.float64) @ next(several) / n
    return result


@lru_cache(maxsize=256)
def counts(n: int, seed: int) -> NDArray[np.uint16]:
    """(RESAMPLES, n): how often each of n is among n drawn with replacement."""
    drawn = np.random.default_rng([seed, n]).integers(n, size=(RESAMPLES, n))
    flat = (drawn + n * np.arange(RESAMPLES)[:, None]).ravel()
    return np.bincount(flat, minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(np.uint16)


def averaged(pieces: Floats, units: Sequence[int]) -> float:
    """Degrees of freedom of a mean of pieces (1 + RESAMPLES, pieces) made from so many draws each:
    those of a cell, times the number of pieces whose errors average out.

    Of pieces with unequal errors that number is Satterthwaite's: one much larger than the others
    counts as one.
    """
    spread = pieces[1:].reshape(RESAMPLES, -1).var(axis=0)
    total = spread.sum()
    return float((min(units) - 1) * (total**2 / (spread**2).sum() if total > 0 else 1.0))


def anew(pieces: Floats, of: Callable[[Floats], Floats], most: float = inf) -> Bounds | None:
    """The interval from the pieces (1 + RESAMPLES, pieces) as a sample: they are drawn anew, each
    time from another resample. `most`: degrees of freedom that there are at most.
    """
    k = pieces.shape[1]
    if k < 2:
        return None
    drawn = np.random.default_rng(k).integers(k, size=(RESAMPLES, k))
    effect = float(of(pieces[:1])[0])
    values = of(pieces[1:][np.arange(RESAMPLES)[:, None], drawn])
    return widened(effect, effect + scarce(k) * (values - effect), min(k - 1, most))


def mean(values: Floats) -> Floats:
    """(rows, pieces) -> their mean in each row."""
    return values.mean(axis=1)


def mean_of_cells(cells: Sequence[Floats], seeds: Sequence[int] | None = None) -> Interval:
    """The mean over cells of each cell's mean, with the interval that a verdict on it has.

    Draws are drawn anew inside each cell; where every cell holds one, the cells are. `seeds`: of
    the cells, where they have any.
    """
    if not cells:
        return Interval(np.nan, np.nan, np.nan)
    units = [len(values) for values in cells]
    columns = [values[:, None] for values in cells]
    pieces = redrawn(columns, range(len(cells)) if seeds is None else seeds)[:, :, 0]
    middle = float(mean(pieces[:1])[0])
    if max(units) == 1:
        low, high = anew(pieces, mean) or (np.nan, np.nan)
    else:
        few = min(units) == 1
        known = sum(n - 1 for n in units) if few else averaged(pieces, units)
        low, high = widened(middle, mean(pieces[1:]), known)
    return Interval(middle, low, high)


def wilcoxon(differences: Floats) -> float:
    """Two-sided p of the signed-rank test, exact up to EXACT pairs, with ties and zeros too."""
    if not len(differences):
        return np.nan
    known = np.round(differences, DIGITS)  # or rounding would break ties
    if not known.any():
        return 1.0
    if len(known) > EXACT:
        return float(stats.wilcoxon(known, zero_method="pratt").pvalue)
    twice = np.rint(2 * stats.rankdata(np.abs(known))).astype(int)  # ties have half ranks
    chance = sums(tuple(sorted(twice[known != 0])))  # a zero has a rank and no sign
    own = int(twice[known > 0].sum())
    return min(1.0, 2 * float(min(chance[: own + 1].sum(), chance[own:].sum())))


@lru_cache(maxsize=1000)  # without ties the ranks of all cells of one size are the same
def sums(ranks: tuple[int, ...]) -> Floats:
    """The chance of each sum of these ranks where each of them is in it or not by a fair coin."""
    chance = np.zeros(sum(ranks) + 1)
    chance[0] = 1
    for rank in ranks:
        chance /= 2
        chance[rank:] += chance[:-rank].copy()
    return chance


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
    return float((np.sign(np.round(differences, DIGITS)).mean() + 1) / 2)


def ranking(scores: Floats) -> Ranking:
    """Ranks of at least three methods by their scores (cells, methods), the highest the best."""
    from scikit_posthocs import posthoc_nemenyi_friedman  # half a second, for ranks alone

    cells, methods = scores.shape
    known = np.round(scores, DIGITS)
    ranks = stats.rankdata(-known, axis=1)
    spread = np.sqrt(methods * (methods + 1) / (12 * cells))
    equal = not np.ptp(ranks)
    return Ranking(
        ranks=ranks.mean(axis=0),
        friedman=1.0 if equal else float(stats.friedmanchisquare(*known.T).pvalue),
        nemenyi=np.ones((methods, methods))
        if equal
        else posthoc_nemenyi_friedman(pd.DataFrame(known)).to_numpy(),
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
