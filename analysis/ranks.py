"""Critical-difference diagrams: the mean ranks of methods over cells, bars joining those alike."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.curves import FIGURES, drawn
from analysis.lines import failed
from analysis.methods import methods_of
from analysis.page import Blank, Drawing, Page, of_test_set, pooled, protocol
from analysis.pairs import CELL
from analysis.paper import Paper, inches, paper
from analysis.stats import LEVEL, Ranking, ranking
from analysis.style import Style, styles_of, theme
from study.errors import shorten

SPECS = {"auc": FIGURES["fig3"], "accuracy": FIGURES["fig6"]}
"""The figures that show the same methods: of AUC, those whose AUC differs."""

NAMES = {"auc": "AUC", "accuracy": "accuracy"}

LEAST = 3
"""Methods. Two are compared by the signed-rank test."""

FEWEST = 5
"""Cells. With fewer, two methods differ only if nearly always at opposite ends of the ranking."""

AXIS, LEVELS, ROW, SPACE = 0.5, 0.1, 0.2, 0.12
"""Inches from the top to the axis, from one bar to the next, from name to name, and between."""

Place = tuple[str, Style, float]
"""A method in the diagram: its name, its look and its mean rank."""


def pages(data: pd.DataFrame, note: str = "") -> dict[str, Callable[[], Drawing]]:
    """A diagram of each measure, by its file's name."""
    return {f"ranks_{measure}": partial(draw, data, measure, note) for measure in SPECS}


def draw(data: pd.DataFrame, measure: str = "auc", note: str = "") -> Drawing:
    """The diagram of Demsar (2006), of `data`, one study's records after the selection."""
    methods = methods_of(data)
    records = data[data["method"].isin(drawn(SPECS[measure], methods)) & (data["to"] == 1)]
    ids = [id for id in methods if id in set(records["method"])]
    if len(ids) < LEAST:
        return Blank(f"ranks need {LEAST} methods whose {NAMES[measure]} differs, here {len(ids)}")
    scores = of_cells(records, ids, measure)
    there = len(records[CELL].drop_duplicates())
    if len(scores) < FEWEST:
        return Blank(
            f"ranks need {FEWEST} cells with all {len(ids)} methods, not diverged; "
            f"here {len(scores)} of {there}"
        )
    found = ranking(scores[ids].to_numpy(float))
    looks = styles_of(methods)
    places = [
        (shorten(methods[ids[i]].label, 30), looks[ids[i]], float(found.ranks[i]))
        for i in np.argsort(found.ranks, kind="stable")
    ]
    joined = groups([rank for *_, rank in places], found)
    with theme():
        page = Page(
            title=f"{protocol(records)}: ranks by {NAMES[measure]}",
            caption=" ".join([*caption(records, found, measure, len(scores), there), note]).strip(),
            panels=[""],
            data=listed(ids, scores, found),
            height=first_row(joined) + ROW * (len(places) - 0.5),
            axes=False,
        )
        figure, (axes,) = page.lay()
        diagram(axes, places, found.critical, joined, page.panel_width)
    return figure


def of_cells(records: pd.DataFrame, ids: Sequence[str], measure: str) -> pd.DataFrame:
    """A row a cell: of each method the mean score in per cent, over the cases that all have.

    A method has no score on a case where it diverged.
    """
    cases = records.pivot(index="case_id", columns="method", values=measure)[list(ids)].dropna()
    cells = records.drop_duplicates("case_id").set_index("case_id")[CELL]
    joined = (100 * cases).join(cells)
    return joined.groupby(CELL, dropna=False)[list(ids)].mean().reset_index()


def groups(ranks: Sequence[float], found: Ranking) -> list[tuple[int, int]]:
    """The first and the last of each run of methods, in order of rank, that do not differ.

    Runs inside another are left out. Where Friedman's test finds no difference all are one.
    """
    last = len(ranks) - 1
    if not differ(found):
        return [(0, last)]
    ends = [
        max(j for j in range(i, last + 1) if ranks[j] - ranks[i] < found.critical)
        for i in range(last + 1)
    ]
    return [(i, end) for i, end in enumerate(ends) if end > i and (i == 0 or ends[i - 1] < end)]


def differ(found: Ranking) -> bool:
    """Whether Friedman's test finds any difference; only then are pairs looked at."""
    return found.friedman < 1 - LEVEL


def diagram(
    axes: Axes,
    places: Sequence[Place],
    critical: float,
    joined: Sequence[tuple[int, int]],
    width: float,
) -> None:
    """Ranks along the top, the bars below them, then a row a method, led to from its rank."""
    sheet, k = paper(), len(places)
    names = max(inches(label, sheet.legend) for label, *_ in places)
    numbers = names + SPACE + inches(f"{k}.00", sheet.legend)
    left, right = numbers + 2 * SPACE, width - SPACE

    def at(rank: float) -> float:
        return left + (rank - 1) / (k - 1) * (right - left)

    axes.text(numbers, AXIS, "Mean rank", size=sheet.legend, ha="right", va="center_baseline")
    ruler(axes, sheet, k, at)
    length(axes, sheet, critical, at)
    for (start, end), level in zip(joined, levels(joined), strict=True):
        ends = at(places[start][2]) - 0.03, at(places[end][2]) + 0.03
        axes.plot(ends, [AXIS + LEVELS * (level + 1)] * 2, color="0.2", linewidth=3.2,
                  solid_capstyle="butt", zorder=3)  # fmt: skip
    for i, (label, look, rank) in enumerate(places):
        x, y = at(rank), first_row(joined) + ROW * i
        axes.plot([numbers + 0.05, x, x], [y, y, AXIS], color=look.colour, linewidth=0.9)
        axes.plot([x], [y], zorder=4, **look.line())
        axes.text(names, y, label, size=sheet.legend, ha="right", va="center_baseline")
        axes.text(numbers, y, f"{rank:.2f}", size=sheet.legend, ha="right", va="center_baseline")


def ruler(axes: Axes, sheet: Paper, k: int, at: Callable[[float], float]) -> None:
    """The axis of ranks."""
    axes.plot([at(1), at(k)], [AXIS, AXIS], color="black", linewidth=0.9)
    for rank in range(1, k + 1):
        axes.plot([at(rank)] * 2, [AXIS, AXIS - 0.05], color="black", linewidth=0.9)
        axes.text(at(rank), AXIS - 0.07, f"{rank}", size=sheet.tick, ha="center", va="bottom")


def length(axes: Axes, sheet: Paper, critical: float, at: Callable[[float], float]) -> None:
    """The critical difference as a length above the axis."""
    y = AXIS - 0.32
    ends = at(1), at(1 + critical)
    axes.plot(ends, [y, y], color="black", linewidth=0.9)
    for end in ends:
        axes.plot([end, end], [y - 0.035, y + 0.035], color="black", linewidth=0.9)
    axes.text(at(1), y - 0.06, f"Critical difference {critical:.2f}", size=sheet.tick, va="bottom")


def first_row(joined: Sequence[tuple[int, int]]) -> float:
    """Inches from the top to the first method's row, below the bars."""
    return AXIS + LEVELS * (max(levels(joined), default=-1) + 1) + 0.75 * ROW


def levels(joined: Sequence[tuple[int, int]]) -> list[int]:
    """How deep each bar lies, so that bars which share a method do not touch."""
    taken: list[int] = []
    found = []
    for start, end in joined:
        level = next((i for i, last in enumerate(taken) if last < start), len(taken))
        taken[level : level + 1] = [end]
        found.append(level)
    return found


def listed(ids: Sequence[str], scores: pd.DataFrame, found: Ranking) -> pd.DataFrame:
    """A row a method: its mean rank and score, and Nemenyi's p against each of the others."""
    against = {f"p_{id}": found.nemenyi[:, i] for i, id in enumerate(ids)}
    rows = {
        "method": list(ids),
        "rank": found.ranks,
        "mean": scores[list(ids)].mean().to_numpy(float),
        "cells": len(scores),
        "friedman": found.friedman,
        "critical": found.critical,
    }
    return pd.DataFrame(rows | against).sort_values("rank", kind="stable", ignore_index=True)


def caption(
    records: pd.DataFrame, found: Ranking, measure: str, cells: int, there: int
) -> list[str]:
    """What a rank is, what the tests say, and what is left out."""
    p = "p < 0.001" if found.friedman < 0.001 else f"p = {found.friedman:.2g}"
    level = f"{1 - LEVEL:.0%}".replace("%", " %")
    said = [
        f"Mean ranks over {cells} cells; rank 1 is the highest {NAMES[measure]}. In each cell the "
        f"methods are ranked by their means over its replicates.",
        f"Friedman's test that all methods are equal: {p}.",
    ]
    if differ(found):
        said.append(
            f"A bar joins methods whose mean ranks differ by less than {found.critical:.2f}, the "
            f"critical difference of Nemenyi's test at {level}."
        )
    else:
        said.append(
            f"At {level} it does not reject that, and one bar joins them all; the critical "
            f"difference of Nemenyi's test would be {found.critical:.2f}."
        )
    if cells < there:
        said.append(f"{there - cells} of {there} cells lack a method and are left out.")
    return said + pooled(records) + failed(records) + of_test_set(records)
