"""Figures 3 to 6: a score against the imbalance, a line a method; one engine, one row a figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.page import Blank, Drawing, Page, protocol
from analysis.stats import LEVEL, RESAMPLES, bootstrap_means
from analysis.style import families, style_of, theme
from study.methods import METHODS

TRAINED = tuple(id for id, method in METHODS.items() if method.decision == "argmax")
"""The methods whose AUC differs: another decision on the same outputs leaves it as it is."""

PAPER_MUS = [0.2, 0.5, 0.8]


def spread(values: Sequence[float]) -> list[float]:
    """The smallest, the middle and the largest value; all of them where there are fewer."""
    if len(values) <= 3:
        return list(values)
    return [values[0], values[(len(values) - 1) // 2], values[-1]]


def paper_mus(values: Sequence[float]) -> list[float]:
    """The paper's three where all were run, else three spread over the values."""
    return PAPER_MUS if set(PAPER_MUS) <= set(values) else spread(values)


@dataclass(frozen=True)
class Axis:
    """A column of the records as the x axis, or as what tells panels apart."""

    column: str
    label: str
    symbol: str
    log: bool = False


RHO = Axis("rho", r"Imbalance ratio $\rho$", r"$\rho$", log=True)
MU = Axis("mu", r"Fraction of minority classes $\mu$", r"$\mu$")
N_MINORITY = Axis("n_minority", "Number of minority classes", "minority classes")
MEASURES = {"auc": "Multi-class ROC AUC (%)", "accuracy": "Accuracy (%)"}


@dataclass(frozen=True)
class Curves:
    """One figure: a measure against x; `choose` picks, of the values of `panel`, those drawn.

    `shared`: the panels have one y axis. Where they stand for ratios, what is small in the first
    would be lost below what is large in the last.
    """

    kind: str
    measure: str
    x: Axis
    panel: Axis | None = None
    choose: Callable[[Sequence[float]], list[float]] = spread
    methods: tuple[str, ...] = TRAINED
    shared: bool = True


FIGURES: dict[str, Curves] = {
    "fig3": Curves("step", "auc", RHO, MU, paper_mus),
    "fig4": Curves("step", "auc", N_MINORITY, RHO, shared=False),
    "fig5": Curves("linear", "auc", RHO),
    "fig6": Curves("step", "accuracy", RHO, MU, paper_mus, tuple(METHODS)),
}


def draw(spec: Curves, data: pd.DataFrame) -> Drawing:
    """The figure: means over replicates with bootstrap bands, of `data`, one study's records."""
    records = chosen(spec, data)
    if records.empty:
        return Blank(f"no {spec.kind} imbalance in this study")
    cells = points(spec, records)
    if cells.empty:
        return Blank(f"all {len(records)} records of {spec.kind} imbalance diverged")
    ids = [id for id in METHODS if id in set(cells["method"])]
    values = sorted(records["panel"].unique())
    legend, columns = keys(ids)
    with theme():
        page = Page(
            title=f"{protocol(records, spec.kind)}, n = {span(cells['n'])}",
            caption=caption(spec, records, cells),
            panels=[f"{spec.panel.symbol} = {v:g}" if spec.panel else "" for v in values],
            legend=legend,
            columns=columns,
            shared=spec.shared,
        )
        figure, panels = page.lay()
        xs = sorted(records["x"].unique())
        for value, axes in zip(values, panels, strict=True):
            for i, id in enumerate(ids):
                own = cells[(cells["panel"] == value) & (cells["method"] == id)]
                line(axes, id, xs, own, aside(spec.x, xs, i - (len(ids) - 1) / 2))
            scale_x(axes, spec.x, xs, page.panel_width)
        panels[0].set_ylabel(MEASURES[spec.measure])
        for value, axes in zip(values, panels, strict=True):
            axes.ticklabel_format(axis="y", useOffset=False)
            axes.set_ylim(limits(cells if spec.shared else cells[cells["panel"] == value]))
    return figure


def chosen(spec: Curves, data: pd.DataFrame) -> pd.DataFrame:
    """The records a figure is of, with columns `panel`, `x` and `score` (in per cent)."""
    rows = data[(data["imbalance"] == spec.kind) & data["method"].isin(drawn(spec, data))]
    rows = rows.assign(
        panel=rows[spec.panel.column].astype(float) if spec.panel else 0.0,
        x=rows[spec.x.column].astype(float),
        score=100 * rows[spec.measure],
    )
    return rows[rows["panel"].isin(spec.choose(sorted(rows["panel"].unique())))]


def drawn(spec: Curves, data: pd.DataFrame) -> list[str]:
    """The methods of the figure; of a network judged by none of them, the first that judges it."""
    present = [id for id in METHODS if id in set(data["method"])]
    networks = {network(id) for id in spec.methods if id in present}
    ids = [id for id in spec.methods if id in present]
    for id in present:
        if id not in ids and network(id) not in networks:
            networks.add(network(id))
            ids.append(id)
    return ids


def network(id: str) -> tuple[str, str, str | None]:
    """What tells the network of a method from that of another."""
    method = METHODS[id]
    return method.sampling, method.loss, method.second_phase


def points(spec: Curves, records: pd.DataFrame) -> pd.DataFrame:
    """A row a panel, x and method: the mean over replicates, its band and n; diverged left out."""
    scored = records.dropna(subset="score")
    groups = [
        (*key, group["score"].to_numpy(float))
        for key, group in scored.groupby(["panel", "x", "method"])
    ]
    cells = pd.DataFrame(groups, columns=["panel", "x", "method", "scores"])
    bands = bootstrap_means(list(cells["scores"]))
    return cells.assign(
        mean=[scores.mean() for scores in cells["scores"]],
        n=[len(scores) for scores in cells["scores"]],
        low=bands[:, 0],
        high=bands[:, 1],
    ).drop(columns="scores")


def aside(x: Axis, xs: list[float], steps: float) -> list[float]:
    """Where a method's points stand: at the xs, but with one x alone beside each other."""
    if len(xs) > 1:
        return xs
    return [xs[0] * 10 ** (0.03 * steps) if x.log else xs[0] + 0.1 * steps]


def line(axes: Axes, id: str, xs: list[float], cells: pd.DataFrame, at: list[float]) -> None:
    """A method's line and band, drawn at `at`; the line is broken where an x has no point."""
    rows = cells.set_index("x").reindex(xs)
    style = style_of(id)
    low, high = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
    if len(xs) == 1:
        axes.vlines(at, low, high, color=style.colour, alpha=0.5, linewidth=1)
    else:
        axes.fill_between(at, low, high, color=style.colour, alpha=0.13, linewidth=0)
    axes.plot(at, rows["mean"].to_numpy(float), label=METHODS[id].label, **style.line())


def keys(ids: list[str]) -> tuple[list[Artist], int]:
    """The legend's entries and its columns: one a family, filled up to the same length."""
    columns = families(ids)
    rows = max(len(column) for column in columns)
    entries: list[Artist] = []
    for column in columns:
        entries += [Line2D([], [], label=METHODS[id].label, **style_of(id).line()) for id in column]
        entries += [Line2D([], [], linestyle="none", label=" ")] * (rows - len(column))
    return entries, len(columns)


def scale_x(axes: Axes, x: Axis, xs: Sequence[float], width: float) -> None:
    """A tick at every x that was run; a label that would touch the next is left off."""
    places = np.log10(xs) if x.log else np.asarray(xs, float)
    reach = max(float(places[-1] - places[0]), 0.3 if x.log else 1.0)
    margin = 0.06 * reach if len(xs) > 1 else 0.5 * reach
    ends = np.array([places[0] - margin, places[-1] + margin])
    axes.set_xscale("log" if x.log else "linear")
    axes.set_xlim(*(10**ends if x.log else ends))
    labels = [f"{value:g}" for value in xs]
    inches = width / float(ends[1] - ends[0])
    free = np.inf
    for i in range(len(xs) - 1, -1, -1):
        half = 0.037 * len(labels[i])
        at = float(places[i]) * inches
        if at + half > free:
            labels[i] = ""
        else:
            free = at - half - 0.03
    axes.xaxis.set_major_locator(FixedLocator(list(xs)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(xs), labels)
    axes.set_xlabel(x.label)


def limits(cells: pd.DataFrame) -> tuple[float, float]:
    """A y axis that shows everything, and does not blow up a span under 0.2 points."""
    high = float(cells[["mean", "high"]].max().max())
    low = min(float(cells[["mean", "low"]].min().min()), high - 0.2)
    pad = 0.06 * (high - low)
    return low - pad, min(high + pad, 100 + pad / 2)


def span(counts: pd.Series) -> str:
    """'3', or '2-3' where the counts differ."""
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low}-{high}"


def caption(spec: Curves, records: pd.DataFrame, cells: pd.DataFrame) -> str:
    """What the bands are, and what is missing or left out."""
    said = []
    if not spec.shared and records["panel"].nunique() > 1:
        said.append("Each panel has a y axis of its own.")
    band = "Band" if records["x"].nunique() > 1 else "Bar"
    if (cells["n"] > 1).any():
        said.append(
            f"Markers: means of n replicates. {band}s: {LEVEL:.0%} intervals of the mean, "
            f"percentile bootstrap, {RESAMPLES:,} resamples.".replace("%", " %")
        )
        if cells["n"].isin([2, 3]).any():
            said.append(f"With n of 2 or 3 a {band.lower()} spans the replicates.")
        if (cells["n"] == 1).any():
            said.append(f"No {band.lower()} where n = 1.")
    else:
        said.append(f"One replicate a point: no {band.lower()}s.")
    run = set(records["method"])
    if absent := [METHODS[id].label for id in spec.methods if id not in run]:
        said.append(f"Not run: {'; '.join(absent)}.")
    whole = records["panel"].nunique() * records["x"].nunique() * len(run)
    there = len(records[["panel", "x", "method"]].drop_duplicates())
    if there < whole:
        said.append(f"{whole - there} of {whole} points not run.")
    if diverged := int(records["score"].isna().sum()):
        said.append(f"{diverged} diverged left out.")
    if chance := int((records["status"] == "chance").sum()):
        said.append(f"{chance} no better than chance, kept.")
    return " ".join(said)
