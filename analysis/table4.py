"""Table 4 as a picture: AUC by method and cell, of few runs each one, of more their mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.curves import FIGURES, drawn, reason
from analysis.lines import failed, span
from analysis.methods import methods_of
from analysis.page import Blank, Drawing, Page, of_test_set, pooled, protocol
from analysis.paper import Paper, inches, paper
from analysis.stats import LEVEL, RESAMPLES, bootstrap_means
from analysis.style import theme
from study.errors import shorten

MOST = 6
"""Cells of a table; more are a figure's."""

LISTED = 3
"""So many runs of a cell stand side by side, as in the paper."""

ABSENT, DIVERGED = "\u2013", "div."

BESIDE = 0.085
"""Inches between columns, at least."""

RULE, HEAD, LINE, UNDER, APART = 0.04, 0.15, 0.2, 0.13, 0.2
"""Inches from a rule to words, of a line of the head, of numbers, of intervals; between blocks."""


@dataclass(frozen=True)
class Entry:
    """What stands in a row of a column; under a mean its interval."""

    number: str = ABSENT
    interval: str = ""

    def width(self, sheet: Paper) -> float:
        """Inches that it takes."""
        return max(inches(self.number, sheet.legend), inches(self.interval, sheet.caption))


@dataclass(frozen=True)
class Group:
    """The columns of one cell, and the lines above them."""

    head: tuple[str, ...]
    columns: Sequence[Sequence[Entry]]

    def widths(self, sheet: Paper) -> list[float]:
        """Inches of each column; together no less than the head takes."""
        wide = [max(entry.width(sheet) for entry in column) + BESIDE for column in self.columns]
        head = max(inches(line, sheet.legend) for line in self.head) + BESIDE
        return [width + max(0.0, head - sum(wide)) / len(wide) for width in wide]


def draw(data: pd.DataFrame, note: str = "") -> Drawing:
    """The table of a study of few cells; of one of more, why there is none."""
    methods = methods_of(data)
    step = data[(data["imbalance"] == "step") & (data["to"] == 1)]
    records = step[step["method"].isin(drawn(FIGURES["fig3"], methods))]
    if records.empty:
        return Blank(reason(FIGURES["fig3"], data))
    cells = len(records[["mu", "rho"]].drop_duplicates())
    if cells > MOST:
        return Blank(f"{cells} cells of step imbalance, and a table has {MOST} at most")
    if records["auc"].isna().all():
        return Blank(f"all {len(records)} records of step imbalance diverged")
    numbers = listed(records)
    ids = [id for id in methods if id in set(records["method"])]
    groups = [group(cell, ids) for _, cell in numbers.groupby(["mu", "rho"])]
    with theme():
        sheet = paper()
        names = [shorten(methods[id].label, 30) for id in ids]
        first = max(inches(name, sheet.legend) for name in names) + BESIDE
        room = sheet.widths[0] - sheet.text - sheet.right
        blocks = broken(groups, sheet, room - first)
        page = Page(
            title=f"{protocol(records)}, n = {span(numbers['runs'])}",
            caption=" ".join([*caption(records, numbers, groups), note]).strip(),
            panels=[""],
            data=numbers,
            height=sum(height(block) for block in blocks) + APART * (len(blocks) - 1),
            axes=False,
        )
        figure, (axes,) = page.lay()
        top = 0.0
        for block in blocks:
            put(axes, sheet, block, names, first, room, top)
            top += height(block) + APART
    return figure


def listed(records: pd.DataFrame) -> pd.DataFrame:
    """A row a number of the table, in per cent: a run's, or a method's mean over `n` runs.

    `run` counts the cases of a cell of few from 1, and is 0 for a mean; `runs` are all cases.
    """
    rows = []
    for (mu, rho), cell in records.groupby(["mu", "rho"]):
        cases = list(cell.sort_values(["split", "replicate", "case_id"])["case_id"].unique())
        few = len(cases) <= LISTED
        runs = [few * (1 + cases.index(id)) for id in cell["case_id"]]
        for (method, run), own in cell.assign(run=runs).groupby(["method", "run"]):
            aucs = 100 * own["auc"].dropna().to_numpy(float)
            (bounds,) = bootstrap_means([aucs])
            mean = aucs.mean() if len(aucs) else float("nan")
            rows.append((mu, rho, method, run, len(cases), len(aucs), mean, *bounds))
    names = ["mu", "rho", "method", "run", "runs", "n", "auc", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def group(cell: pd.DataFrame, ids: Sequence[str]) -> Group:
    """The columns of a cell; what was not run stands there as absent."""
    found = {(row["method"], row["run"]): entry(row) for _, row in cell.iterrows()}
    runs = sorted(set(cell["run"]))
    mu, rho = cell[["mu", "rho"]].iloc[0]
    n = span(cell["n" if runs == [0] else "runs"])
    columns = [[found.get((id, run), Entry()) for id in ids] for run in runs]
    return Group((rf"$\mu$ = {mu:g}", rf"$\rho$ = {rho:g}", f"n = {n}"), columns)


def entry(row: pd.Series) -> Entry:
    """A number as printed."""
    if pd.isna(row["auc"]):
        return Entry(DIVERGED)
    between = "" if pd.isna(row["low"]) else f"{row['low']:.2f}-{row['high']:.2f}"
    return Entry(f"{row['auc']:.2f}", between)


def broken(groups: Sequence[Group], sheet: Paper, room: float) -> list[list[Group]]:
    """The cells in as few blocks as fit the room, alike in number; one at least in each."""
    widths = [sum(one.widths(sheet)) for one in groups]
    for blocks in range(1, len(groups) + 1):
        parts = np.array_split(np.arange(len(groups)), blocks)
        if all(sum(widths[i] for i in part) <= room for part in parts):
            break
    return [[groups[i] for i in part] for part in parts]


def height(block: Sequence[Group]) -> float:
    """Inches of a block."""
    return head(block) + pitch(block) * len(block[0].columns[0]) + RULE


def head(block: Sequence[Group]) -> float:
    """Inches of what stands above the numbers."""
    return HEAD * len(block[0].head) + 2 * RULE


def pitch(block: Sequence[Group]) -> float:
    """Inches from one row to the next."""
    under = any(one.interval for cell in block for column in cell.columns for one in column)
    return LINE + (UNDER if under else 0)


def put(
    axes: Axes,
    sheet: Paper,
    block: Sequence[Group],
    names: Sequence[str],
    first: float,
    whole: float,
    top: float,
) -> None:
    """Print a block `top` inches below the upper edge, as wide as the whole.

    What is left of the width beside the methods' names, `first` inches, goes to all columns alike.
    """
    size, below = sheet.legend, top + head(block)
    for y, weight in ((top, 1.0), (below, 0.5), (top + height(block), 1.0)):
        axes.hlines(y, 0, whole, "black", linewidth=weight, clip_on=False)
    rows = [below + RULE + LINE / 2 + pitch(block) * i for i in range(len(names))]
    for name, y in zip(names, rows, strict=True):
        axes.text(0, y, name, size=size, va="center")
    columns = sum(len(cell.columns) for cell in block)
    more = (whole - first - sum(sum(cell.widths(sheet)) for cell in block)) / columns
    left = first
    for cell in block:
        wide = [width + more for width in cell.widths(sheet)]
        for i, words in enumerate(cell.head):
            y = top + RULE + HEAD * (i + 0.5)
            axes.text(left + sum(wide) / 2, y, words, size=size, ha="center", va="center")
        for column, width in zip(cell.columns, wide, strict=True):
            print_column(axes, sheet, column, left + width / 2, rows)
            left += width


def print_column(
    axes: Axes, sheet: Paper, column: Sequence[Entry], middle: float, rows: Sequence[float]
) -> None:
    """Print the entries of a column about its middle: numbers by their last digit, else centred."""
    end = middle + max(inches(one.number, sheet.legend) for one in column) / 2
    for one, y in zip(column, rows, strict=True):
        x, side = (end, "right") if one.number[0].isdigit() else (middle, "center")
        axes.text(x, y, one.number, size=sheet.legend, ha=side, va="center")
        if one.interval:
            axes.text(
                middle, y + UNDER, one.interval, size=sheet.caption, color="0.25",
                ha="center", va="center",
            )  # fmt: skip


def caption(records: pd.DataFrame, numbers: pd.DataFrame, groups: Sequence[Group]) -> list[str]:
    """What the numbers are, and what is missing or left out."""
    said = ["Multi-class ROC AUC in %."]
    mean = (
        f"the mean over n replicates, and under it the {LEVEL:.0%} interval of that mean, "
        f"percentile bootstrap, {RESAMPLES:,} resamples, widened by Student's t.".replace("%", " %")
    )
    of_few = numbers["runs"] <= LISTED
    if of_few.all():
        said.append("Each run on its own.")
    elif of_few.any():
        said.append(f"Where n is {LISTED} or less, each run on its own; elsewhere {mean}")
    else:
        said.append(mean[0].upper() + mean[1:])
    entries = [one for cell in groups for column in cell.columns for one in column]
    said += [f"{ABSENT}: not run."] if Entry() in entries else []
    said += [f"{DIVERGED}: diverged."] if Entry(DIVERGED) in entries else []
    few = records.groupby(["mu", "rho"])["case_id"].transform("nunique") <= LISTED
    counted = records[~(few & (records["status"] == "diverged"))]
    return said + pooled(records) + failed(counted) + of_test_set(records)
