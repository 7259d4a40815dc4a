"""Means over the replicates of each cell, as measured and as resampled: what checks are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import pandas as pd

from analysis.checks.check import Lacking, Lost
from analysis.checks.protocols import Protocol
from analysis.stats import Floats, redrawn, seed_of
from analysis.style import imbalance_of
from study.methods import METHODS

Place = tuple[float, float]


@dataclass(frozen=True)
class Pick:
    """A column made of others: in each case the best of them, or the worst, by the other cases of
    its cell. Who is picked by the same numbers that are then compared looks better than it is.
    """

    name: str
    among: tuple[str, ...]
    best: bool = True


@dataclass(frozen=True)
class Plane:
    """Cells, and of each column its means in points: row 0 as measured, the others resampled.

    cells: (rho, mu), NaN where there is none. units: draws that were made independently.
    cases: those that enter. studies: that have them, first the one with most. lost: cases left out
    because a network diverged. gone: the cells that lost all their cases.
    """

    cells: tuple[Place, ...]
    scores: dict[str, Floats]
    units: tuple[int, ...]
    cases: tuple[int, ...]
    studies: tuple[str, ...]
    images: tuple[float, ...]
    lost: tuple[int, ...]
    gone: tuple[Place, ...] = ()

    @property
    def rho(self) -> Floats:
        return np.array([rho for rho, _ in self.cells])

    @property
    def mu(self) -> Floats:
        return np.array([mu for _, mu in self.cells])

    @property
    def names(self) -> list[str]:
        """The cells, as they are called."""
        return [name_of(*cell) for cell in self.cells]

    def less(self, a: str, b: str) -> Floats:
        """How much higher a is than b, in each cell."""
        return self.scores[a] - self.scores[b]

    def at(self, keep: Sequence[int]) -> "Plane":
        """These cells alone."""
        own = {
            name: tuple(getattr(self, name)[i] for i in keep)
            for name in ("cells", "units", "cases", "images", "lost")
        }
        scores = {name: values[:, list(keep)] for name, values in self.scores.items()}
        return replace(self, scores=scores, **own)


def called(column: str) -> str:
    """A method's column in words."""
    id, to, ratio = column.partition(" to ")
    return f"{METHODS[id].label.lower() if id in METHODS else id}{to}{ratio}"


def name_of(rho: float, mu: float) -> str:
    """A cell, as it is called."""
    known = [f"{key} {value:g}" for key, value in (("rho", rho), ("mu", mu)) if value == value]
    return ", ".join(known) or "the set as it is"


@dataclass(frozen=True)
class Region:
    """The cells of step imbalance with mu in these limits and, where it is given, this rho."""

    mus: tuple[float, float]
    rho: float | None = None

    def __str__(self) -> str:
        rho = "" if self.rho is None else f" at rho {self.rho:g}"
        low, high = self.mus
        if low == high:
            return f"mu {low:g}{rho}"
        beyond = f"above {low:.3g}" if low != float(f"{low:.3g}") else f"from {low:.3g}"
        return f"mu {beyond} to {high:.3g}{rho}"

    def holds(self, cases: pd.DataFrame) -> pd.Series:
        """Which of the cases are inside."""
        inside = cases["mu"].between(*self.mus)
        return inside if self.rho is None else inside & (cases["rho"] == self.rho)


def plane(
    protocol: Protocol,
    kind: str,
    columns: Sequence[str],
    picks: Sequence[Pick] = (),
    measure: str = "auc",
    region: Region | None = None,
    grid: str = "",
) -> Plane:
    """The cells of an imbalance, from the cases that have all these columns, each paired.

    region: those that are kept. grid: what makes them, {} for the data set.
    """
    own = protocol.cases[protocol.cases["imbalance"] == kind]
    own = own[region.holds(own)] if region else own
    grid = grid or f"{{}}_{kind}"
    if own.empty:
        raise Lacking(f"no {imbalance_of(kind)}{f' with {region}' if region else ''}", grid)
    scores: pd.DataFrame = getattr(protocol, measure)
    recorded = own.index.intersection(scores.index)
    absent = [c for c in columns if c not in scores or scores.loc[recorded, c].isna().all()]
    lost = protocol.diverged.loc[recorded].reindex(columns=list(columns), fill_value=False)
    for column in absent:
        if not lost[column].any():
            raise Lacking(f"no {called(column)} under {imbalance_of(kind)}", grid)
    left_out = own.loc[recorded[lost.any(axis=1)]]
    table = own.join(scores.reindex(columns=list(columns)), how="inner").dropna(
        subset=list(columns)
    )
    if table.empty and len(left_out):
        raise Lost(f"in all {len(left_out)} cases a network diverged")
    if table.empty:
        raise Lacking(f"no case with all of {', '.join(map(called, columns))}", grid)
    own_records = protocol.records[protocol.records["column"].isin(columns)]
    studies = own_records[own_records["case_id"].isin(table.index)]["study"].value_counts()
    made = gathered(protocol.dataset, kind, table, list(columns), picks, left_out)
    return replace(made, studies=tuple(studies.index))  # of a case in two, the one with most of it


def gathered(
    dataset: str,
    kind: str,
    table: pd.DataFrame,
    columns: list[str],
    picks: Sequence[Pick],
    left_out: pd.DataFrame,
) -> Plane:
    """The plane of these cases. Subsets of one replicate are one draw: their mean.

    left_out: the cases that are not in the table because a network diverged.
    """
    _, first, unit, n = np.unique(
        table["unit"], return_index=True, return_inverse=True, return_counts=True
    )
    values = table[[*columns, "images", "rho", "mu", "cell"]].to_numpy(float)
    draws = np.zeros((len(n), values.shape[1]))
    np.add.at(draws, unit, values)
    draws /= n[:, None]
    lost = left_out["cell"].to_numpy()
    cells, units, cases, images, missed = [], [], [], [], []
    for cell, own in groupby(range(len(n)), key=lambda i: values[first[i], -1]):
        at = list(own)
        cells.append((float(values[first[at[0]], -3]), float(values[first[at[0]], -2])))
        units.append(picked(draws[at, : len(columns)], columns, picks))
        cases.append(int(n[at].sum()))
        images.append(float(draws[at, -4].mean()))
        missed.append(int((lost == cell).sum()))
    gone = left_out[~left_out["cell"].isin(table["cell"])].drop_duplicates("cell")
    means = redrawn(units, [seed_of(dataset, kind, *cell) for cell in cells])
    names = [*columns, *(pick.name for pick in picks)]
    return Plane(
        tuple(cells),
        {name: means[:, :, i] for i, name in enumerate(names)},
        tuple(len(values) for values in units),
        tuple(cases),
        tuple(table["study"].value_counts().index),
        tuple(images),
        tuple(missed),
        tuple((float(rho), float(mu)) for rho, mu in zip(gone["rho"], gone["mu"], strict=True)),
    )


def picked(draws: Floats, columns: list[str], picks: Sequence[Pick]) -> Floats:
    """The draws of a cell (draws, columns) with a column more for each pick."""
    n = len(draws)
    others = (draws.sum(axis=0) - draws) / (n - 1) if n > 1 else draws
    more = []
    for pick in picks:
        at = [columns.index(name) for name in pick.among]
        ranked = others[:, at] if pick.best else -others[:, at]
        more.append(draws[np.arange(n), np.array(at)[ranked.argmax(axis=1)]])
    return np.column_stack([draws, *more])
