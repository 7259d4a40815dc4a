"""Two methods compared case by case: a case's methods share its images and initial weights."""

import numpy as np
import pandas as pd

from analysis.stats import (
    Floats,
    Interval,
    bootstrap_means,
    holm,
    improvement,
    mean_of_cells,
    seed_of,
    wilcoxon,
)

CELL = ["dataset", "model", "iterations", "imbalance", "rho", "mu", "n_minority"]
"""Columns that name a cell; the replicates in it differ in their draws alone."""

FEWEST = 6
"""Pairs below which no signed-rank test can reach 5 %: five that agree have p = 2 / 2^5."""


def paired(data: pd.DataFrame, a: str, b: str, measure: str = "auc") -> pd.DataFrame:
    """A row a case that has both methods, fully balanced, neither of them diverged.

    `data`: records after the selection. Scores `a` and `b`; `difference` is a less b in points.
    """
    rows = data[data["to"] == 1].dropna(subset=measure)
    own = rows[rows["method"] == a].rename(columns={measure: "a"})
    other = rows[rows["method"] == b].set_index("case_id")[measure].rename("b")
    both = own[[*CELL, "case_id", "replicate", "a"]].join(other, on="case_id", how="inner")
    made = both.assign(difference=100 * (both["a"] - both["b"]))
    return made.sort_values("replicate", kind="stable", ignore_index=True)


def compare(data: pd.DataFrame, a: str, b: str, measure: str = "auc") -> pd.DataFrame:
    """A row a cell: n pairs, the mean difference in points with its bootstrap bounds, the p of the
    signed-rank test bare and after Holm over the cells, and the probability of improvement.

    `enough` says whether a cell has FEWEST pairs; it has no p where not.
    """
    names, cells = differences(paired(data, a, b, measure))
    enough = np.array([len(values) >= FEWEST for values in cells], bool)
    ps = np.array(
        [wilcoxon(v) if e else np.nan for v, e in zip(cells, enough, strict=True)], np.float64
    )
    bounds = bootstrap_means(cells)
    return names.assign(
        n=[len(values) for values in cells],
        mean=[values.mean() for values in cells],
        low=bounds[:, 0],
        high=bounds[:, 1],
        p=ps,
        holm=holm(ps),
        improvement=[improvement(values) for values in cells],
        enough=enough,
    )


def overall(data: pd.DataFrame, a: str, b: str, measure: str = "auc") -> Interval:
    """The mean over cells of each cell's mean difference, in points, as verdicts have it."""
    names, cells = differences(paired(data, a, b, measure))
    places = zip(*(names[name] for name in ("dataset", "imbalance", "rho", "mu")), strict=True)
    return mean_of_cells(cells, [seed_of(*place) for place in places])


def differences(pairs: pd.DataFrame) -> tuple[pd.DataFrame, list[Floats]]:
    """The cells of these pairs, a row each, and the differences in each of them."""
    groups = pairs.groupby(CELL, dropna=False)["difference"]
    return (
        groups.size().reset_index()[CELL],
        [values.to_numpy(float) for _, values in groups],
    )
