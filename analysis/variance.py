"""Parts of the variance of AUC: the choice of classes, the images drawn, the run of a network."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy import stats

from analysis.curves import FIGURES, MU, RHO, drawn
from analysis.lines import evenly, span
from analysis.methods import methods_of
from analysis.page import Blank, Drawing, Page, of_test_set, protocol
from analysis.pairs import CELL
from analysis.paper import inches, paper
from analysis.selection import crossed
from analysis.stats import LEVEL, Floats, parts
from analysis.style import Style, ramp, theme
from study.errors import shorten

FEWEST = 5
"""Replicates. Even of so many the choice may add thrice the standard deviation that it seems to."""

MOST = 2
"""Cells."""

PLACE = [*CELL, "split"]
CHOICES = {"step": "Minority classes", "linear": "Order of the classes"}
UNCHOSEN = "Replicates"
"""What the replicates of a cell differ in, beside what is drawn within each; and if in nothing."""

NAMES = {
    (True, True): ("{}", "Images drawn", "Initial weights and order"),
    (True, False): ("{}", "Images drawn, initial weights and order"),
    (False, True): ("{} and images drawn", "Initial weights and order"),
}
"""The parts that can be told apart: by whether there are several subsets, and several runs."""

PITCH, HEAD, BAR, STEP = 0.42, 0.26, 0.26, 0.13
"""Inches from method to method, of a cell's name above its methods, of a bar, and from one
standard deviation to the next.
"""

MARK, CLEAR, STRAIGHT = 3.2, 0.1, 0.4
"""Points of a marker, under which a whisker must be seen; inches left of 0; the length of the
linear part, from 0, in factors of ten of the other.
"""


@dataclass(frozen=True)
class Draws:
    """How many subsets a replicate has, and runs each of them; how the parts look, by name."""

    subsets: int
    runs: int
    looks: dict[str, Style]

    def __str__(self) -> str:
        numbers = ((self.subsets, "subsets"), (self.runs, "runs"))
        return " x ".join(f"{number} {name}" for number, name in numbers if number > 1)


def draw(data: pd.DataFrame, note: str = "") -> Drawing:
    """The parts' shares and their sizes, in one study's records before the selection, which would
    leave one run of each case.
    """
    methods = methods_of(data)
    records = data[data["method"].isin(drawn(FIGURES["fig3"], methods)) & (data["to"] == 1)]
    if records.empty:
        return Blank("no record is sampled to full balance" if len(data) else "no records")
    if (rates := records["base_rate"].nunique()) > 1:
        return Blank(f"trained at {rates} base rates; the variance has parts at one")
    draws = draws_of(records)
    if not draws.looks:
        return Blank("one subset and one run of each replicate: the variance has no parts")
    if records.duplicated([*PLACE, "method", "replicate", "subset", "run"]).any():
        return Blank("several cells have the same rho and mu, and no column tells them apart")
    cells = [cell for _, cell in records.groupby(PLACE, dropna=False)]
    shown = evenly(cells, MOST)
    labels = {id: shorten(methods[id].label, 30) for id in methods if id in set(records["method"])}
    bars = [listed(cell, id, draws) for cell in shown for id in labels]
    table = pd.concat(bars, ignore_index=True)
    if (most := table["n"].max()) < FEWEST:
        return Blank(f"parts need {FEWEST} whole replicates, each of {draws}; here {most} at most")
    records, heads = pd.concat(shown), [place(cell) for cell in shown]
    several = len(shown) > 1
    with theme():
        page = Page(
            title=", ".join([protocol(records), *heads[several:1], f"n = {span(table['n'])}"]),
            caption=" ".join([*caption(records, table, draws, len(cells)), note]).strip(),
            panels=["Shares of the variance", "Size of the parts"],
            data=table,
            legend=[
                Line2D([], [], label=name, **look.line()) for name, look in draws.looks.items()
            ],
            columns=len(draws.looks),
            height=len(shown) * (several * HEAD + len(labels) * PITCH),
            left=max(inches(label, paper().tick) for label in labels.values()) + 0.15,
        )
        figure, (shares, sizes) = page.lay()
        ys = []
        for i, head in enumerate(heads):
            top = i * page.panel_height / len(heads) + several * HEAD
            ys += [top + PITCH * (k + 0.5) for k in range(len(labels))]
            if several:
                shares.text(1, top - 0.06, head, size=paper().tick)
        for y, bar in zip(ys, bars, strict=True):
            stack(shares, y, bar, draws, page.panel_width)
            whiskers(sizes, y, bar, draws)
        name_axes(shares, sizes, table, page, ys, list(labels.values()) * len(heads))
    return figure


def draws_of(records: pd.DataFrame) -> Draws:
    """What was crossed, and the parts that this tells apart: none where nothing was."""
    subsets = records["subset"].nunique() if crossed(records) else 1
    runs = records["run"].nunique()
    places = [records["rho"], records["mu"]]
    sizes = records["class_counts"].map(tuple).groupby(places, dropna=False).nunique()
    kind = records["imbalance"].iloc[0]
    choice = CHOICES.get(kind, "Class sizes") if sizes.max() > 1 else UNCHOSEN
    names = [name.format(choice) for name in NAMES.get((subsets > 1, runs > 1), ())]
    return Draws(subsets, runs, dict(zip(names, ramp(len(names)), strict=True)))


def place(cell: pd.DataFrame) -> str:
    """What a cell is called."""
    first = cell.iloc[0]
    named = {RHO.symbol: first["rho"], MU.symbol: first["mu"], "split": first["split"]}
    return ", ".join(f"{name} = {value:g}" for name, value in named.items() if pd.notna(value))


def listed(cell: pd.DataFrame, id: str, draws: Draws) -> pd.DataFrame:
    """A row a part of one method's variance in one cell: the variance in squared points, its share,
    and its square root with bounds; no numbers where fewer than FEWEST replicates are whole.
    """
    own = cell[cell["method"] == id]
    scores = whole(own, draws)
    found = np.full((len(draws.looks), 3), np.nan)
    if len(scores) >= FEWEST:
        found = np.column_stack([known(astuple(parts(scores))), bounds(scores)])
    total = found[:, 0].sum()
    rows = pd.DataFrame({"method": id, "part": list(draws.looks), "n": len(scores)})
    return rows.assign(
        **{column: cell[column].iloc[0] for column in PLACE},
        left_out=own["replicate"].nunique() - len(scores),
        variance=found[:, 0],
        share=found[:, 0] / total if total else 0.0,
        sd=np.sqrt(found[:, 0]),
        low=np.sqrt(found[:, 1]),
        high=np.sqrt(found[:, 2]),
    )


def whole(rows: pd.DataFrame, draws: Draws) -> Floats:
    """AUC in points (replicates, subsets, runs), of the replicates that have all of them."""
    subset = rows["subset"] if draws.subsets > 1 else 0
    table = rows.assign(subset=subset).pivot(
        index="replicate", columns=["subset", "run"], values="auc"
    )
    shape = draws.subsets, draws.runs
    full = table.dropna() if table.shape[1] == np.prod(shape) else table.head(0)
    return 100 * full.sort_index(axis=1).to_numpy(float).reshape(len(full), *shape)


def known(values: Sequence[float]) -> Floats:
    """Those of the parts that were drawn more than once."""
    return np.array([value for value in values if not np.isnan(value)])


def bounds(scores: Floats) -> Floats:
    """A row (low, high) a part of the variance, by Williams (1962) and Tukey; in a simulation their
    95 % hold 95 % of normal draws, where five replicates drawn anew hold 65 %.
    """
    replicates, subsets, runs = scores.shape
    by_subset, by_replicate = scores.mean(axis=2), scores.mean(axis=(1, 2))
    levels = [
        (repeats * (deviations**2).sum() / freedom, freedom, repeats)
        for deviations, freedom, repeats in (
            (by_replicate - scores.mean(), replicates - 1, subsets * runs),
            (by_subset - by_replicate[:, None], replicates * (subsets - 1), runs),
            (scores - by_subset[:, :, None], replicates * subsets * (runs - 1), 1),
        )
        if freedom
    ]
    tails = np.array([1 + LEVEL, 1 - LEVEL]) / 2
    found = []
    for i, (square, freedom, repeats) in enumerate(levels):
        noise = 0.0
        for within, freedom_within, _ in levels[i + 1 : i + 2]:
            noise = within * stats.f.ppf(tails, freedom, freedom_within)
        found.append(freedom * (square - noise) / stats.chi2.ppf(tails, freedom) / repeats)
    return np.maximum(found, 0)


def stack(axes: Axes, y: float, bar: pd.DataFrame, draws: Draws, width: float) -> None:
    """The shares of one method's parts, with their numbers where there is room."""
    size, begin = paper().tick, 0.0
    if (n := bar["n"].iloc[0]) < FEWEST:
        axes.text(1, y, f"n = {n}", size=size, color="0.35", va="center_baseline")
        return
    for (part, look), share in zip(draws.looks.items(), bar["share"], strict=True):
        axes.barh(y, 100 * share, BAR, begin, color=look.colour, edgecolor="white", linewidth=0.6)
        text = f"{share:.0%}".replace("%", " %")
        if inches(text, size) + 0.06 < share * width:
            ink = "black" if part == list(draws.looks)[-1] else "white"
            middle = begin + 50 * share
            axes.text(middle, y, text, size=size, color=ink, ha="center", va="center_baseline")
        begin += 100 * share


def whiskers(axes: Axes, y: float, bar: pd.DataFrame, draws: Draws) -> None:
    """The standard deviations of one method's parts, with their bounds and numbers."""
    if bar["n"].iloc[0] < FEWEST:
        return
    first = y - STEP * (len(bar) - 1) / 2
    for i, (look, (_, row)) in enumerate(zip(draws.looks.values(), bar.iterrows(), strict=True)):
        at = first + STEP * i
        axes.hlines(at, row["low"], row["high"], color=look.colour, linewidth=1.1)
        axes.plot([row["sd"]], [at], **look.line() | {"markersize": MARK})
        axes.annotate(
            digits(row["sd"]), (row["high"], at), (5, 0), textcoords="offset points",
            size=paper().caption, va="center_baseline",
        )  # fmt: skip


def digits(sd: float) -> str:
    """Two digits that count; of nothing none."""
    return f"{sd:#.2g}".rstrip(".") if sd else "0"


def name_axes(
    shares: Axes, sizes: Axes, table: pd.DataFrame, page: Page, ys: list[float], names: list[str]
) -> None:
    """Name the methods, and give the numbers beside the whiskers their room."""
    shares.set(xlim=(0, 100), xlabel="Share (%)", xticks=range(0, 101, 20))
    shares.set_yticks(ys, names)
    shares.get_xticklabels()[-1].set(ha="right")  # clear of the other axis' 0
    scale(sizes, table, page.panel_width)
    sizes.set_xlabel("Standard deviation (points of AUC)")
    for axes in (shares, sizes):
        axes.set_ylim(page.panel_height, 0)
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
    sizes.grid(axis="x")


def straight(table: pd.DataFrame) -> float:
    """Up to where the axis of standard deviations is linear: the power of ten that the smallest of
    them, beside those of nothing, begins with, and no less than a thousandth of all.
    """
    high = float(table["high"].max()) or 1.0
    least = table["sd"][table["sd"] > 0].min()
    return float(10 ** np.floor(np.log10(max(high if np.isnan(least) else least, high / 1000))))


def scale(axes: Axes, table: pd.DataFrame, width: float) -> None:
    """An axis on which a part of 0.03 points and one of 1 can be read, and 0 stands too, clear of
    the names on the left; with room on the right for the numbers beside the whiskers.
    """
    bend, high = straight(table), float(table["high"].max()) or 1.0
    axes.set_xscale("symlog", linthresh=bend, linscale=STRAIGHT)
    to = axes.xaxis.get_transform()
    left, right = CLEAR, width - inches("0.0000", paper().caption) - 0.05
    inch = float(to.transform([high])[0]) / (right - left)
    axes.set_xlim(*map(float, to.inverted().transform([-left * inch, (width - left) * inch])))
    tens = 10.0 ** np.arange(round(np.log10(bend)), np.log10(axes.get_xlim()[1]))
    axes.set_xticks([0, *tens], [f"{tick:g}" for tick in (0, *tens)])
    fine = np.outer(tens, range(2, 10)).ravel()
    axes.set_xticks(fine[fine < axes.get_xlim()[1]], minor=True)
    axes.tick_params(which="minor", length=1.8)


def caption(records: pd.DataFrame, table: pd.DataFrame, draws: Draws, cells: int) -> list[str]:
    """What the parts are and how they were found, and what is left out."""
    said = [
        f"Nested analysis of variance of the AUC of n replicates, {draws} of each. (a) Variances "
        f"add up to the whole, which standard deviations do not. (b) What each part alone would "
        f"spread by; bar: {LEVEL:.0%} interval by Williams and Tukey, which takes draws for "
        f"normal. Its axis is linear up to {straight(table):g} and logarithmic from there. An "
        f"estimate below 0 counts as 0.".replace("%", " %")
    ]
    shown = records.groupby(PLACE, dropna=False).ngroups
    if shown < cells:
        said.append(f"Drawn: {shown} of {cells} cells.")
    if UNCHOSEN in "".join(draws.looks):
        said.append("Replicates have the same class sizes, and differ in their images alone.")
    if lost := table["left_out"].max():
        said.append(f"Left out: replicates that lack a network, up to {lost} of a method.")
    return said + of_test_set(records)
