"""Methods against the best of others: what C4, C6, C7, C8, C9 and C14 need of their own."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from analysis.checks.check import Finding, Lacking, Lost
from analysis.checks.effects import MEAN, Statistic, found, share
from analysis.checks.limits import ABOVE, NEARLY
from analysis.checks.planes import Pick, Plane, Region, name_of, plane
from analysis.checks.protocols import Protocol

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
    own = plane(protocol, "step", ["oversampling", *rivals])
    gaps = np.stack([own.less("oversampling", rival) for rival in rivals], axis=2)
    strictly = int((gaps[0].min(axis=1) >= 0).sum())
    note = (
        f"Against {len(rivals)} others; without the allowance it is the best in {strictly} of "
        f"{gaps.shape[1]}."
    )
    return found(gaps, [own], own.names, share(NEARLY), [note])


@dataclass(frozen=True)
class TwoPhase:
    """In how many cells, in %, a two-phase method is between its two ends, or a trifle beyond."""

    sampling: str

    def __call__(self, protocol: Protocol) -> Finding:
        method, both = f"two_phase_{self.sampling}", ("baseline", self.sampling)
        picks = [Pick("low", both, best=False), Pick("high", both)]
        own = plane(protocol, "step", [method, *both], picks)
        sides = np.stack([own.less(method, "low"), own.less("high", method)], axis=2)
        note = f"Which end is lower was {picked(own)}."
        return found(sides, [own], own.names, share(NEARLY), [note])


def thresholded_less_undersampling(protocol: Protocol) -> Finding:
    """Accuracy: the better thresholding of baseline and oversampling less undersampling's."""
    return preferred_less(protocol, ("undersampling_thresholding",))


def thresholded_less_bare(protocol: Protocol) -> Finding:
    """Accuracy: in how many cells, in %, the same is above the best method without thresholding."""
    others = known(protocol, (*TRAINED, *TWO_PHASE), "accuracy")
    return preferred_less(protocol, others, share(ABOVE))


def preferred_less(
    protocol: Protocol, others: tuple[str, ...], statistic: Statistic = MEAN
) -> Finding:
    """Accuracy: the better of the preferred two less the best of some others."""
    picks = [Pick("preferred", PREFERRED), Pick("other", others)]
    own = plane(protocol, "step", [*PREFERRED, *others], picks, measure="accuracy")
    note = f"The better one is {picked(own)}."
    return found(own.less("preferred", "other"), [own], own.names, statistic, [note])


def largest_change_of_auc(*protocols: Protocol) -> Finding:
    """The largest difference that a change of the decision alone makes to an AUC."""
    pairs, lost, studies = [], False, []
    for protocol in protocols:
        auc, gone = protocol.auc, protocol.diverged
        for a, b in SAME_NETWORK.items():
            if a in auc and b in auc:
                judged = auc[[a, b]].dropna()
                pairs.append(judged.to_numpy(float))
                lost |= bool((gone[a] & gone[b]).any())
                studies += list(protocol.cases.loc[judged.index, "study"])
    if not sum(map(len, pairs)):
        if lost:
            raise Lost("every network that has both decisions diverged")
        raise Lacking("no method beside its thresholding", "{}_step")
    both = np.concatenate(pairs)
    largest = float(np.abs(both[:, 0] - both[:, 1]).max())
    note = f"A case is here a pair of records of one network: {len(both)} of them."
    named = tuple(name for name, _ in Counter(studies).most_common())
    return Finding(largest, largest, largest, len(both), named, notes=(note,))


def undersampling_less_oversampling_at_extreme(protocol: Protocol) -> Finding:
    """In the most extreme of the cells where most classes are minority."""
    return at_extreme(protocol, "undersampling", "oversampling", MOST_MINORITY)


def oversampling_less_baseline_at_extreme(protocol: Protocol) -> Finding:
    """In the most extreme cell."""
    return at_extreme(protocol, "oversampling", "baseline")


def at_extreme(protocol: Protocol, a: str, b: str, region: Region | None = None) -> Finding:
    """A method less another in the cell with the largest ratio and, there, the largest mu."""
    own = plane(protocol, "step", [a, b], region=region)
    at = max([*own.cells, *own.gone])
    if at in own.gone:
        raise Lost(f"in every case at {name_of(*at)} a network diverged")
    own = replace(own.at([own.cells.index(at)]), gone=())
    return found(own.less(a, b), [own], notes=[f"At {own.names[0]}."])
