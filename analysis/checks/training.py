"""Single trainings: overfitting on the way (C10), and the errors on the sets as published (C13)."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from analysis.checks.check import Finding, Lacking, Lost
from analysis.checks.effects import found
from analysis.checks.planes import gathered
from analysis.checks.protocols import Protocol
from analysis.checks.testset import of_networks


def gap_growth(protocol: Protocol) -> Finding:
    """How much oversampling's train accuracy gains on its test accuracy from the middle on."""
    own = protocol.records
    rows = own[
        (own["column"] == "oversampling")
        & (own["imbalance"] == "step")
        & own["curve"].map(lambda curve: curve is not None and len(curve) > 1)
    ]
    if rows.empty:
        raise Lacking("no curve of oversampling under step imbalance", "{}_convergence")
    alive = rows[rows["status"] != "diverged"]
    if alive.empty:
        raise Lost(f"in all {len(rows)} cases the network diverged")
    grown = pd.Series(
        [growth_of(curve) for curve in alive["curve"]], index=list(alive["case_id"]), name="growth"
    )
    table = protocol.cases.join(grown, how="inner")
    left_out = protocol.cases.loc[rows[rows["status"] == "diverged"]["case_id"]]
    plane = gathered(protocol.dataset, "curve", table, ["growth"], (), left_out)
    return found(plane.scores["growth"], [plane], plane.names)


def growth_of(curve: Sequence[dict[str, float]]) -> float:
    """The gap between train and test accuracy at the end less that at half the iterations."""
    points = sorted(curve, key=lambda point: point["iteration"])
    half = min(points[:-1], key=lambda point: abs(point["iteration"] - points[-1]["iteration"] / 2))
    first, last = (100 * (p["train_accuracy"] - p["test_accuracy"]) for p in (half, points[-1]))
    return last - first


def networks(protocol: Protocol) -> pd.DataFrame:
    """The baselines on a set as published."""
    own = protocol.records
    own = own[(own["imbalance"] == "natural") & (own["column"] == "baseline")]
    if own.empty:
        raise Lacking("no net trained on the set as published", "full_{}")
    return own


def error(protocol: Protocol) -> Finding:
    """The error on the test set, in %."""
    return of_networks(networks(protocol), "error")


def error_less(published: float, protocol: Protocol, at: int | None = None) -> Finding:
    """The error, at the end or at an iteration on the way, less the published one."""
    return shifted(of_networks(networks(protocol), "error", at), published)


def error_less_nearer(readings: tuple[float, float], protocol: Protocol) -> Finding:
    """The error less the nearer of two readings of the published one."""
    own = error(protocol)
    nearer, other = sorted(readings, key=lambda reading: abs(reading - own.effect))
    return shifted(own, nearer, f"; the other reading is {other:.2f}")


def auc_less(published: float, protocol: Protocol) -> Finding:
    """The AUC less the published one."""
    return shifted(of_networks(networks(protocol), "auc"), published)


def shifted(own: Finding, published: float, more: str = "") -> Finding:
    """The finding, less a published number."""
    return replace(
        own,
        effect=own.effect - published,
        low=None if own.low is None else own.low - published,
        high=None if own.high is None else own.high - published,
        notes=(f"Ours is {own.effect:.2f}, published {published:.2f}{more}.", *own.notes),
    )
