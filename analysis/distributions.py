"""Figure 1: how many images of each class the example training sets hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.page import Blank, Drawing, Page, dataset, name_y, of_test_set
from analysis.paper import inches, paper
from analysis.style import HATCH, MAJORITY, MINORITY, name_of, theme
from study.errors import shorten

Counts = NDArray[np.int64]


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
PANELS = 3

BY_LABEL = ("step", "linear")
"""Imbalances whose classes stand in the order of their labels; of others the largest is first."""

LOW = 0.05
"""Of the largest class: bars no higher than this have their number above them."""

ONE = "0.62"
"""The colour of classes that are neither majority nor minority."""

MANY = 50
"""More classes than these stand by size too, as an outline in place of bars."""

EDGE: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.5}


def draw(data: pd.DataFrame) -> Drawing:
    """Bars of the cases nearest to the paper's three examples, each cell at most once.

    Where there is room left, one case of each other imbalance follows.
    """
    cases = [*examples(data), *others(data)][:PANELS]
    if not cases:
        return Blank("no records in this study")
    handles: list[Artist] = [
        Patch(label="Majority class", facecolor=MAJORITY, **EDGE),
        Patch(label="Minority class", facecolor=MINORITY, hatch=HATCH, **EDGE),
    ]
    said = ["One case of each cell, its first replicate.", sizes(cases), *of_test_set(data)]
    with theme():
        page = Page(
            title=f"{dataset(data)}: training images of each class",
            caption=" ".join(said),
            panels=[title(row) for row in cases],
            data=listed(cases),
            legend=handles if any(minority(row) for row in cases) else (),
            columns=2,
        )
        figure, panels = page.lay()
        for row, axes in zip(cases, panels, strict=True):
            bars(row, axes, page.panel_width)
        name_y(panels, "Training images")
        panels[0].set_ylim(bottom=0)
    return figure


def examples(data: pd.DataFrame) -> list[pd.Series]:
    """The first case of the cell nearest to each example."""
    chosen: dict[str, pd.Series] = {}
    for example in EXAMPLES:
        rows = [row for _, row in firsts(data, [example.kind]).iterrows()]
        if rows:
            nearest = min(rows, key=example.distance)
            chosen.setdefault(nearest["case_id"], nearest)
    return list(chosen.values())


def others(data: pd.DataFrame) -> list[pd.Series]:
    """Of each other imbalance the first case of its largest ratio."""
    kinds = sorted(set(data["imbalance"]) - {example.kind for example in EXAMPLES})
    return [max((row for _, row in firsts(data, [kind]).iterrows()), key=ratio) for kind in kinds]


def firsts(data: pd.DataFrame, kinds: Sequence[str]) -> pd.DataFrame:
    """The cases of these imbalances, a cell's first replicate first."""
    cases = data[data["imbalance"].isin(kinds)].drop_duplicates("case_id")
    return cases.sort_values(["rho", "mu", "replicate", "case_id"])


def ratio(row: pd.Series) -> float:
    """Largest class over smallest, also where no rho was asked for."""
    return float(max(row["class_counts"]) / min(row["class_counts"]))


def minority(row: pd.Series) -> list[int]:
    """The labels of the minority classes, where there are such."""
    return [] if row["minority"] is None else list(row["minority"])


def title(row: pd.Series) -> str:
    """What a panel shows; a ratio that was found, not asked for, is rounded."""
    kind, found = row["imbalance"], ratio(row)
    mu = rf", $\mu$ = {row['mu']:g}" if kind == "step" else ""
    asked = kind in BY_LABEL
    rho = f"{row['rho']:g}" if asked else f"{found:.3g}" if found < 100 else f"{found:.0f}"
    return rf"{shorten(name_of({}, kind), 24)}, $\rho$ = {rho}{mu}"


def listed(cases: list[pd.Series]) -> pd.DataFrame:
    """A row a class of each case: its images, and whether it is a minority class."""
    rows = [
        (letter, row["imbalance"], row["rho"], row["mu"], label, size, label in minority(row))
        for letter, row in zip("abc", cases, strict=False)
        for label, size in enumerate(row["class_counts"])
    ]
    names = ["panel", "imbalance", "rho", "mu", "class", "images", "minority"]
    return pd.DataFrame(rows, columns=names)


def bars(row: pd.Series, axes: Axes, width: float) -> None:
    """One bar a class, the minority classes lighter and hatched."""
    counts = np.asarray(row["class_counts"])
    number = len(counts)
    is_minority = np.isin(np.arange(number), minority(row))
    by_label = row["imbalance"] in BY_LABEL and number <= MANY
    order = np.arange(number) if by_label else np.lexsort((-counts, is_minority))
    others = MAJORITY if is_minority.any() else ONE
    for of_minority, face, hatch in ((False, others, ""), (True, MINORITY, HATCH)):
        places = np.flatnonzero(is_minority[order] == of_minority)
        look = {"facecolor": face, "hatch": hatch, **EDGE}
        if number > MANY and len(places):
            edges = np.arange(places[0], places[-1] + 2) - 0.5
            axes.stairs(counts[order[places]], edges, fill=True, **look)
        else:
            axes.bar(places, counts[order[places]], width=0.8, **look)
    axes.set_xlim(-0.7, number - 0.3)
    if number <= MANY:
        count(axes, counts[order], width / (number + 0.4))
    axes.set_xlabel("Class label" if by_label else "Classes, largest first")
    axes.xaxis.set_major_locator(MaxNLocator(10 if number <= MANY else 6, steps=[1, 2, 5, 10]))
    if number <= 10:
        axes.set_xticks(range(number), [str(label) for label in order])


def count(axes: Axes, heights: Counts, slot: float) -> None:
    """Write above bars too low to be seen what they hold; upright where they stand close."""
    low = [(i, f"{height:,}") for i, height in enumerate(heights) if height <= LOW * max(heights)]
    size = paper().caption
    turned = any(inches(text, size) > 0.95 * slot for _, text in low)
    for place, text in low:
        axes.annotate(
            text, (place, heights[place]), (0, 2), textcoords="offset points", ha="center",
            va="bottom", size=size, rotation=90 * turned,
        )  # fmt: skip


def sizes(cases: list[pd.Series]) -> str:
    """The largest and the smallest class of each panel, for bars too low to read."""
    ends = [f"{max(row['class_counts']):,} and {min(row['class_counts']):,}" for row in cases]
    if len(ends) == 1:
        return f"Largest and smallest class: {ends[0]}."
    said = "; ".join(f"({letter})\u00a0{end}" for letter, end in zip("abc", ends, strict=False))
    return f"Largest and smallest class: {said}."
