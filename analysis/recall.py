"""Recall of a class against the images it was trained on: what the small gain and the large pay."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from analysis.curves import BESIDE as ONE_X
from analysis.curves import MU, keys, paper_mus
from analysis.lines import Axis, aside, bands, joined, line, missing, scale_x, scale_y, span
from analysis.methods import families, methods_of
from analysis.page import Blank, Drawing, Page, of_test_set, pooled, protocol
from analysis.pairs import CELL
from analysis.paper import inches, paper
from analysis.selection import CHOICE
from analysis.stats import bootstrap_means, mean_of_cells
from analysis.style import Style, imbalance_of, styles_of, theme
from study.methods import METHODS

SIZE = Axis("class_counts", "Training images of the class", "images", log=True)
LABEL = Axis("label", "Class, the one with the fewest training images first", "class")
RECALL = "Recall of the class (%)"

EXACT = 12
"""So many class sizes are shown as they are; where there are more they go into bins."""

BINS = (1, 2, 5)
"""Where bins begin, in every factor of ten."""

GRADED = ("step", "linear")
"""Imbalances whose sizes are asked for. Of others a class may have its own size, however drawn."""

POINT = ["panel", "classes", "x", "line"]
SMALL, LARGE = "minority", "majority"

MARGIN, BESIDE = 0.1, 0.075
"""Inches around the majority classes' points, and between those of two methods."""


def draw(data: pd.DataFrame, note: str = "") -> Drawing:
    """Mean recall by class size, a line a method. Of step imbalance it has a panel for each mu,
    where the majority classes, all of one size, stand beside the lines. Where each class always
    has the same size, what they differ by is not their size alone: no line joins them.
    """
    records = chosen(data)
    found = classes(records)
    if why := reason(data, records, found):
        return Blank(why)
    sizes = own_sizes(records)
    small, large = (found[(found["classes"] == LARGE) == flag] for flag in (False, True))
    cells = means(small, *(["label", "size"] if sizes else []))
    majority = means(large)
    several = large.groupby("panel")["rho"].nunique().max() > 1
    ratios = means(large, "rho") if several else majority.head(0)
    methods = methods_of(data)
    shown = [method for id, method in methods.items() if id in set(cells["line"])]
    looks = styles_of(methods)
    legend, columns = keys(shown, looks, joined(cells) and not sizes)
    values = sorted(cells["panel"].unique())
    everything = pd.concat([cells, majority, ratios], ignore_index=True)
    with theme():
        page = Page(
            title=f"{protocol(records)}, n = {span(cells['n'])}",
            caption=" ".join([*caption(records, small, cells, ratios, sizes), note]).strip(),
            panels=[
                f"{MU.symbol} = {value:g}" if value else " " if sizes else "" for value in values
            ],
            data=everything,
            legend=legend,
            columns=columns,
            shared_x=True,
        )
        figure, panels = page.lay()
        xs = sorted(small["x"].unique())
        strip = 2 * MARGIN + BESIDE * (len(shown) - 1) if len(large) else 0.0
        for value, axes in zip(values, panels, strict=True):
            width = page.panel_width - strip
            if sizes:
                name_classes(axes, sizes, width)
            else:
                scale(axes, xs, width)
            inside = cells[cells["panel"] == value]
            in_turn = {m.id: looks[m.id] for family in families(shown) for m in family}
            abreast = aside(axes, LABEL if sizes else SIZE, xs, width, len(in_turn))
            places = dict(zip(in_turn, abreast, strict=True))
            for method in shown:
                own = inside[inside["line"] == method.id]
                at = xs if joined(inside) and not sizes else places[method.id]
                line(axes, xs, own, at, looks[method.id], method.label, apart=bool(sizes))
            if len(large):
                of_panel, single = (t[t["panel"] == value] for t in (majority, ratios))
                beside(axes, of_panel, single, in_turn, page.panel_width, strip)
        scale_y([(axes, everything) for axes in panels], RECALL)
    return figure


def chosen(data: pd.DataFrame) -> pd.DataFrame:
    """The records drawn: of step imbalance the three mu, else those of one other kind."""
    rows = data[data["to"] == 1]
    kinds = set(rows["imbalance"])
    rows = rows[rows["imbalance"] == ("step" if "step" in kinds else min(kinds, default=""))]
    panel = rows["mu"].where(rows["imbalance"] == "step", 0.0).astype(float)
    rows = rows.assign(panel=panel, line=rows["method"])
    rows = rows[rows["panel"].isin(paper_mus(sorted(rows["panel"].unique())))]
    return rows.assign(cell=rows.groupby(CELL, dropna=False).ngroup()).reset_index(drop=True)


def own_sizes(records: pd.DataFrame) -> dict[int, int]:
    """The size of each class, the smallest first, where it is the same in all records, as in a set
    that is taken as it is; nothing where it is not, or where classes are many.
    """
    sizes = set(records["class_counts"].map(tuple))
    graded = records["imbalance"].isin(GRADED).any()
    if graded or len(sizes) != 1 or len(counts := sizes.pop()) > EXACT:
        return {}
    return dict(sorted(enumerate(counts), key=lambda pair: pair[1]))


def classes(records: pd.DataFrame) -> pd.DataFrame:
    """A row a class of each record: whether it is small or large, where it stands as `x`, and its
    recall as `score` in per cent; NaN where the network diverged or the test set lacks the class.
    """
    number = records["class_counts"].map(len)
    rows = records[["panel", "line", "cell", "rho", "imbalance", "status", *CHOICE]]
    rows = rows.loc[np.repeat(records.index, number)].reset_index(names="record")
    recall = [
        np.full(n, np.nan) if of_class is None else np.asarray(of_class, np.float64)
        for n, of_class in zip(number, records["recall_per_class"], strict=True)
    ]
    size = np.concatenate([np.zeros(0), *records["class_counts"]])
    largest = np.repeat(records["class_counts"].map(max).to_numpy(), number)
    step = (rows["imbalance"] == "step").to_numpy()
    label = np.concatenate([np.zeros(0, int), *number.map(np.arange)])
    if sizes := own_sizes(records):
        at = pd.Series(label).map({label: place for place, label in enumerate(sizes)}).to_numpy()
    else:
        at = size if step.any() else places(size)
    return rows.assign(
        label=label,
        classes=np.where(step, np.where(size < largest, SMALL, LARGE), "all"),
        size=size,
        x=at,
        score=100 * np.concatenate([np.zeros(0), *recall]),
    )


def places(sizes: np.ndarray) -> np.ndarray:
    """Where classes of these sizes stand: as they are, or each at the mean size of its bin."""
    if len(np.unique(sizes)) <= EXACT:
        return sizes
    tens = 10.0 ** np.arange(np.ceil(np.log10(sizes.max())) + 1)
    edges = np.outer(tens, BINS).ravel()
    bins = np.searchsorted(edges, sizes, side="right")
    means = np.exp(np.bincount(bins, np.log(sizes)) / np.maximum(np.bincount(bins), 1))
    return means[bins]


def means(found: pd.DataFrame, *more: str) -> pd.DataFrame:
    """A row a point: the mean over cells of each cell's mean over its networks, of a network's mean
    over its classes there. Networks are drawn anew whole, in each cell, for the interval.
    """
    names = [*POINT, *more]
    known = found.dropna(subset="score")
    networks = known.groupby([*names, "cell", "record"])["score"].mean().reset_index()
    groups = [
        (key, [of_cell.to_numpy(float) for _, of_cell in group.groupby("cell")["score"]])
        for key, group in networks.groupby(names)
    ]
    bounds = bootstrap_means([np.concatenate(cells) for _, cells in groups])
    for i, (_, cells) in enumerate(groups):
        if len(cells) > 1:
            several = max(map(len, cells)) > 1
            mean = mean_of_cells(cells)
            bounds[i] = (mean.low, mean.high) if several else np.nan
    rows = [
        (*key, np.mean([values.mean() for values in cells]), sum(map(len, cells)))
        for key, cells in groups
    ]
    table = pd.DataFrame(rows, columns=[*names, "mean", "n"])
    return table.assign(low=bounds[:, 0], high=bounds[:, 1])


def scale(axes: Axes, xs: list[float], width: float) -> None:
    """The x axis: a tick at every size, or at powers of ten where the sizes are those of bins."""
    scale_x(axes, SIZE, xs, width)
    if len(xs) > EXACT or not all(float(x).is_integer() for x in xs):
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))


def name_classes(axes: Axes, sizes: dict[int, int], width: float) -> None:
    """The x axis where each class has its own place: its label below, its size above."""
    at = range(len(sizes))
    scale_x(axes, LABEL, [float(place) for place in at], width)
    axes.set_xticks(list(at), [str(label) for label in sizes])
    slot = 0.85 * width / len(sizes)
    room = slot / max(inches(f"{size:,}", 1.0) for size in sizes.values())
    over: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "color": "0.35"}
    for place, size in zip(at, sizes.values(), strict=True):
        points = min(paper().tick, room)
        axes.text(place, 1.02, f"{size:,}", ha="center", fontsize=points, **over)


def beside(
    axes: Axes,
    majority: pd.DataFrame,
    ratios: pd.DataFrame,
    looks: dict[str, Style],
    width: float,
    strip: float,
) -> None:
    """The majority classes right of the lines, a column a method, small dots for single ratios."""
    left, right = np.log10(axes.get_xlim())
    inch = (right - left) / (width - strip)
    axes.set_xlim(10**left, 10 ** (right + strip * inch))
    axes.axvspan(10**right, 10 ** (right + strip * inch), color="0.955", linewidth=0, zorder=0)
    at = right + inch * (MARGIN + BESIDE * np.arange(len(looks)))
    for place, (id, style) in zip(10**at, looks.items(), strict=True):
        single = ratios[ratios["line"] == id]["mean"]
        axes.plot([place] * len(single), single, ".", color=style.colour, markersize=2, alpha=0.6)
        own = majority[majority["line"] == id]
        axes.vlines([place] * len(own), own["low"], own["high"], color=style.colour, linewidth=1)
        axes.plot([place] * len(own), own["mean"], **style.line())
    labels = axes.xaxis.get_major_formatter().format_ticks(list(axes.get_xticks()))
    ticks = [*axes.get_xticks(), 10 ** at.mean()]
    axes.set_xticks(ticks, [*labels, f"{majority['x'].iloc[0]:g}"])
    middle = 1 - strip / width / 2
    look: dict[str, Any] = {"ha": "center", "fontsize": 7, "color": "0.35"}
    axes.text(middle, 1.01, "majority", transform=axes.transAxes, **look)


def reason(data: pd.DataFrame, records: pd.DataFrame, found: pd.DataFrame) -> str:
    """Why there is nothing to draw, where there is not."""
    if data.empty or records.empty:
        return "no record is sampled to full balance" if len(data) else "no records in this study"
    kind = imbalance_of(records["imbalance"].iloc[0])
    if found["size"].nunique() == 1:
        return f"{kind}: every class holds {found['size'].iloc[0]:,.0f} images"
    if found.loc[found["classes"] != LARGE, "score"].isna().all():
        return f"all {len(records)} records of {kind} diverged"
    return ""


def caption(
    records: pd.DataFrame,
    small: pd.DataFrame,
    cells: pd.DataFrame,
    ratios: pd.DataFrame,
    sizes: dict[int, int],
) -> list[str]:
    """What stands where, what the bands are, and what is missing or left out."""
    step = (small["classes"] == SMALL).any()
    if sizes:
        said = ["Above: the training images of each class, the same in every replicate."]
    elif step and len(ratios):
        said = [
            "Lines: minority classes, whose size tells the ratio. On grey: majority classes, means "
            "over all ratios with bars for their intervals; small dots: each ratio's."
        ]
    elif step:
        said = ["On white: minority classes. On grey: majority classes."]
    elif small["size"].nunique() > EXACT:
        said = [
            "Class sizes in bins (from 1, 2, 5, 10, 20, ...), each drawn at its mean size; n: the "
            "replicates of all ratios that have a class there."
        ]
    else:
        said = []
    if not sizes:
        said.append(
            "A replicate's recall is the mean over its classes of a size; the bootstrap draws "
            "replicates, not classes."
        )
    panels = [panel for _, panel in cells.groupby("panel")]
    if not sizes and any(not joined(panel) and panel["line"].nunique() > 1 for panel in panels):
        said.append(ONE_X)
    said += bands(cells, apart=bool(sizes)) + pooled(records)
    run = set(records["method"])
    if absent := [method.label for id, method in METHODS.items() if id not in run]:
        said.append(f"Not run: {'; '.join(absent)}.")
    return said + missing(small) + of_test_set(records)
