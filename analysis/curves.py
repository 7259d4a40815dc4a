"""Figures 3 to 6: a score against the imbalance, a line a method; one engine, one row a figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from analysis.lines import Axis, bands, line, missing, points, scale_x, scale_y, span
from analysis.methods import families, methods_of
from analysis.page import Blank, Drawing, Page, of_test_set, pooled, protocol
from analysis.style import Style, imbalance_of, styles_of, theme
from study.methods import METHODS, Method

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


def draw(spec: Curves, data: pd.DataFrame, note: str = "") -> Drawing:
    """The figure: means over replicates with bootstrap bands, of `data`, one study's records.

    `note`: what else the caption is to say.
    """
    methods = methods_of(data)
    records = chosen(spec, data, drawn(spec, methods))
    if records.empty:
        return Blank(reason(spec, data))
    cells = points(records)
    if cells.empty:
        return Blank(f"all {len(records)} records of {spec.kind} imbalance diverged")
    looks = styles_of(methods)
    shown = [method for id, method in methods.items() if id in set(cells["line"])]
    values = sorted(records["panel"].unique())
    legend, columns = keys(shown, looks)
    with theme():
        page = Page(
            title=f"{protocol(records)}, n = {span(cells['n'])}",
            caption=" ".join([*caption(spec, records, cells), note]).strip(),
            panels=[f"{spec.panel.symbol} = {v:g}" if spec.panel else "" for v in values],
            data=cells,
            legend=legend,
            columns=columns,
            shared=spec.shared,
        )
        figure, panels = page.lay()
        xs = sorted(records["x"].unique())
        inside = [cells[cells["panel"] == value] for value in values]
        for axes, of_panel in zip(panels, inside, strict=True):
            alone = of_panel["x"].nunique() == 1
            for i, method in enumerate(shown):
                own = of_panel[of_panel["line"] == method.id]
                at = aside(spec.x, xs, i - (len(shown) - 1) / 2, alone)
                line(axes, xs, own, at, looks[method.id], method.label)
            scale_x(axes, spec.x, xs, page.panel_width)
        for_y = [cells] * len(panels) if spec.shared else inside
        scale_y(list(zip(panels, for_y, strict=True)), MEASURES[spec.measure])
    return figure


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


def aside(x: Axis, xs: list[float], steps: float, alone: bool) -> list[float]:
    """Where a method's points stand: at the xs, but beside each other where a panel has one x."""
    if not alone:
        return xs
    return [value * 10 ** (0.03 * steps) if x.log else value + 0.1 * steps for value in xs]


def keys(methods: Sequence[Method], looks: dict[str, Style]) -> tuple[list[Artist], int]:
    """The legend's entries and its columns: one a family, filled up to the same length."""
    columns = families(methods)
    rows = max(len(column) for column in columns)
    entries: list[Artist] = []
    for column in columns:
        entries += [Line2D([], [], label=m.label, **looks[m.id].line()) for m in column]
        entries += [Line2D([], [], linestyle="none", label=" ")] * (rows - len(column))
    return entries, len(columns)


def caption(spec: Curves, records: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """What the bands are, and what is missing or left out."""
    said = []
    if not spec.shared and records["panel"].nunique() > 1:
        said.append("Each panel has a y axis of its own.")
    said += bands(cells) + pooled(records)
    run = set(records["method"])
    if absent := [METHODS[id].label for id in spec.methods if id not in run]:
        said.append(f"Not run: {'; '.join(absent)}.")
    return said + missing(records) + of_test_set(records)
