"""Figure 8 and appendix B: accuracy on training and test images while the networks learn."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from analysis.curves import MEASURES
from analysis.lines import bands, evenly, failed, line, points, scale_y, span
from analysis.page import Blank, Drawing, Page, of_test_set, pooled, protocol
from analysis.style import DASHED, PLAIN, STYLES, Dash, Style, theme
from study.methods import METHODS

PANELS = ("baseline", "oversampling", "undersampling")
BLACK = STYLES["baseline"].colour

MARKED = 12
"""Points of a curve that have a marker; of more than these some go without."""


@dataclass(frozen=True)
class Part:
    """What accuracy is measured on, and how its curve looks: its dash, and its markers' size and
    face, rings around dots where two curves lie on each other.
    """

    label: str
    dash: Dash
    size: float
    open: bool

    def style(self, colour: str) -> Style:
        """What the line is."""
        return Style(colour, self.dash, "o")

    def markers(self, colour: str) -> dict[str, Any]:
        """What its markers are."""
        return {"markersize": self.size, "markerfacecolor": "none" if self.open else colour}


PARTS = {
    "train": Part("Training images of the case", DASHED, 5.4, open=True),
    "test": Part("Test images", PLAIN, 2.8, open=False),
}
PAPER_RHO, PAPER_MU, PAPER_MINORITY = 50, 0.5, 5
NONE = "no curves of baseline, over- or undersampling in this study"
MOST = 11
"""Pages of appendix B."""


def draw(data: pd.DataFrame, note: str = "") -> Drawing:
    """Figure 8: the paper's cell where it was run, else the largest rho at the middle mu."""
    found = cells(data)
    return picture(found[0], note) if found else Blank(NONE)


def others(data: pd.DataFrame, note: str = "") -> dict[str, Callable[[], Drawing]]:
    """Appendix B: a page for each other cell, or for so many of them spread evenly."""
    rest = cells(data)[1:]
    if len(rest) > MOST:
        note = f"Appendix B has {MOST} of {len(rest)} cells. {note}"
    return {
        f"figB{number}": partial(picture, cell, note)
        for number, cell in enumerate(evenly(rest, MOST), start=1)
    }


def cells(data: pd.DataFrame) -> list[pd.DataFrame]:
    """The records with curves, cell by cell, figure 8's first."""
    rows = data[data["method"].isin(PANELS) & (data["to"] == 1)].dropna(subset="curve")
    rows = rows[rows["curve"].map(len) > 0]
    found = [cell for _, cell in rows.groupby(["imbalance", "rho", "mu"], dropna=False)]
    if not found:
        return []
    first = central([cell.iloc[0] for cell in found])
    return [found[first], *found[:first], *found[first + 1 :]]


def central(found: list[pd.Series]) -> int:
    """The place of figure 8's cell; another kind than step only where there is no step."""
    kinds = {cell["imbalance"] for cell in found}
    kind = "step" if "step" in kinds else min(kinds)
    own = [i for i, cell in enumerate(found) if cell["imbalance"] == kind]
    if kind == "step":
        for key, value in (("mu", PAPER_MU), ("n_minority", PAPER_MINORITY)):
            for i in own:
                if found[i]["rho"] == PAPER_RHO and found[i][key] == value:
                    return i
        mus = sorted({found[i]["mu"] for i in own})
        own = [i for i in own if found[i]["mu"] == mus[(len(mus) - 1) // 2]]
    return own[-1]


def picture(records: pd.DataFrame, note: str) -> Drawing:
    """The page of one cell: a panel a method."""
    measured = points(unrolled(records))
    if measured.empty:
        return Blank(f"all {len(records)} records with curves of its cell diverged")
    ids = [id for id in PANELS if id in set(records["method"])]
    xs = sorted(measured["x"].unique())
    every = -(-len(xs) // MARKED)
    with theme():
        page = Page(
            title=", ".join([protocol(records), *place(records), f"n = {span(measured['n'])}"]),
            caption=" ".join([*caption(records, measured), note]).strip(),
            panels=[METHODS[id].label for id in ids],
            data=measured,
            legend=[
                Line2D([], [], label=part.label, **part.style(BLACK).line() | part.markers(BLACK))
                for part in PARTS.values()
            ],
            columns=2,
            shared_x=True,
        )
        figure, panels = page.lay()
        for id, axes in zip(ids, panels, strict=True):
            of_method = measured[measured["panel"] == id]
            for name, part in PARTS.items():
                own, colour = of_method[of_method["line"] == name], STYLES[id].colour
                look = part.markers(colour) | {"markevery": ((len(xs) - 1) % every, every)}
                line(axes, xs, own, xs, part.style(colour), part.label, **look)
            if of_method.empty:
                axes.text(0.5, 0.5, "all diverged", ha="center", transform=axes.transAxes)
            iterations(axes, xs)
        scale_y([(axes, measured) for axes in panels], MEASURES["accuracy"])
    return figure


def iterations(axes: Axes, xs: list[float]) -> None:
    """The x axis, from the start of training."""
    axes.set_xlim(0, 1.04 * xs[-1])
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("Iteration")


def unrolled(records: pd.DataFrame) -> pd.DataFrame:
    """A row a point of a curve and part, with columns `panel`, `x`, `line` and `score` (%).

    A diverged network is left out whole: a mean must not change its members on the way.
    """
    alive = records[records["status"] != "diverged"]
    rows = [
        (method, point["iteration"], part, point[f"{part}_accuracy"])
        for method, curve in zip(alive["method"], alive["curve"], strict=True)
        for point in curve
        for part in PARTS
    ]
    table = pd.DataFrame(rows, columns=["panel", "x", "line", "score"])
    return table.assign(score=100 * table["score"].astype(np.float64))


def place(records: pd.DataFrame) -> list[str]:
    """The cell, as titles say it."""
    known = records.iloc[0][["rho", "mu"]].dropna()
    return [rf"$\{name}$ = {value:g}" for name, value in known.items()]


def caption(records: pd.DataFrame, measured: pd.DataFrame) -> list[str]:
    """What the bands are, and what is missing or left out."""
    said = bands(measured, "Lines") + pooled(records)
    run = set(records["method"])
    if absent := [METHODS[id].label for id in PANELS if id not in run]:
        said.append(f"Not run: {'; '.join(absent)}.")
    return said + failed(records) + of_test_set(records)
