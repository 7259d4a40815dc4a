"""The numbers most checks are: one method less another, and one cell less another."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analysis.checks.check import Finding, Lacking, Lost
from analysis.checks.effects import MEAN, Statistic, found
from analysis.checks.planes import Plane, Region, name_of, plane
from analysis.checks.protocols import Protocol
from analysis.stats import Floats

Pairs = list[tuple[int, int]]


def steps(of: Floats, along: Floats) -> Pairs:
    """Pairs of cells that agree in one coordinate and are neighbours along the other."""
    order = np.lexsort((along, of)).tolist()
    return [(i, j) for i, j in pairwise(order) if of[i] == of[j]]


def ends(of: Floats, along: Floats) -> Pairs:
    """Pairs of cells that agree in one coordinate and have the least and the most of the other."""
    first, last = (np.flatnonzero(along == at).tolist() for at in (along.min(), along.max()))
    return [(i, j) for i in first for j in last if of[i] == of[j] and i != j]


def extremes(of: Floats, along: Floats) -> Pairs:
    """The mildest cell and the most extreme one: by one coordinate, then by the other."""
    order = np.lexsort((of, along)).tolist()
    return [(order[0], order[-1])] if len(order) > 1 else []


@dataclass(frozen=True)
class Gain:
    """How much higher a method is than another, on average or as the statistic has it."""

    a: str
    b: str
    kind: str = "step"
    measure: str = "auc"
    statistic: Statistic = MEAN
    region: Region | None = None

    def __call__(self, protocol: Protocol) -> Finding:
        both = [self.a, self.b]
        own = plane(protocol, self.kind, both, measure=self.measure, region=self.region)
        return found(own.less(self.a, self.b), [own], own.names, self.statistic)


@dataclass(frozen=True)
class Rise:
    """How much higher a method is in the second cell of each pair than in the first.

    less: another method, to be taken from it first. sign: -1 for the fall.
    """

    method: str
    pairs: Callable[[Floats, Floats], Pairs]
    along: str
    less: str = ""
    kind: str = "step"
    sign: int = 1

    def __call__(self, protocol: Protocol) -> Finding:
        own = plane(protocol, self.kind, [self.method, *filter(None, [self.less])])
        scores = own.less(self.method, self.less) if self.less else own.scores[self.method]
        every = [*own.cells, *own.gone]
        rho, mu = np.array(every).T
        along, of = (rho, mu) if self.along == "rho" else (mu, rho)
        chosen = self.pairs(np.nan_to_num(of), along)
        if not chosen:
            raise Lacking(f"no two cells that differ in {self.along}", f"{{}}_{self.kind}")
        lost = {cell for pair in chosen for cell in pair if cell >= len(own.cells)}
        pairs = [pair for pair in chosen if not lost.intersection(pair)]
        if lost and (self.pairs is not steps or not pairs):
            at = "; ".join(name_of(*every[cell]) for cell in sorted(lost))
            raise Lost(f"in every case at {at} a network diverged")
        values = [self.sign * (scores[:, j] - scores[:, i]) for i, j in pairs]
        used = own.at(sorted({cell for pair in pairs for cell in pair}))
        names = [f"{own.names[i]} to {own.names[j]}" for i, j in pairs]
        return found(np.stack(values, axis=1), [used], names, places="pairs of cells")


@dataclass(frozen=True)
class Short:
    """How far a method stays below the baseline on the balanced set, averaged over cells."""

    method: str

    def __call__(self, protocol: Protocol) -> Finding:
        own = plane(protocol, "step", [self.method])
        whole = reference(protocol)
        values = whole.scores["baseline"] - own.scores[self.method]
        return found(values, [own], own.names, shared=[whole])


def reference(protocol: Protocol) -> Plane:
    """The net trained on as many images of every class as the largest has elsewhere."""
    return plane(protocol, "balanced", ["baseline"])
