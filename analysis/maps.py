"""Win/loss maps: by how much one method is ahead of another in each cell of the rho x mu plane."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from analysis.curves import MU, RHO, drawn
from analysis.lines import failed, span
from analysis.methods import methods_of
from analysis.page import Blank, Drawing, Page, name_y, of_test_set, pooled, protocol
from analysis.pairs import FEWEST, compare
from analysis.paper import inches, paper
from analysis.ranks import NAMES, SPECS
from analysis.squares import (
    EVEN,
    FREE,
    LEAST,
    MINUS,
    Form,
    bounds,
    digits,
    frame,
    look,
    signed,
    square,
)
from analysis.stats import LEVEL, RESAMPLES
from analysis.style import imbalance_of, theme
from study.errors import shorten

REFERENCE = "baseline"
RIVALS = ("oversampling", "undersampling")
"""Two methods that are compared with each other too."""

MOST, BESIDE = 4, 2
"""Panels on a page, and in a row of it."""

KEY = (-10.0, -1.0, 0.0, 1.0, 10.0)
"""Points that the legend shows."""

Pair = tuple[str, str]
Spot = tuple[float, float]
"""A cell's rho and mu, the latter 0 where there is none."""


@dataclass(frozen=True)
class Plane:
    """The records of one imbalance that spans ratios, by the ratios and fractions in them."""

    records: pd.DataFrame
    rhos: Sequence[float]
    mus: Sequence[float]

    def run(self, pair: Pair) -> set[Spot]:
        """The cells in which both methods were run, whatever became of them."""
        own = [self.records[self.records["method"] == id] for id in pair]
        first, second = (set(spots(rows)) for rows in own)
        return first & second


def pages(data: pd.DataFrame, note: str = "") -> dict[str, Callable[[], Drawing]]:
    """By its file's name, for each measure: every method against the baseline, so many panels a
    page, and over- against undersampling. Nothing where no such pair, or only one cell, was run.
    """
    plane = plane_of(data)
    if isinstance(plane, Blank) or len(plane.rhos) * len(plane.mus) == 1:
        return {}
    found: dict[str, Callable[[], Drawing]] = {}
    methods = methods_of(plane.records)
    for measure, spec in SPECS.items():
        ids = [id for id in drawn(spec, methods) if id != REFERENCE and REFERENCE in methods]
        starts = range(0, len(ids), MOST)
        for part, i in enumerate(starts, start=1):
            pairs = [(id, REFERENCE) for id in ids[i : i + MOST]]
            number = f"_{part}" if i else ""
            found[f"map_{measure}{number}"] = partial(
                compose, data, pairs, measure, note, (part, len(starts))
            )
        if set(RIVALS) <= methods.keys():
            found[name(*RIVALS, measure)] = partial(draw, data, *RIVALS, measure, note)
    return found


def name(a: str, b: str, measure: str = "auc") -> str:
    """The name of a pair's map as a file; a method of one's own may have any signs in its id."""
    return "_".join(["map", measure, *(re.sub(r"[^\w.-]+", "-", id) for id in (a, b))])


def draw(data: pd.DataFrame, a: str, b: str, measure: str = "auc", note: str = "") -> Drawing:
    """The map of a less b, of `data`, one study's records after the selection."""
    return compose(data, [(a, b)], measure, note)


def compose(
    data: pd.DataFrame,
    pairs: Sequence[Pair],
    measure: str,
    note: str = "",
    part: tuple[int, int] = (1, 1),
) -> Drawing:
    """A page of maps, a panel a pair; of several all are against one method.

    `part`: which of how many pages it is, those before it full.
    """
    plane = plane_of(data)
    if isinstance(plane, Blank):
        return plane
    methods, ids = methods_of(plane.records), list(dict.fromkeys(chain(*pairs)))
    if absent := [id for id in ids if id not in methods]:
        return Blank(f"{absent[0]}: not run to full balance; run: {', '.join(methods)}")
    tables = [
        compare(plane.records, a, b, measure).assign(method=a, against=b, measure=measure)
        for a, b in pairs
    ]
    cells = pd.concat(tables, ignore_index=True)
    if not cells["enough"].any():
        most = cells["n"].max() if len(cells) else 0
        return Blank(f"no cell has {FEWEST} cases with both methods; the most is {most}")
    records = plane.records[plane.records["method"].isin(ids)]
    labels = {id: shorten(methods[id].label, 30) for id in ids}
    several = len(pairs) > 1 or part != (1, 1)
    first = "each method" if several else labels[ids[0]]
    with theme():
        page = Page(
            title=f"{protocol(records)}, n = {span(cells['n'])}\n"
            f"Difference in {NAMES[measure]}, points: {first} {MINUS} {labels[pairs[0][1]]}",
            caption="",
            panels=[labels[a] if several else "" for a, _ in pairs],
            data=cells,
            legend=[Patch(label=signed(value, 0), **look(value)) for value in KEY],
            columns=len(KEY),
            rows=rows_of(len(pairs)),
            shared_x=True,
            part=part,
            before=MOST * (part[0] - 1),
        )
        form = fit(plane, cells, page.panel_width)
        said = caption(plane, records, pairs, tables, form)
        page = replace(
            page, height=form.height * len(plane.mus), caption=" ".join([*said, note]).strip()
        )
        figure, panels = page.lay()
        for axes, pair, table in zip(panels, pairs, tables, strict=True):
            fill(axes, plane, table, plane.run(pair), form)
        name_axes(panels, page, plane, form)
    return figure


def plane_of(data: pd.DataFrame) -> Plane | Blank:
    """The plane of a study, of records sampled to full balance; or why there is none."""
    rows = data[(data["to"] == 1) & data["rho"].notna() & (data["imbalance"] != "balanced")]
    if rows.empty:
        kinds = [imbalance_of(kind) for kind in sorted(set(data["imbalance"]))]
        return Blank(f"no ratios to span a map, only {' and '.join(kinds) or 'no records'}")
    spanned = set(rows["imbalance"])
    rows = rows[rows["imbalance"] == ("step" if "step" in spanned else min(spanned))]
    found = spots(rows)
    return Plane(rows, sorted({rho for rho, _ in found}), sorted({mu for _, mu in found}))


def spots(rows: pd.DataFrame) -> list[Spot]:
    """Where each row stands in the plane."""
    return list(zip(rows["rho"].astype(float), rows["mu"].fillna(0.0).astype(float), strict=True))


def rows_of(panels: int) -> list[int]:
    """How many panels each row has; in a journal's column all stand below each other."""
    if paper().stacked:
        return [panels]
    return [len(row) for row in np.array_split(range(panels), -(-panels // BESIDE))]


def fit(plane: Plane, cells: pd.DataFrame, width: float) -> Form:
    """The largest type that fits the cells of panels so many inches wide."""
    cell = width / len(plane.rhos)
    known = cells[cells["enough"]]

    def size(words: list[str], most: float) -> float:
        return min(most, (cell - FREE) / max(inches(text, 1.0) for text in set(words)))

    number = size([signed(mean, digits(mean)) for mean in known["mean"]], paper().tick)
    interval = size([bounds(row) for _, row in known.iterrows()], 0.85 * number)
    interval *= interval >= LEAST
    words = 1.5 * (number + interval) / 72
    return Form(cell, max(words, min(0.5 * cell, 0.4)), number, interval)


def fill(axes: Axes, plane: Plane, cells: pd.DataFrame, run: set[Spot], form: Form) -> None:
    """The cells of one panel: with enough pairs, with too few, and those not run."""
    counted = dict(zip(spots(cells), (row for _, row in cells.iterrows()), strict=True))
    for i, rho in enumerate(plane.rhos):
        for j, mu in enumerate(plane.mus):
            if (rho, mu) in run:
                square(axes, i, j, counted.get((rho, mu)), form)
            else:
                frame(axes, i, j)


def name_axes(panels: Sequence[Axes], page: Page, plane: Plane, form: Form) -> None:
    """Name the ratios and, where there are any, the fractions, once a row."""
    ratios, lines = [f"{rho:g}" for rho in plane.rhos], range(len(plane.mus))
    room = (form.width - FREE) / max(inches(ratio, 1.0) for ratio in ratios)
    for axes in panels:
        axes.set(xlim=(-0.5, len(ratios) - 0.5), ylim=(-0.5, len(lines) - 0.5))
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xticks(range(len(ratios)), ratios, size=min(paper().tick, room))
        axes.set_xlabel(RHO.label)
        axes.set_yticks(lines, [f"{mu:g}" if mu else "" for mu in plane.mus])
    for row in np.split(np.array(panels), np.cumsum(page.rows)[:-1]):
        name_y(list(row), MU.symbol if any(plane.mus) else "")
        row[0].yaxis.label.set(rotation=0, va="center")
        row[0].yaxis.labelpad = 8


def caption(
    plane: Plane,
    records: pd.DataFrame,
    pairs: Sequence[Pair],
    tables: Sequence[pd.DataFrame],
    form: Form,
) -> list[str]:
    """What numbers, colours and marks are, and which cells have none."""
    tested = pd.Series([table["enough"].sum() for table in tables])
    level = f"{1 - LEVEL:.0%}".replace("%", " %")
    said = [rf"{MU.symbol}: fraction of minority classes."] if any(plane.mus) else []
    said.append(
        "Mean difference over the paired cases of a cell; blue where positive, hatched where "
        "negative."
    )
    if form.interval:
        said.append(
            f"Below it the {LEVEL:.0%} interval of that mean, percentile bootstrap over cases, "
            f"{RESAMPLES:,} resamples, widened by Student's t.".replace("%", " %")
        )
    test = f"Dot: significant at {level}, two-sided Wilcoxon signed-rank test"
    if tested.max() > 1:
        cells = f"{span(tested)} tested cells{' of a panel' * (len(pairs) > 1)}"
        said.append(f"{test} with Holm's correction over the {cells}.")
    else:
        said.append(f"{test}. One cell was tested, which leaves nothing to correct for.")
    most = pd.concat(tables)["n"].max()
    if tested.min() * 2.0 ** (1 - most) >= 1 - LEVEL:
        said.append(f"Over so many cells n = {most} is too few for any.")
    said.append(f"Colour: by the logarithm beyond {EVEN} points, the same in all maps.")
    run = [len(plane.run(pair)) for pair in pairs]
    if tested.sum() < sum(run):
        said.append(f"Grey: fewer than {FEWEST} cases, with which no such test can reach {level}.")
    if min(run) < len(plane.rhos) * len(plane.mus):
        said.append("Dashed: not run.")
    return said + pooled(records) + failed(records) + of_test_set(records)
