"""Methods against the best of others: what C4, C6, C7, C8, C9 and C14 need of their own."""

from dataclasses import dataclass

import numpy as np

from analysis.checks.check import Finding, Lacking, Lost
from analysis.checks.effects import found, share
from analysis.checks.planes import Pick, Plane, Region, plane
from analysis.checks.protocols import Protocol

TRIFLE = 0.1
"""Points of AUC by which a method may stay below the best and still count as best."""

TRAINED = ("baseline", "oversampling", "undersampling")
TWO_PHASE = ("two_phase_oversampling", "two_phase_undersampling")
PREFERRED = ("thresholding", "oversampling_thresholding")
SAME_NETWORK = dict(zip(TRAINED, (*PREFERRED, "undersampling_thresholding"), strict=True))
"""A method, and the one that differs from it by the decision alone."""

MOST_MINORITY = Region((float(np.nextafter(0.5, 1)), 1))
"""More than half of the classes are minority."""

BY_OTHERS = "picked by the other draws of its cell"
BY_ITSELF = "picked by the very numbers that are compared, with one draw a cell"


def picked(own: Plane) -> str:
    """How the picks in these cells were made."""
    return BY_ITSELF if min(own.units) == 1 else BY_OTHERS


def known(protocol: Protocol, ids: tuple[str, ...], measure: str) -> tuple[str, ...]:
    """Those of the methods that were run under step imbalance; the first three are needed."""
    step = protocol.cases[protocol.cases["imbalance"] == "step"].index
    scores = getattr(protocol, measure).loc[step].dropna(axis=1, how="all")
    return tuple(id for id in ids if id in scores or id in TRAINED)


def share_best(protocol: Protocol) -> Finding:
    """In how many cells, in %, oversampling is the best of the methods that were trained."""
    rivals = known(protocol, ("baseline", "undersampling", *TWO_PHASE), "auc")
    own = plane(protocol, "step", ["oversampling", *rivals], [Pick("rival", rivals)])
    gap = own.less("oversampling", "rival")
    notes = [f"Against the best of {len(rivals)} others, {picked(own)}."]
    rows = zip(own.names, gap[0], strict=True)
    if short := [f"{name} ({value:.2f})" for name, value in rows if value < -TRIFLE]:
        notes.append(f"Further below the best: {'; '.join(short)}.")
    return found(gap, [own], (), share(-TRIFLE), notes)


@dataclass(frozen=True)
class TwoPhase:
    """How far a two-phase method is above the lower, or below the higher, of its two ends."""

    sampling: str
    above: bool

    def __call__(self, protocol: Protocol) -> Finding:
        method, both = f"two_phase_{self.sampling}", ("baseline", self.sampling)
        own = plane(protocol, "step", [method, *both], [Pick("end", both, best=not self.above)])
        values = own.less(method, "end") * (1 if self.above else -1)
        word = "lower" if self.above else "higher"
        return found(values, [own], own.names, notes=[f"Which is {word} was {picked(own)}."])


def thresholded_less_undersampling(protocol: Protocol) -> Finding:
    """Accuracy: the better thresholding of baseline and oversampling less undersampling's."""
    return preferred_less(protocol, ("undersampling_thresholding",))


def thresholded_less_bare(protocol: Protocol) -> Finding:
    """Accuracy: the same less the best method without thresholding."""
    return preferred_less(protocol, known(protocol, (*TRAINED, *TWO_PHASE), "accuracy"))


def preferred_less(protocol: Protocol, others: tuple[str, ...]) -> Finding:
    """Accuracy: the better of the preferred two less the best of some others."""
    picks = [Pick("preferred", PREFERRED), Pick("other", others)]
    own = plane(protocol, "step", [*PREFERRED, *others], picks, measure="accuracy")
    note = f"The better one is {picked(own)}."
    return found(own.less("preferred", "other"), [own], own.names, notes=[note])


def largest_change_of_auc(protocol: Protocol) -> Finding:
    """The largest difference that a change of the decision alone makes to an AUC."""
    auc, lost = protocol.auc, protocol.diverged
    there = [(a, b) for a, b in SAME_NETWORK.items() if a in auc and b in auc]
    pairs = [auc[[a, b]].dropna().to_numpy(float) for a, b in there]
    if not sum(map(len, pairs)):
        if any((lost[a] & lost[b]).any() for a, b in there):
            raise Lost("every network that has both decisions diverged")
        raise Lacking("no method beside its thresholding", "{}_step")
    both = np.concatenate(pairs)
    largest = float(np.abs(both[:, 0] - both[:, 1]).max())
    beside = auc.index[auc[[b for _, b in there]].notna().any(axis=1)]
    studies = tuple(protocol.cases.loc[beside, "study"].value_counts().index)
    note = f"A case is here a pair of records of one network: {len(both)} of them."
    return Finding(largest, largest, largest, len(both), studies, notes=(note,))


def undersampling_less_oversampling_at_extreme(protocol: Protocol) -> Finding:
    """In the most extreme of the cells where most classes are minority."""
    return at_extreme(protocol, "undersampling", "oversampling", MOST_MINORITY)


def oversampling_less_baseline_at_extreme(protocol: Protocol) -> Finding:
    """In the most extreme cell."""
    return at_extreme(protocol, "oversampling", "baseline")


def at_extreme(protocol: Protocol, a: str, b: str, region: Region | None = None) -> Finding:
    """A method less another in the cell with the largest ratio and, there, the largest mu."""
    own = plane(protocol, "step", [a, b], region=region)
    own = own.at([int(np.lexsort((own.mu, own.rho))[-1])])
    return found(own.less(a, b), [own], notes=[f"At {own.names[0]}."])
