"""Sampling that stops short of full balance: the numbers behind C9."""

from collections.abc import Callable

import numpy as np

from analysis.checks.check import Finding, Lacking
from analysis.checks.effects import LEAST, found
from analysis.checks.gains import steps
from analysis.checks.planes import Pick, Plane, Region, plane
from analysis.checks.protocols import Protocol, column_of
from analysis.checks.sampling import picked
from analysis.stats import Floats

MODERATE = (0.3, 0.7)
"""The smallest and the largest mu that count as a moderate number of minority classes."""

GRID = "{}_reduced"
Make = Callable[[list[str], list[Pick]], Plane]


def reduced(
    protocol: Protocol, method: str, mus: tuple[float, float] = (0, 1)
) -> tuple[Make, list[float], list[str]]:
    """How the plane of a method sampled to several ratios is made; these, and their columns.

    The cells are those at the step ratio at which it goes to most of them.
    """
    own = protocol.records
    own = own[(own["imbalance"] == "step") & (own["method"] == method) & (own["to"] < own["rho"])]
    counts = own.groupby("rho")["to"].nunique()
    if counts.empty or counts.max() < 2:
        raise Lacking(f"no {method} to several ratios", GRID)
    rho = float(counts[counts == counts.max()].index.max())
    ratios = sorted(float(to) for to in own[own["rho"] == rho]["to"].unique())
    if ratios[0] != 1:
        raise Lacking(f"no {method} to full balance", GRID)

    def make(columns: list[str], picks: list[Pick]) -> Plane:
        return plane(protocol, "step", columns, picks, region=Region(mus, rho), grid=GRID)

    return make, ratios, [column_of(method, to) for to in ratios]


def full_is_best(protocol: Protocol) -> Finding:
    """Oversampling to full balance less to another ratio on average: where that is least."""
    own, gaps, ratios = full_less_others(protocol)
    return found(gaps.mean(axis=1), [own], ratios, LEAST, places="other ratios")


def full_is_always_best(protocol: Protocol) -> Finding:
    """The same in each cell."""
    own, gaps, ratios = full_less_others(protocol)
    return found(gaps, [own], own.names, LEAST, [f"Against {len(ratios)} other ratios."])


def full_less_others(protocol: Protocol) -> tuple[Plane, Floats, list[str]]:
    """How much higher oversampling to full balance is than to each other ratio, in each cell."""
    make, ratios, columns = reduced(protocol, "oversampling")
    own = make(columns, [])
    gaps = np.stack([own.less(columns[0], other) for other in columns[1:]], axis=2)
    return own, gaps, [f"to {ratio:g}" for ratio in ratios[1:]]


def part_of_the_way_is_best(protocol: Protocol) -> Finding:
    """Undersampling to the best ratio between, less the better of full balance and none."""
    make, _, columns = reduced(protocol, "undersampling", MODERATE)
    picks = [Pick("between", tuple(columns[1:])), Pick("end", (columns[0], "baseline"))]
    own = make([*columns, "baseline"], picks)
    note = f"The best of {len(columns) - 1} ratios and the better end, both {picked(own)}."
    return found(own.less("between", "end"), [own], own.names, notes=[note])


def best_ratio_falls(protocol: Protocol) -> Finding:
    """By how many powers of ten undersampling's best ratio falls from one mu to the next."""
    make, ratios, columns = reduced(protocol, "undersampling")
    columns.append("baseline")
    own = make(columns, [])
    pairs = steps(own.rho, own.mu)
    if not pairs:
        raise Lacking("no two cells that differ in mu", GRID)
    logs = np.log10([*ratios, own.rho[0]])
    best = logs[np.stack([own.scores[column] for column in columns]).argmax(axis=0)]
    values = np.stack([best[:, i] - best[:, j] for i, j in pairs], axis=1)
    at = ", ".join(f"{10**x:.4g} at mu {mu:g}" for x, mu in zip(best[0], own.mu, strict=True))
    note = f"The best ratio is {at}; {own.rho[0]:g} is no sampling."
    names = [f"{own.names[i]} to {own.names[j]}" for i, j in pairs]
    return found(values, [own], names, notes=[note], places="pairs of cells")
