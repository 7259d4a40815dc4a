"""Imbalance compared across data sets and kinds: C2, and what C3 and C11 need of their own."""

from dataclasses import dataclass, replace

import numpy as np

from analysis.checks.check import Finding, Lacking
from analysis.checks.effects import RATIO, found, straightness
from analysis.checks.gains import reference
from analysis.checks.planes import Plane, Region, name_of, plane
from analysis.checks.protocols import Protocol
from analysis.stats import Floats


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
        planes = [ours, our_whole, theirs, their_whole]
        a, b = lost(ours, our_whole), lost(theirs, their_whole)
        if self.times == 1:
            return found(a - b, planes, ours.names)
        rows = zip(ours.cells, a[0], b[0], strict=True)
        said = "; ".join(f"{name_of(*cell)}: {x:.2f} and {y:.2f}" for cell, x, y in rows)
        note = f"Points lost by CIFAR-10 and by MNIST at {self.times} times the ratio: {said}."
        return found(np.stack([a, b], axis=2), planes, (), RATIO, [note])


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
    """R2 of the line through undersampling's means: against rho or log rho, whichever is higher."""
    own = plane(protocol, "linear", ["undersampling"])
    if len(own.cells) < 4:
        raise Lacking("fewer than four ratios of linear imbalance", "{}_linear")
    lines = {
        name: found(own.scores["undersampling"], [own], (), straightness(xs))
        for name, xs in (("rho", own.rho), ("log rho", np.log(own.rho)))
    }
    said = " and ".join(f"{line.effect:.3f} against {name}" for name, line in lines.items())
    better = max(lines.values(), key=lambda line: line.effect)
    return replace(better, notes=(f"R2 is {said}; the higher is judged.", *better.notes))
