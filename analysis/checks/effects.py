"""From values cell by cell to one effect with its interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.checks.check import Finding
from analysis.checks.planes import Plane
from analysis.stats import LEVEL, RESAMPLES, Floats, percentiles

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Statistic:
    """How the values of pieces become one.

    of: (rows, pieces) -> (rows,). bounds: its interval from pieces as measured, in row 0, and as
    resampled, by their degrees of freedom. alone: the interval from the pieces as a sample, for
    when there is one draw a cell; None where there can be none. averages: errors average out.
    each: where it is one of the pieces, their intervals.
    """

    of: Callable[[Floats], Floats]
    bounds: Callable[[Floats, float], Bounds]
    alone: Callable[[Floats], Bounds | None]
    averages: bool = True
    each: Callable[[Floats, float], tuple[Floats, Floats]] | None = None


def mean(values: Floats) -> Floats:
    """(rows, pieces) -> their mean in each row."""
    return values.mean(axis=1)


def ratio_of_means(values: Floats) -> Floats:
    """(rows, pieces, 2) -> the mean of the first over that of the second, or over 0.01 points
    where that is less: no more can be told from none.
    """
    top, bottom = values.mean(axis=1).T
    return top / np.maximum(bottom, 0.01)


def averaging(of: Callable[[Floats], Floats]) -> Statistic:
    """A statistic whose resamples are spread around it; of single draws the pieces are redrawn."""

    def bounds(pieces: Floats, freedom: float) -> Bounds:
        return widened(float(of(pieces[:1])[0]), of(pieces[1:]), freedom)

    def alone(pieces: Floats) -> Bounds | None:
        k = len(pieces)
        if k < 2:
            return None
        drawn = pieces[np.random.default_rng(k).integers(k, size=(RESAMPLES, k))]
        effect = float(of(pieces[None])[0])
        return widened(effect, effect + np.sqrt(k / (k - 1)) * (of(drawn) - effect), k - 1)

    return Statistic(of, bounds, alone)


MEAN, RATIO = averaging(mean), averaging(ratio_of_means)


def at_once(pieces: Floats, freedom: float) -> tuple[Floats, Floats]:
    """Bounds of every piece that hold for all of them at once.

    The lowest of many means lies below the lowest truth by chance alone: an interval of its own
    would not know that it was picked.
    """
    spread = pieces[1:].std(axis=0)
    known = np.where(spread > 0, spread, 1)
    furthest = (np.abs(pieces[1:] - pieces[0]) / known).max(axis=1)
    reach = student(freedom) * float(np.percentile(furthest, 100 * LEVEL)) * spread
    return pieces[0] - reach, pieces[0] + reach


def lowest(pieces: Floats, freedom: float) -> Bounds:
    """The bounds of the lowest piece."""
    lows, highs = at_once(pieces, freedom)
    return float(lows.min()), float(highs.min())


LEAST = Statistic(
    lambda values: values.min(axis=1), lowest, lambda pieces: None, averages=False, each=at_once
)


def share(above: float) -> Statistic:
    """The share, in %, of pieces not under a value: of those that surely are not, as measured, and
    of those that may be not; of single draws its exact interval.
    """

    def of(values: Floats) -> Floats:
        return 100 * (values >= above).mean(axis=1)

    def bounds(pieces: Floats, freedom: float) -> Bounds:
        sure, possible = of(np.stack(at_once(pieces, freedom)))
        return float(sure), float(possible)

    def alone(pieces: Floats) -> Bounds | None:
        test = stats.binomtest(int((pieces >= above).sum()), len(pieces))
        exact = test.proportion_ci(LEVEL, "exact")
        return 100 * float(exact.low), 100 * float(exact.high)

    return Statistic(of, bounds, alone, averages=False)


def straightness(xs: Floats) -> Statistic:
    """The share of the pieces' variance that a straight line through them against xs explains."""
    centred = xs - xs.mean()

    def explained(values: Floats, noise: float) -> Floats:
        total = values.var(axis=1) * len(xs)
        left = total - (values @ centred) ** 2 / (centred**2).sum()
        left, total = left - (len(xs) - 2) * noise, total - (len(xs) - 1) * noise
        return np.clip(1 - left / np.maximum(total, 1e-12), 0, 1)

    def bounds(pieces: Floats, freedom: float) -> Bounds:
        # Noise bends any line. Resamples have that of the means twice: the upper bound is without.
        noise = 2 * float(pieces[1:].var(axis=0).mean())
        effect = float(explained(pieces[:1], 0)[0])
        low, _ = widened(effect, explained(pieces[1:], 0), freedom)
        _, high = widened(effect, explained(pieces[1:], noise), freedom)
        return max(low, 0.0), min(high, 1.0)

    return Statistic(
        lambda values: explained(values, 0), bounds, lambda pieces: None, averages=False
    )


def found(
    pieces: Floats,
    planes: Sequence[Plane],
    names: Sequence[str] = (),
    statistic: Statistic = MEAN,
    notes: Sequence[str] = (),
) -> Finding:
    """The effect that the pieces (1 + RESAMPLES, pieces) have, with its interval.

    planes: those that they were made from. names: of the pieces, where each of them is to be told.
    """
    effect = float(statistic.of(pieces[:1])[0])
    said = [*notes]
    if lost := sum(plane.lost for plane in planes):
        said.append(f"{lost} case{'s' if lost > 1 else ''} left out: a network diverged.")
    bounds: Bounds | None
    each: list[Bounds] = []
    if any(max(plane.units) == 1 for plane in planes):
        bounds = statistic.alone(pieces[0])
        how = "is over these" if bounds else "cannot be had"
        one = "one draw a cell" if all(max(p.units) == 1 for p in planes) else "one draw in a cell"
        said.append(f"With {one} the interval {how}.")
    else:
        known = freedom(pieces, planes, statistic)
        bounds = statistic.bounds(pieces, known)
        if statistic.each:
            each = [
                (float(a), float(b)) for a, b in zip(*statistic.each(pieces, known), strict=True)
            ]
        if any(min(plane.units) == 1 for plane in planes):
            said.append("Cells with one draw are given the spread of the others.")
    low, high = bounds or (None, None)
    return Finding(
        effect=effect,
        low=low,
        high=high,
        n=sum(sum(plane.cases) for plane in planes),
        studies=tuple(dict.fromkeys(plane.study for plane in planes)),
        pieces=tuple(zip(names, map(float, pieces[0]), strict=True)) if names else (),
        bounds=tuple(each),
        notes=tuple(said),
    )


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


def freedom(pieces: Floats, planes: Sequence[Plane], statistic: Statistic) -> float:
    """Degrees of freedom: those of a cell, times the number of pieces whose errors average out.

    Of pieces with unequal errors that number is Satterthwaite's: one much larger than the others
    counts as one.
    """
    units = [n for plane in planes for n in plane.units]
    if min(units) == 1:
        return min(sum(n - 1 for n in plane.units) for plane in planes)
    if not statistic.averages:
        return min(units) - 1
    spread = pieces[1:].reshape(RESAMPLES, -1).var(axis=0)
    total = spread.sum()
    return (min(units) - 1) * (total**2 / (spread**2).sum() if total > 0 else 1.0)
