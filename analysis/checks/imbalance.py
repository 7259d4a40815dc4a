"""Imbalance compared across data sets and kinds: C2, and what C3 and C11 need of their own."""

from dataclasses import dataclass

import numpy as np

from analysis.checks.check import Finding, Lacking
from analysis.checks.effects import LEAST, RATIO, found
from analysis.checks.gains import reference
from analysis.checks.planes import Plane, Region, name_of, plane
from analysis.checks.protocols import Protocol
from analysis.stats import Floats

BAND = 1 / 8
"""The share of a fall by which it may be off a straight line. A square or a root, the simplest
curves, are off by up to a quarter: nearer than half of that it is nearer to the line.
"""


@dataclass(frozen=True)
class Harm:
    """What CIFAR-10 loses and what MNIST loses at so many times the ratio: their quotient where the
    ratios differ, their difference where not.
    """

    times: int

    def __call__(self, cifar: Protocol, mnist: Protocol) -> Finding:
        (ours, our_whole), (theirs, their_whole) = drops(cifar), drops(mnist)
        pairs = [
            (i, theirs.cells.index(match))
            for i, (rho, mu) in enumerate(ours.cells)
            if (match := (self.times * rho, mu)) in theirs.cells
        ]
        if not pairs:
            what = f"no cell of CIFAR-10 with one of MNIST at {self.times} times its ratio"
            raise Lacking(what, "{}_step")
        ours, theirs = ours.at([i for i, _ in pairs]), theirs.at([j for _, j in pairs])
        planes, shared = [ours, theirs], [our_whole, their_whole]
        a, b = lost(ours, our_whole), lost(theirs, their_whole)
        if self.times == 1:
            return found(a - b, planes, ours.names, shared=shared)
        rows = zip(ours.cells, a[0], b[0], strict=True)
        said = "; ".join(f"{name_of(*cell)}: {x:.2f} and {y:.2f}" for cell, x, y in rows)
        note = f"Points lost by CIFAR-10 and by MNIST at {self.times} times the ratio: {said}."
        return found(np.stack([a, b], axis=2), planes, ours.names, RATIO, [note], shared)


def drops(protocol: Protocol) -> tuple[Plane, Plane]:
    """The baseline under step imbalance, and on the balanced set."""
    return plane(protocol, "step", ["baseline"]), reference(protocol)


def lost(own: Plane, whole: Plane) -> Floats:
    """How far the baseline falls from the balanced set to each cell."""
    return whole.scores["baseline"] - own.scores["baseline"]


def linear_less_step(protocol: Protocol) -> Finding:
    """The baseline under linear imbalance less under step, where both have equally many images."""
    step = plane(protocol, "step", ["baseline"], region=Region((0.5, 0.5)))
    linear = plane(protocol, "linear", ["baseline"])
    classes = len(protocol.records["class_counts"].iloc[0])
    pairs = [
        (i, j)
        for i, rho in enumerate(linear.rho)
        for j, other in enumerate(step.rho)
        if rho == other and abs(linear.images[i] - step.images[j]) <= classes  # by rounding
    ]
    if not pairs:
        raise Lacking("no ratio with linear and step imbalance of equally many images", "{}_linear")
    linear, step = linear.at([i for i, _ in pairs]), step.at([j for _, j in pairs])
    values = linear.scores["baseline"] - step.scores["baseline"]
    return found(values, [linear, step], linear.names)


def undersampling_straightness(protocol: Protocol) -> Finding:
    """How far inside a band undersampling's means are, where least: about the straight line from
    the smallest ratio to the largest, BAND of the fall to either side.

    It is linear in the means, as the share of the fall is not, which no draw may bring near 0.
    """
    own = plane(protocol, "linear", ["undersampling"])
    if len(own.cells) + len(own.gone) < 4:
        raise Lacking("fewer than four ratios of linear imbalance", "{}_linear")
    order = np.argsort(own.rho)
    rho, auc = own.rho[order], own.scores["undersampling"][:, order]
    along = (rho - rho[0]) / (rho[-1] - rho[0])
    fallen = auc[:, :1] - auc
    line, band = along * fallen[:, -1:], BAND * fallen[:, -1:]
    room = np.stack([band - (fallen - line), band + (fallen - line)], axis=2)
    names = [own.names[i] for i in order]
    shares = 100 * fallen[0] / (fallen[0, -1] or np.nan)
    rows = zip(names[1:-1], shares[1:-1], 100 * along[1:-1], strict=True)
    told = "; ".join(f"{name}: {share:.3g} % and {due:.3g} %" for name, share, due in rows)
    note = f"Share of the whole fall that is reached, and that of a straight line: {told}."
    return found(room[:, 1:-1], [own], names[1:-1], LEAST, [note])
