"""What is known of networks that were trained once: what the size of the test set leaves open."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from analysis.checks.check import Finding, Lacking, Lost
from analysis.stats import LEVEL, Bounds, redrawn, widened

ONE = (
    "One network: the interval is what the size of the test set leaves open. Replicates in the "
    "grid would give one over networks."
)


def of_networks(rows: pd.DataFrame, measure: str, at: int | None = None) -> Finding:
    """The mean `auc` or `error` of networks, in points, with its interval.

    Of several networks that is of their mean; of one it comes from the images it was tested on.
    at: the iteration of the error, on the way; by default the end. Diverged ones are left out.
    """
    alive = rows[rows["status"] != "diverged"]
    if alive.empty:
        raise Lost(f"all {len(rows)} networks diverged")
    score = alive["auc"] if measure == "auc" else 1 - accuracies(alive, at)
    measured = 100 * score.to_numpy(float)
    effect, n = float(measured.mean()), len(measured)
    said = [] if n == len(rows) else [f"{len(rows) - n} of {len(rows)} diverged, left out."]
    bounds: Bounds | None = None
    if n > 1:
        bounds = widened(effect, redrawn([measured[:, None]], [0])[1:, 0, 0], n - 1)
    elif alive["test_counts"].iloc[0] is None:
        said.append("One network, and how many images it was tested on is not recorded.")
    else:
        least, most = BOUNDS[measure](effect / 100, alive.iloc[0])
        bounds = 100 * least, 100 * most
        said.append(ONE)
    low, high = bounds or (None, None)
    studies = tuple(alive["study"].value_counts().index)
    return Finding(effect, low, high, n, studies, notes=tuple(said))


def accuracies(rows: pd.DataFrame, at: int | None) -> pd.Series:
    """Each network's accuracy on the test images, at the end or at an iteration on the way."""
    if at is None:
        return rows["accuracy"]
    curves = [{} if c is None else {p["iteration"]: p for p in c} for c in rows["curve"]]
    if not all(at in curve for curve in curves):
        raise Lacking(f"no curve with a point at iteration {at:,}", "full_{}")
    return pd.Series([curve[at]["test_accuracy"] for curve in curves])


def error_bounds(error: float, row: pd.Series) -> Bounds:
    """Wilson's interval of a share of the test images."""
    images = int(np.sum(row["test_counts"]))
    found = stats.binomtest(round(error * images), images).proportion_ci(LEVEL, "wilson")
    return float(found.low), float(found.high)


def auc_bounds(auc: float, row: pd.Series) -> Bounds:
    """Hanley and McNeil's interval of each class's AUC, carried over to their mean."""
    of_class = np.array(row["auc_per_class"], float)
    own = np.array(row["test_counts"], float)
    known = ~np.isnan(of_class)
    a, own, rest = of_class[known], own[known], own.sum() - own[known]
    above, below = a / (2 - a), 2 * a**2 / (1 + a)
    variance = a * (1 - a) + (own - 1) * (above - a**2) + (rest - 1) * (below - a**2)
    error = np.sqrt((variance / (own * rest)).sum()) / len(a)
    reach = float(stats.norm.ppf((1 + LEVEL) / 2) * error)
    return auc - reach, min(auc + reach, 1.0)


BOUNDS: dict[str, Callable[[float, pd.Series], Bounds]] = {
    "error": error_bounds,
    "auc": auc_bounds,
}
