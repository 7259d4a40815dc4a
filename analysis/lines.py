"""Lines of means with their bands: what figures 3 to 8 are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.page import name_y
from analysis.selection import CHOICE
from analysis.stats import LEVEL, RESAMPLES, bootstrap_means
from analysis.style import Style

T = TypeVar("T")

PITCH = 0.16
"""Inches between points that stand beside each other at one x, where there is room."""


@dataclass(frozen=True)
class Axis:
    """A column of the records as the x axis, or as what tells panels apart."""

    column: str
    label: str
    symbol: str
    log: bool = False


def evenly(values: Sequence[T], most: int) -> list[T]:
    """All of the values, or `most` of them spread evenly, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def points(records: pd.DataFrame) -> pd.DataFrame:
    """A row a panel, x and line: the mean score over records, its band and n; diverged left out."""
    scored = records.dropna(subset="score")
    groups = [
        (*key, group["score"].to_numpy(float))
        for key, group in scored.groupby(["panel", "x", "line"])
    ]
    cells = pd.DataFrame(groups, columns=["panel", "x", "line", "scores"])
    bands = bootstrap_means(list(cells["scores"]))
    return cells.assign(
        mean=[scores.mean() for scores in cells["scores"]],
        n=[len(scores) for scores in cells["scores"]],
        low=bands[:, 0],
        high=bands[:, 1],
    ).drop(columns="scores")


def line(
    axes: Axes,
    xs: list[float],
    cells: pd.DataFrame,
    at: list[float],
    style: Style,
    label: str,
    apart: bool = False,
    **look: Any,
) -> None:
    """One line and its band, drawn at `at`; the line is broken where an x has no point.

    A point with no neighbour has a bar in place of the band, as have all that stay `apart`, which
    no line joins. `look`: what else the line is to be.
    """
    rows = cells.set_index("x").reindex(xs)
    low, high = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
    known = np.isfinite(low)
    beside = np.pad(known, 1)
    alone = known & (apart | ~(beside[:-2] | beside[2:]))
    if alone.any():
        bars = np.asarray(at)[alone], low[alone], high[alone]
        axes.vlines(*bars, color=style.colour, alpha=0.5, linewidth=1)
    if (known & ~alone).any():
        axes.fill_between(at, low, high, color=style.colour, alpha=0.13, linewidth=0)
    joint = {"linestyle": "none"} if apart else {}
    axes.plot(at, rows["mean"].to_numpy(float), label=label, **style.line() | joint | look)


def aside(axes: Axes, x: Axis, xs: list[float], width: float, number: int) -> list[list[float]]:
    """Where so many points of one x stand beside each other, each its places at all xs.

    The axis has its scale. They are inches apart, not ratios, and hold half the room at most that
    is theirs, so that none can be taken for one of another x.
    """
    left, right = np.log10(axes.get_xlim()) if x.log else axes.get_xlim()
    places = np.log10(xs) if x.log else np.asarray(xs, float)
    inch = (right - left) / width
    room = min([width, *(np.diff(places) / inch)])
    steps = (np.arange(number) - (number - 1) / 2) * min(PITCH, room / 2 / max(number - 1, 1))
    beside = places + inch * steps[:, None]
    return [[float(value) for value in row] for row in (10**beside if x.log else beside)]


def scale_x(axes: Axes, x: Axis, xs: Sequence[float], width: float) -> None:
    """A tick at every x that was run; a label that would touch the next is left off."""
    places = np.log10(xs) if x.log else np.asarray(xs, float)
    reach = max(float(places[-1] - places[0]), 0.3 if x.log else 1.0)
    margin = 0.06 * reach if len(xs) > 1 else 0.5 * reach
    ends = np.array([places[0] - margin, places[-1] + margin])
    axes.set_xscale("log" if x.log else "linear")
    axes.set_xlim(*(10**ends if x.log else ends))
    labels = [f"{value:g}" for value in xs]
    at = (places - ends[0]) * width / float(ends[1] - ends[0])
    half = np.array([0.037 * len(label) + 0.015 for label in labels])
    kept = [len(xs) - 1]
    for i in (0, *range(len(xs) - 2, 0, -1)):
        if all(abs(at[i] - at[k]) > half[i] + half[k] for k in kept):
            kept.append(i)
    labels = [label if i in kept else "" for i, label in enumerate(labels)]
    axes.xaxis.set_major_locator(FixedLocator(list(xs)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(xs), labels)
    axes.set_xlabel(x.label)


def scale_y(panels: Sequence[tuple[Axes, pd.DataFrame]], label: str) -> None:
    """The y axes of a row, each with room for the points given with it."""
    name_y([axes for axes, _ in panels], label)
    for axes, cells in panels:
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.locator_params(axis="y", steps=[1, 2, 5, 10])  # quarters need another decimal
        axes.set_ylim(limits(cells))


def limits(cells: pd.DataFrame) -> tuple[float, float]:
    """A y axis that shows everything, and does not blow up a span under 0.2 points."""
    high = float(cells[["mean", "high"]].max().max())
    low = min(float(cells[["mean", "low"]].min().min()), high - 0.2)
    pad = 0.06 * (high - low)
    return low - pad, min(high + pad, 100 + pad / 2)


def span(counts: pd.Series) -> str:
    """'3', or '2-3' where the counts differ."""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}-{high}"


def joined(cells: pd.DataFrame) -> bool:
    """Whether any panel has points of several xs, which a line joins."""
    return bool(cells.groupby("panel")["x"].nunique().max() > 1)


def bands(cells: pd.DataFrame, mark: str = "Markers", apart: bool = False) -> list[str]:
    """What a caption says of the means and their bands.

    They are bars where a panel has one x, and of points that stay `apart`.
    """
    band = "Band" if joined(cells) and not apart else "Bar"
    if not (cells["n"] > 1).any():
        return [f"One replicate a point: no {band.lower()}s."]
    said = [
        f"{mark}: means of n replicates. {band}s: {LEVEL:.0%} intervals of the mean, "
        f"percentile bootstrap, {RESAMPLES:,} resamples, widened by Student's t.".replace("%", " %")
    ]
    if (cells["n"] == 1).any():
        said.append(f"No {band.lower()} where n = 1.")
    return said


def missing(records: pd.DataFrame) -> list[str]:
    """What a caption says of points that were not run, left out, or at chance.

    A cell that no line has may be none of the grid's: a grid may list its cells.
    """
    said = []
    keys = records[["panel", "x", "line"]]
    whole = len(keys[["panel", "x"]].drop_duplicates()) * keys["line"].nunique()
    there = len(keys.drop_duplicates())
    if there < whole:
        said.append(f"{whole - there} of {whole} points not run.")
    return said + failed(records)


def failed(records: pd.DataFrame) -> list[str]:
    """What a caption says of records that diverged or stayed at chance, each counted once."""
    status = records.drop_duplicates(CHOICE)["status"].value_counts()
    said = []
    if diverged := status.get("diverged", 0):
        said.append(f"{diverged} diverged left out.")
    if chance := status.get("chance", 0):
        said.append(f"{chance} no better than chance, kept.")
    return said
