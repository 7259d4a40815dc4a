"""Figures 3 to 6: a score against the imbalance, a line a method; one engine, one row a figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain, islice, pairwise

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.lines import (
    Axis,
    aside,
    bands,
    joined,
    line,
    missing,
    points,
    scale_x,
    scale_y,
    span,
)  # fmt: skip
from analysis.methods import families, methods_of
from analysis.page import (
    Blank,
    Drawing,
    Page,
    Picture,
    dataset,
    letters,
    of_test_set,
    pooled,
    protocol,
)  # fmt: skip
from analysis.style import Style, imbalance_of, styles_of, theme
from study.methods import METHODS, Method

TRAINED = tuple(id for id, method in METHODS.items() if method.decision == "argmax")
"""The methods whose AUC differs: another decision on the same outputs leaves it as it is."""

TOLD_BY = ["method", "sampling", "loss", "second_phase", "decision"]
"""Columns that tell what a method is."""

PAPER_MUS = [0.2, 0.5, 0.8]

BESIDE = "Side by side at one x so that they can be told apart."
"""What a caption says of the points of a panel that has one x."""


def spread(values: Sequence[float]) -> list[float]:
    """The smallest, the middle and the largest value; all of them where there are fewer."""
    if len(values) <= 3:
        return list(values)
    return [values[0], values[(len(values) - 1) // 2], values[-1]]


def paper_mus(values: Sequence[float]) -> list[float]:
    """The paper's three where all were run, else three spread over the values."""
    return PAPER_MUS if set(PAPER_MUS) <= set(values) else spread(values)


RHO = Axis("rho", r"Imbalance ratio $\rho$", r"$\rho$", log=True)
MU = Axis("mu", r"Fraction of minority classes $\mu$", r"$\mu$")
N_MINORITY = Axis("n_minority", "Minority classes", "minority classes")
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
    shared: bool = True

    @property
    def methods(self) -> tuple[str, ...]:
        """The rows of the table that the figure should have."""
        return TRAINED if self.measure == "auc" else tuple(METHODS)


FIGURES: dict[str, Curves] = {
    "fig3": Curves("step", "auc", RHO, MU, paper_mus),
    "fig4": Curves("step", "auc", N_MINORITY, RHO, shared=False),
    "fig5": Curves("linear", "auc", RHO),
    "fig6": Curves("step", "accuracy", RHO, MU, paper_mus),
}


@dataclass(frozen=True)
class Row:
    """What a figure shows of one study, its `data`, and what else the caption is to say of it."""

    data: pd.DataFrame
    records: pd.DataFrame
    cells: pd.DataFrame
    note: str

    @property
    def values(self) -> list[float]:
        """What its panels are of."""
        return sorted(self.records["panel"].unique())


def draw(spec: Curves, data: pd.DataFrame, note: str = "") -> Drawing:
    """The figure: means over replicates with bootstrap bands, of `data`, one study's records.

    `note`: what else the caption is to say.
    """
    row = row_of(spec, data, note)
    return row if isinstance(row, Blank) else plate(spec, [row])


def row_of(spec: Curves, data: pd.DataFrame, note: str = "") -> Row | Blank:
    """What the figure shows of a study, or why it shows nothing."""
    records = chosen(spec, data, drawn(spec, methods_of(data)))
    if records.empty:
        return Blank(reason(spec, data))
    cells = points(records)
    if cells.empty:
        return Blank(f"all {len(records)} records of {spec.kind} imbalance diverged")
    return Row(data, records, cells, note)


def plate(spec: Curves, rows: Sequence[Row]) -> Picture:
    """The figure of one study, or of several: a row of panels each, or one row of single panels."""
    methods = methods_of(pd.concat([row.data[TOLD_BY] for row in rows]))
    sets = [row.data["dataset"].iloc[0] for row in rows]
    cells = pd.concat([row.cells for row in rows], keys=sets, names=["dataset"])
    cells = cells.reset_index("dataset").reset_index(drop=True)
    looks = styles_of(methods)
    shown = [method for id, method in methods.items() if id in set(cells["line"])]
    legend, columns = keys(shown, looks, any(joined(row.cells) for row in rows))
    several = len(rows) > 1
    single = several and all(len(row.values) == 1 for row in rows)
    with theme():
        page = Page(
            title="\n".join(lettered([(row, title(row)) for row in rows])),
            caption=" ".join(caption(spec, rows)),
            panels=[name for row in rows for name in names(spec, row, several)],
            data=cells,
            legend=legend,
            columns=columns,
            shared=spec.shared and not single,
            shared_x=not single,
            rows=[len(rows)] if single else [len(row.values) for row in rows],
        )
        figure, panels = page.lay()
        free = iter(panels)
        filled = [
            fill(spec, row, list(islice(free, len(row.values))), shown, looks, page.panel_width)
            for row in rows
        ]
        for row in [list(chain(*filled))] if single else filled:
            scale_y(row, MEASURES[spec.measure])
    return figure


def fill(
    spec: Curves,
    row: Row,
    panels: list[Axes],
    shown: Sequence[Method],
    looks: dict[str, Style],
    width: float,
) -> list[tuple[Axes, pd.DataFrame]]:
    """Draw the lines of a row; gives each panel with the points that its y axis has room for."""
    xs = sorted(row.records["x"].unique())
    inside = [row.cells[row.cells["panel"] == value] for value in row.values]
    for axes, of_panel in zip(panels, inside, strict=True):
        scale_x(axes, spec.x, xs, width)
        beside = aside(axes, spec.x, xs, width, len(shown))
        for method, at in zip(shown, beside, strict=True):
            own = of_panel[of_panel["line"] == method.id]
            line(axes, xs, own, xs if joined(of_panel) else at, looks[method.id], method.label)
    return list(zip(panels, [row.cells] * len(panels) if spec.shared else inside, strict=True))


def by_split(data: pd.DataFrame, note: str = "") -> dict[str, Callable[[], Drawing]]:
    """Appendix A: figure 3 for each split on its own, where there are several."""
    if data["split"].nunique(dropna=False) < 2:
        return {}
    return {
        f"figA{split + 1}": partial(draw, FIGURES["fig3"], data[data["split"] == split], note)
        for split in sorted(data["split"].dropna().unique())
    }


def chosen(spec: Curves, data: pd.DataFrame, ids: Sequence[str]) -> pd.DataFrame:
    """The records a figure is of, with columns `panel`, `x`, `line` and `score` (in per cent)."""
    rows = data[(data["imbalance"] == spec.kind) & data["method"].isin(ids) & (data["to"] == 1)]
    rows = rows.assign(
        panel=rows[spec.panel.column].astype(float) if spec.panel else 0.0,
        x=rows[spec.x.column].astype(float),
        line=rows["method"],
        score=100 * rows[spec.measure],
    )
    return rows[rows["panel"].isin(spec.choose(sorted(rows["panel"].unique())))]


def drawn(spec: Curves, methods: dict[str, Method]) -> list[str]:
    """The methods of the figure; of a network judged by none of them, the first that judges it."""
    own = [
        id
        for id, method in methods.items()
        if id not in METHODS and (spec.measure != "auc" or method.decision == "argmax")
    ]
    ids = [id for id in methods if id in spec.methods or id in own]
    networks = {network(methods[id]) for id in ids}
    for id, method in methods.items():
        if id not in ids and network(method) not in networks:
            networks.add(network(method))
            ids.append(id)
    return ids


def network(method: Method) -> tuple[str, str, str | None]:
    """What tells the network of a method from that of another."""
    return method.sampling, method.loss, method.second_phase


def reason(spec: Curves, data: pd.DataFrame) -> str:
    """Why there is nothing to draw."""
    if spec.kind in set(data["imbalance"]):
        return f"no record of {imbalance_of(spec.kind)} is sampled to full balance"
    return lacking(spec.kind, data)


def lacking(kind: str, data: pd.DataFrame) -> str:
    """Says that a study has none of an imbalance, and what it has."""
    there = [imbalance_of(other) for other in sorted(set(data["imbalance"]))]
    only = f", only {' and '.join(there)}" if there else ""
    return f"no {imbalance_of(kind)} in this study{only}"


def keys(
    methods: Sequence[Method], looks: dict[str, Style], lines: bool = True
) -> tuple[list[Artist], int]:
    """The legend's entries and its columns: one a family, filled up to the same length.

    Markers alone where there are no lines.
    """
    columns = families(methods)
    rows = max(len(column) for column in columns)
    entries: list[Artist] = []
    for column in columns:
        own = [looks[m.id].line() | ({} if lines else {"linestyle": "none"}) for m in column]
        entries += [Line2D([], [], label=m.label, **o) for m, o in zip(column, own, strict=True)]
        entries += [Line2D([], [], linestyle="none", label=" ")] * (rows - len(column))
    return entries, len(columns)


def title(row: Row) -> str:
    """What a row is of."""
    return f"{protocol(row.records)}, n = {span(row.cells['n'])}"


def names(spec: Curves, row: Row, several: bool) -> list[str]:
    """The panels' titles, with the data set where there are rows of others."""
    of_set = [dataset(row.records)] if several else []
    of_panel = [[f"{spec.panel.symbol} = {v:g}"] if spec.panel else [] for v in row.values]
    return [", ".join(of_set + own) for own in of_panel]


def lettered(said: Sequence[tuple[Row, str]]) -> list[str]:
    """What is said of each row, where there are several after the letters of its panels."""
    ends = list(accumulate((len(row.values) for row, _ in said), initial=0))
    return [
        f"{letters(first, last - 1)} {text}" if len(said) > 1 else text
        for (_, text), (first, last) in zip(said, pairwise(ends), strict=True)
        if text
    ]


def caption(spec: Curves, rows: Sequence[Row]) -> list[str]:
    """What the bands are, and what is missing or left out of each row."""
    said = []
    if not spec.shared and sum(len(row.values) for row in rows) > 1:
        said.append("Each panel has a y axis of its own.")
    elif len(rows) > 1:
        said.append("Each data set has a y axis of its own.")
    said += bands(pd.concat([row.cells for row in rows]))
    panels = [panel for row in rows for _, panel in row.cells.groupby("panel")]
    if any(not joined(panel) and panel["line"].nunique() > 1 for panel in panels):
        said.append(BESIDE)
    return said + lettered([(row, remarks(spec, row)) for row in rows])


def remarks(spec: Curves, row: Row) -> str:
    """What is missing or left out of a row."""
    said = pooled(row.records)
    run = set(row.records["method"])
    if absent := [METHODS[id].label for id in spec.methods if id not in run]:
        said.append(f"Not run: {'; '.join(absent)}.")
    said += missing(row.records) + of_test_set(row.records)
    return " ".join([*said, row.note]).strip()
