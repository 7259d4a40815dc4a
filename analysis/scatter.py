"""Accuracy against AUC: what another decision on the same outputs moves, and what it leaves."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.curves import MEASURES, keys, network
from analysis.lines import failed, span
from analysis.methods import families, methods_of
from analysis.page import Blank, Drawing, Page, name_y, of_test_set, pooled, protocol
from analysis.pairs import CELL, overall
from analysis.stats import LEVEL
from analysis.style import Style, styles_of, theme
from study.methods import METHODS, Method

SAMPLED = {"none": "Not sampled", "over": "Oversampling", "under": "Undersampling"}
"""The panels; a study with another sampling has one for all."""

STEPS = (np.arange(2, 20) / 2, np.arange(1, 10), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
"""Where ticks may stand in every factor of ten, from many to few."""

LABEL = 0.36
"""Inches from one tick's label to the next at the least."""

MANY = 5000
"""More dots than these are a raster, in vector files too."""


def draw(data: pd.DataFrame, note: str = "") -> Drawing:
    """A point a cell and method, a panel for each way of sampling; a line joins the points of the
    same networks, whose AUC is the same.
    """
    records = data[data["to"] == 1]
    scored = percent(records)
    if scored.empty:
        return Blank(reason(data, records))
    cells = means(scored)
    if len(cells) == 1:
        return Blank("one cell and one method: a single point")
    methods = methods_of(records)
    shown = [method for id, method in methods.items() if id in set(cells["method"])]
    looks = styles_of(methods)
    known = {method.sampling for method in shown} <= set(SAMPLED)
    groups = families(shown) if known else [shown]
    legend, columns = keys(shown, looks)
    for entry in legend:
        entry.set(linestyle="none")
    with theme():
        page = Page(
            title=f"{protocol(scored)}, n = {span(cells['n'])}",
            caption=" ".join([*caption(records, cells, shown), note]).strip(),
            panels=[SAMPLED[group[0].sampling] if known else "" for group in groups],
            data=cells.drop(columns="cell"),
            legend=legend,
            columns=columns,
            shared_x=True,
        )
        figure, panels = page.lay()
        floor = least(cells)
        single = scored if (cells["n"] > 1).any() else scored.head(0)
        for group, axes in zip(groups, panels, strict=True):
            for method in group:
                own = single[single["method"] == method.id]
                dots(axes, own, floor, looks[method.id], len(single) > MANY)
            joined(axes, cells, floor, group)
            for method in group:
                own = cells[cells["method"] == method.id]
                style = {**looks[method.id].line(), "linestyle": "none", "markersize": 3.8}
                axes.plot(error(own, floor), own["accuracy"], label=method.label, **style)
            scale(axes, [*error(scored, floor)], page.panel_width)
        name_y(panels, MEASURES["accuracy"])
        panels[0].set_ylim(*room(scored["accuracy"]))
    return figure


def percent(records: pd.DataFrame) -> pd.DataFrame:
    """The records that have scores, these in per cent, and the number of their cell."""
    scored = records.dropna(subset=[*MEASURES])
    cell = scored.groupby(CELL, dropna=False).ngroup()
    return scored.assign(cell=cell, **{score: 100 * scored[score] for score in MEASURES})


def means(scored: pd.DataFrame) -> pd.DataFrame:
    """A row a cell and method: its place, its mean scores and n."""
    groups = scored.groupby(["cell", "method"])
    table = groups[[*CELL]].first().join(groups[[*MEASURES]].mean())
    return table.assign(n=groups.size()).reset_index()


def error(rows: pd.DataFrame, floor: float) -> pd.Series:
    """What the AUC lacks of 100 %, and not less than what is still drawn."""
    return (100 - rows["auc"]).clip(lower=floor)


def least(cells: pd.DataFrame) -> float:
    """What is drawn for an AUC of 100 %, which a logarithm has no place for."""
    lacking = 100 - cells["auc"]
    above = lacking[lacking > 1e-9]
    return float(above.min()) / 2 if len(above) else 0.01


def dots(axes: Axes, rows: pd.DataFrame, floor: float, style: Style, raster: bool) -> None:
    """Single replicates."""
    look: dict[str, Any] = {"alpha": 0.45, "markersize": 2.6, "markeredgewidth": 0}
    xs, ys = error(rows, floor), rows["accuracy"]
    axes.plot(xs, ys, ".", color=style.colour, rasterized=raster, **look)


def joined(axes: Axes, cells: pd.DataFrame, floor: float, group: Sequence[Method]) -> None:
    """Lines from point to point of the same networks."""
    for pair in decisions(group):
        ends = [cells[cells["method"] == method.id].set_index("cell") for method in pair]
        both = ends[0].index.intersection(ends[1].index)
        points = [[error(end.loc[both], floor), end.loc[both, "accuracy"]] for end in ends]
        segments = list(np.asarray(points, np.float64).transpose(2, 0, 1))
        axes.add_collection(LineCollection(segments, colors="0.6", linewidths=0.8))


def decisions(methods: Sequence[Method]) -> list[tuple[Method, Method]]:
    """Pairs of methods that judge the same networks."""
    return [(a, b) for a, b in combinations(methods, 2) if network(a) == network(b)]


def scale(axes: Axes, errors: list[float], width: float) -> None:
    """The x axis: an AUC, on the logarithm of what it lacks of 100 %."""
    low, high = min(errors), max(errors)
    low, high = min(low, high / 2) / 1.15, max(high, 2 * low) * 1.15
    axes.set_xscale("log")
    axes.set_xlim(high, low)
    tens = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)))
    for steps in STEPS:
        places = np.outer(tens, steps).ravel()
        ticks = places[(low <= places) & (places <= high)]
        if (np.diff(np.log10(ticks)) * width > LABEL * np.log10(high / low)).all():
            break
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(ticks), [f"{100 - tick:.10g}" for tick in ticks])
    axes.set_xlabel(MEASURES["auc"])


def room(values: pd.Series) -> tuple[float, float]:
    """A y axis for these values."""
    low, high = float(values.min()), float(values.max())
    pad = 0.05 * max(high - low, 0.2)
    return low - pad, min(high + pad, 100 + pad)


def reason(data: pd.DataFrame, records: pd.DataFrame) -> str:
    """Why there is nothing to draw."""
    if len(records):
        return f"all {len(records)} records diverged"
    return "no record is sampled to full balance" if len(data) else "no records in this study"


def caption(records: pd.DataFrame, cells: pd.DataFrame, shown: Sequence[Method]) -> list[str]:
    """What the points and lines are, what thresholding moves, and what is left out."""
    several = bool((cells["n"] > 1).any())
    said = ["Markers: means over the n replicates of a cell." if several else "A marker a cell."]
    said += ["Small dots: replicates."] if several else []
    said.append("The AUC axis is logarithmic in the distance to 100\N{NO-BREAK SPACE}%.")
    if moved := [f"{b.label} {change(records, a, b)}" for a, b in decisions(shown)]:
        said.append(
            f"A grey line joins two decisions on the same networks: AUC stays, accuracy moves. By "
            f"how much, mean over cells in points with its {LEVEL:.0%} interval: "
            f"{'; '.join(moved)}.".replace("%", " %")
        )
    said += pooled(records)
    run = set(records["method"])
    if absent := [method.label for id, method in METHODS.items() if id not in run]:
        said.append(f"Not run: {'; '.join(absent)}.")
    return said + failed(records) + of_test_set(records)


def change(records: pd.DataFrame, a: Method, b: Method) -> str:
    """By how much b's accuracy is above a's."""
    found = overall(records, b.id, a.id, "accuracy")
    bounds = "" if np.isnan(found.low) else f" [{found.low:+.1f}, {found.high:+.1f}]"
    return f"{found.mean:+.1f}{bounds}".replace("-", "\N{MINUS SIGN}")
