"""The numbers most checks are: one method less another, and one cell less another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analysis.checks.check import Finding, Lacking
from analysis.checks.effects import MEAN, Statistic, found
from analysis.checks.planes import Plane, Region, plane
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
    """How much higher a method is than another in each cell, averaged over the cells."""

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
        along, of = (own.rho, own.mu) if self.along == "rho" else (own.mu, own.rho)
        pairs = self.pairs(np.nan_to_num(of), along)
        if not pairs:
            raise Lacking(f"no two cells that differ in {self.along}", f"{{}}_{self.kind}")
        values = [self.sign * (scores[:, j] - scores[:, i]) for i, j in pairs]
        used = own.at(sorted({cell for pair in pairs for cell in pair}))
        return found(np.stack(values, axis=1), [used], between(own, pairs))


@dataclass(frozen=True)
class Short:
    """How far a method stays below the baseline on the balanced set, averaged over cells."""

    method: str

    def __call__(self, protocol: Protocol) -> Finding:
        own = plane(protocol, "step", [self.method])
        whole = reference(protocol)
        return found(whole.scores["baseline"] - own.scores[self.method], [own, whole], own.names)


def reference(protocol: Protocol) -> Plane:
    """The net trained on as many images of every class as the largest has elsewhere."""
    return plane(protocol, "balanced", ["baseline"])


def between(own: Plane, pairs: Pairs) -> Sequence[str]:
    """Pairs of cells, as they are called."""
    return [f"{own.names[i]} to {own.names[j]}" for i, j in pairs]
