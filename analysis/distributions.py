"""Figure 1: how many images of each class the example training sets hold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.page import Blank, Drawing, Page, dataset
from analysis.style import HATCH, MAJORITY, MINORITY, theme


@dataclass(frozen=True)
class Example:
    """A panel of the paper's figure 1; the study's nearest cell is drawn."""

    kind: str
    rho: float
    mu: float = 0.0

    def distance(self, row: pd.Series) -> float:
        """How far a case is from it: factors of ten in rho, tenths in mu."""
        mu = 0.0 if self.kind == "linear" else float(row["mu"])
        return float(abs(np.log10(row["rho"] / self.rho)) + 10 * abs(mu - self.mu))


EXAMPLES = (Example("step", 10, 0.5), Example("step", 2, 0.9), Example("linear", 10))

EDGE: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.5}

TITLES: dict[str, Callable[[pd.Series], str]] = {
    "step": lambda row: rf"step, $\rho$ = {row['rho']:g}, $\mu$ = {row['mu']:g}",
    "linear": lambda row: rf"linear, $\rho$ = {row['rho']:g}",
}


def draw(data: pd.DataFrame) -> Drawing:
    """Bars of the cases nearest to the paper's three examples, each cell at most once."""
    cases = examples(data)
    if not cases:
        return Blank("no step or linear imbalance in this study")
    kinds = list(dict.fromkeys(str(row["imbalance"]) for row in cases))
    handles: list[Artist] = [Patch(label="Majority class", facecolor=MAJORITY, **EDGE)]
    handles += [Patch(label="Minority class", facecolor=MINORITY, hatch=HATCH, **EDGE)] * (
        "step" in kinds
    )
    imbalance = f"{' and '.join(kinds)} imbalance"
    with theme():
        page = Page(
            title=f"{dataset(data)}, {imbalance}: training images of each class",
            caption="One case of each cell, its first replicate. " + sizes(cases),
            panels=[TITLES[row["imbalance"]](row) for row in cases],
            legend=handles if "step" in kinds else (),
            columns=2,
        )
        figure, panels = page.lay()
        for row, axes in zip(cases, panels, strict=True):
            bars(row, axes)
        panels[0].set_ylabel("Training images")
        panels[0].set_ylim(bottom=0)
    return figure


def examples(data: pd.DataFrame) -> list[pd.Series]:
    """The first case of the cell nearest to each example."""
    chosen: dict[str, pd.Series] = {}
    cases = data.drop_duplicates("case_id").sort_values(["rho", "mu", "replicate", "case_id"])
    for example in EXAMPLES:
        rows = [row for _, row in cases[cases["imbalance"] == example.kind].iterrows()]
        if rows:
            nearest = min(rows, key=example.distance)
            chosen.setdefault(nearest["case_id"], nearest)
    return list(chosen.values())


def bars(row: pd.Series, axes: Axes) -> None:
    """One bar a class, the minority classes lighter and hatched."""
    counts = np.asarray(row["class_counts"])
    is_minority = np.zeros(len(counts), bool)
    if row["imbalance"] == "step":
        is_minority[np.asarray(row["minority"], int)] = True
    for of_minority, face, hatch in ((False, MAJORITY, ""), (True, MINORITY, HATCH)):
        labels = np.flatnonzero(is_minority == of_minority)
        axes.bar(labels, counts[labels], width=0.8, facecolor=face, hatch=hatch, **EDGE)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    if len(counts) <= 10:
        axes.set_xticks(range(len(counts)))
    axes.set_xlim(-0.7, len(counts) - 0.3)
    axes.set_xlabel("Class label")


def sizes(cases: list[pd.Series]) -> str:
    """The largest and the smallest class of each panel, for bars too low to read."""
    ends = [f"{max(row['class_counts']):,} and {min(row['class_counts']):,}" for row in cases]
    if len(ends) == 1:
        return f"Largest and smallest class: {ends[0]}."
    said = "; ".join(f"({letter})\u00a0{end}" for letter, end in zip("abc", ends, strict=False))
    return f"Largest and smallest class: {said}."
