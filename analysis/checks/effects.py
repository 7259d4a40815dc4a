"""From values cell by cell to one effect with its interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy import stats

from analysis.checks.check import Finding, Lacking, Lost, Range
from analysis.checks.planes import Plane, name_of
from analysis.stats import (
    LEVEL,
    Bounds,
    Floats,
    anew,
    averaged,
    mean,
    widened,
)


def worst(values: Floats) -> Floats:
    """(rows, pieces), of pieces with several sides (rows, pieces, sides) the lowest."""
    return values if values.ndim == 2 else values.min(axis=2)


@dataclass(frozen=True)
class Statistic:
    """How the values of pieces become one.

    of: (rows, pieces) -> (rows,). bounds: its interval from pieces as measured, in row 0, and as
    resampled, by their degrees of freedom. alone: the interval where cells have one draw: from the
    pieces as a sample, with so many degrees of freedom at most; None where there can be none.
    averages: errors average out. each: where it rests on single pieces, their intervals. piece:
    what each piece is by itself. limit: where a piece agrees, if not where the effect does.
    fewest: pieces that it needs.
    """

    of: Callable[[Floats], Floats]
    bounds: Callable[[Floats, float], Bounds]
    alone: Callable[[Floats, float], Bounds | None]
    averages: bool = True
    each: Callable[[Floats, float], tuple[Floats, Floats]] | None = None
    piece: Callable[[Floats], Floats] = worst
    limit: Range | None = None
    fewest: int = 1


GRID = "{}_step"
"""What makes the cells that shares are of."""

FEWEST = 4
"""Cells of which a share says something."""


def quotient(values: Floats) -> Floats:
    """(..., 2) -> the first over the second, or over 0.01 points where that is less: no more can be
    told from none.
    """
    return np.asarray(values[..., 0] / np.maximum(values[..., 1], 0.01))


def ratio_of_means(values: Floats) -> Floats:
    """(rows, pieces, 2) -> the mean of the first over that of the second."""
    return quotient(values.mean(axis=1))


def averaging(of: Callable[[Floats], Floats], piece: Callable[[Floats], Floats]) -> Statistic:
    """A statistic whose resamples are spread around it; of single draws the pieces are redrawn."""

    def bounds(pieces: Floats, freedom: float) -> Bounds:
        return widened(float(of(pieces[:1])[0]), of(pieces[1:]), freedom)

    return Statistic(of, bounds, lambda pieces, most: anew(pieces, of, most), piece=piece)


MEAN, RATIO = averaging(mean, worst), averaging(ratio_of_means, quotient)


def apart(pieces: Floats, freedom: float, level: float) -> tuple[Floats, Floats]:
    """The bounds of every piece by Student's t."""
    reach = stats.t.ppf((1 + level) / 2, freedom) * pieces[1:].std(axis=0)
    return worst(pieces[:1] - reach)[0], worst(pieces[:1] + reach)[0]


def at_once(pieces: Floats, freedom: float) -> tuple[Floats, Floats]:
    """Bounds of every piece that hold for all of them at once, by Sidak.

    The lowest of many means lies below the lowest truth by chance alone: an interval of its own
    would not know that it was picked. A piece is above a limit where each of its sides is, by
    itself; that one of them is below was picked among all.
    """
    cells, sides = pieces.shape[1], pieces[0].size
    lows, _ = apart(pieces, freedom, LEVEL ** (1 / cells))
    _, highs = apart(pieces, freedom, LEVEL ** (1 / sides))
    return lows, highs


def for_least(pieces: Floats, freedom: float) -> tuple[Floats, Floats]:
    """Bounds of every piece for what is said of the lowest.

    That all of them are above a limit is shown by each above it alone: no picking is in that. That
    one of them is below is shown by the lowest, which was picked.
    """
    return apart(pieces, freedom, LEVEL)[0], at_once(pieces, freedom)[1]


def lowest(pieces: Floats, freedom: float) -> Bounds:
    """The bounds of the lowest piece."""
    lows, highs = for_least(pieces, freedom)
    return float(lows.min()), float(highs.min())


LEAST = Statistic(
    lambda values: worst(values).min(axis=1),
    lowest,
    lambda pieces, most: None,
    averages=False,
    each=for_least,
)


def share(limit: Range) -> Statistic:
    """The share, in %, of pieces that agree: of those that surely do, as measured, and of those
    that may; of single draws its exact interval.
    """

    def of(values: Floats) -> Floats:
        return np.array([100 * np.mean([limit.holds(v, v) for v in row]) for row in worst(values)])

    def bounds(pieces: Floats, freedom: float) -> Bounds:
        both = list(zip(*at_once(pieces, freedom), strict=True))
        sure = np.mean([limit.holds(low, high) for low, high in both])
        possible = np.mean([not limit.misses(low, high) for low, high in both])
        return 100 * float(sure), 100 * float(possible)

    def alone(pieces: Floats, most: float) -> Bounds | None:
        agree = round(float(of(pieces[:1])[0]) * pieces.shape[1] / 100)
        exact = stats.binomtest(agree, pieces.shape[1]).proportion_ci(LEVEL, "exact")
        return 100 * float(exact.low), 100 * float(exact.high)

    return Statistic(of, bounds, alone, averages=False, each=at_once, limit=limit, fewest=FEWEST)


def found(
    pieces: Floats,
    planes: Sequence[Plane],
    names: Sequence[str] = (),
    statistic: Statistic = MEAN,
    notes: Sequence[str] = (),
    shared: Sequence[Plane] = (),
    places: str = "cells",
) -> Finding:
    """The effect that the pieces (1 + RESAMPLES, pieces) have, with its interval.

    planes: those that they were made from. names: of the pieces, where each of them is to be told.
    shared: planes of one cell from which every piece was made, so that all have the error of that.
    """
    every = [*planes, *shared]
    gone = [name_of(*cell) for plane in every for cell in plane.gone]
    if gone and not statistic.averages:
        raise Lost(f"in every case at {'; '.join(gone)} a network diverged")
    if pieces.shape[1] < statistic.fewest:
        raise Lacking(f"{pieces.shape[1]} of {statistic.fewest} {places} needed for a share", GRID)
    effect = float(statistic.of(pieces[:1])[0])
    said = [*notes]
    if lost := sum(sum(plane.lost) for plane in every):
        said.append(f"{lost} case{'s' if lost > 1 else ''} left out: a network diverged.")
    if gone:
        said.append(f"Left out whole, as a network diverged in every case: {'; '.join(gone)}.")
    bounds: Bounds | None = None
    each: list[Bounds] = []
    if any(min(plane.units) == 1 for plane in shared):
        said.append("All cells are measured from one net on the balanced set: no interval.")
    elif any(max(plane.units) == 1 for plane in planes):
        together = pieces if shared else np.broadcast_to(pieces[:1], pieces.shape)
        bounds = statistic.alone(together, least_freedom(shared))
        how = f"is over these {places}" if bounds else "cannot be had"
        one = "one draw a cell" if all(max(p.units) == 1 for p in planes) else "one draw in a cell"
        said.append(f"With {one} the interval {how}.")
    else:
        known = min(freedom(pieces, planes, statistic), least_freedom(shared))
        bounds = statistic.bounds(pieces, known)
        if statistic.each:
            both = zip(*statistic.each(pieces, known), strict=True)
            each = [(float(low), float(high)) for low, high in both]
        if any(min(plane.units) == 1 for plane in planes):
            said.append("Cells with one draw are given the spread of the others.")
    low, high = bounds or (None, None)
    values = statistic.piece(pieces[:1])[0]
    return Finding(
        effect=effect,
        low=low,
        high=high,
        n=sum(sum(plane.cases) for plane in every),
        studies=tuple(dict.fromkeys(study for plane in every for study in plane.studies)),
        pieces=tuple(zip(names, map(float, values), strict=True)) if len(names) else (),
        bounds=tuple(each),
        notes=tuple(said),
        limit=statistic.limit,
        places=places,
    )


def freedom(pieces: Floats, planes: Sequence[Plane], statistic: Statistic) -> float:
    """Degrees of freedom of a statistic of these pieces."""
    units = [n for plane in planes for n in plane.units]
    if min(units) == 1:
        return min(sum(n - 1 for n in plane.units) for plane in planes)
    return averaged(pieces, units) if statistic.averages else min(units) - 1


def least_freedom(shared: Sequence[Plane]) -> float:
    """The degrees of freedom that an error which all pieces share leaves: no piece averages it."""
    return min((min(plane.units) - 1 for plane in shared), default=inf)
