"""The cells of a map: the colour of a difference, its numbers, and the mark of a sure one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.patches import Rectangle

from analysis.paper import inches
from analysis.stats import LEVEL

COLOURS = LinearSegmentedColormap.from_list("lead", ["#E88540", "white", "#4C9FD1"], 257)
"""Red and blue, on which black can be read. In grey both are as dark; a loss is hatched."""

EVEN, FULL = 0.1, 30.0
"""Points: so far a colour goes with the difference, then with its logarithm, and here it ends."""

HATCH, DARKER = "/////", 0.82
"""How a loss is hatched, and how much darker than its cell: too little to disturb the words."""

FEW = "0.92"
EDGE: dict[str, Any] = {"edgecolor": "0.75", "linewidth": 0.5}
ABSENT: dict[str, Any] = {"edgecolor": "0.6", "linewidth": 0.5, "linestyle": (0, (3, 2))}
"""A cell with too few pairs is grey; one that was not run is an empty frame."""

FREE, LEAST = 0.05, 5.0
"""Inches of a cell's width without words; points of type below which intervals are left out."""

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Form:
    """How cells are printed: their size in inches, and of number and interval the points.

    An interval of 0 points is left out.
    """

    width: float
    height: float
    number: float
    interval: float


def shade(difference: float) -> str:
    """The colour of a difference in points, the same in every map."""
    place = np.arcsinh(difference / EVEN) / np.arcsinh(FULL / EVEN)
    return to_hex(COLOURS(0.5 + 0.5 * float(np.clip(place, -1, 1))))


def look(difference: float) -> dict[str, Any]:
    """How a cell of a difference in points looks; a loss is hatched, in its edge's colour."""
    face = {"facecolor": shade(difference), **EDGE}
    if round(difference, digits(difference)) >= 0:
        return face
    red, green, blue = (DARKER * part for part in to_rgb(face["facecolor"]))
    return face | {"hatch": HATCH, "edgecolor": (red, green, blue)}


def signed(value: float, decimals: int) -> str:
    """A number with its sign; one of which the decimals leave nothing has none."""
    text = rounded(value, decimals)
    return f"+{text}" if text.strip("0.") and value > 0 else text


def rounded(value: float, decimals: int) -> str:
    """A number with so many decimals, no nothing of it below zero."""
    return f"{value:z.{decimals}f}".replace("-", MINUS)


def digits(mean: float) -> int:
    """How many decimals a difference is printed with."""
    return 1 if abs(mean) >= 9.995 else 2


def bounds(row: pd.Series) -> str:
    """The interval of a cell's difference."""
    low, high = (rounded(row[end], digits(row["mean"])) for end in ("low", "high"))
    return f"[{low}, {high}]"


def square(axes: Axes, i: int, j: int, row: pd.Series | None, form: Form) -> None:
    """A cell that was run; without a row all its pairs diverged."""
    enough = row is not None and row["enough"]
    drawn = look(row["mean"]) if row is not None and enough else {"facecolor": FEW, **EDGE}
    axes.add_patch(Rectangle((i - 0.5, j - 0.5), 1, 1, **drawn))
    middle: dict[str, Any] = {"ha": "center", "va": "center_baseline"}
    if row is None or not enough:
        text = f"n = {0 if row is None else row['n']}"
        size = min(form.number, (form.width - FREE) / inches(text, 1.0))
        axes.text(i, j, text, size=size, color="0.35", **middle)
        return
    up, down = (0.75 * size / 72 / form.height for size in (form.interval, form.number))
    axes.text(i, j + up, signed(row["mean"], digits(row["mean"])), size=form.number, **middle)
    if form.interval:
        axes.text(i, j - down, bounds(row), size=form.interval, **middle)
    if row["holm"] < 1 - LEVEL:
        corner = i + 0.5 - 0.045 / form.width, j + 0.5 - 0.045 / form.height
        axes.plot(*corner, ".", color="black", markersize=3.4, markeredgewidth=0)


def frame(axes: Axes, i: int, j: int) -> None:
    """A cell that was not run."""
    axes.add_patch(Rectangle((i - 0.44, j - 0.42), 0.88, 0.84, fill=False, **ABSENT))
