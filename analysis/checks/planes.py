"""Means over the replicates of each cell, as measured and as resampled: what checks are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.checks.check import Lacking, Lost
from analysis.checks.protocols import Protocol
from analysis.stats import RESAMPLES, Floats
from analysis.style import imbalance_of
from study.methods import METHODS


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
    cases: those that enter. lost: those left out because a network diverged.
    """

    cells: tuple[tuple[float, float], ...]
    scores: dict[str, Floats]
    units: tuple[int, ...]
    cases: tuple[int, ...]
    study: str
    images: tuple[float, ...]
    lost: int

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
        return Plane(
            tuple(self.cells[i] for i in keep),
            {name: values[:, list(keep)] for name, values in self.scores.items()},
            tuple(self.units[i] for i in keep),
            tuple(self.cases[i] for i in keep),
            self.study,
            tuple(self.images[i] for i in keep),
            self.lost,
        )


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
    gone = int(lost.any(axis=1).sum())
    table = own.join(scores.reindex(columns=list(columns)), how="inner").dropna(
        subset=list(columns)
    )
    if table.empty and gone:
        raise Lost(f"in all {gone} cases a network diverged")
    if table.empty:
        raise Lacking(f"no case with all of {', '.join(map(called, columns))}", grid)
    own_records = protocol.records[protocol.records["column"].isin(columns)]
    studies = own_records[own_records["case_id"].isin(table.index)]["study"]
    table = table.assign(study=studies.mode().iloc[0])  # of a case in two, the one with most of it
    return gathered(protocol.dataset, kind, table, list(columns), picks, gone)


def gathered(
    dataset: str,
    kind: str,
    table: pd.DataFrame,
    columns: list[str],
    picks: Sequence[Pick],
    lost: int,
) -> Plane:
    """The plane of these cases. Subsets of one replicate are one draw: their mean."""
    _, first, unit, n = np.unique(
        table["unit"], return_index=True, return_inverse=True, return_counts=True
    )
    values = table[[*columns, "images", "rho", "mu", "cell"]].to_numpy(float)
    draws = np.zeros((len(n), values.shape[1]))
    np.add.at(draws, unit, values)
    draws /= n[:, None]
    cells, units, cases, images = [], [], [], []
    for _, own in groupby(range(len(n)), key=lambda i: values[first[i], -1]):
        at = list(own)
        cells.append((float(values[first[at[0]], -3]), float(values[first[at[0]], -2])))
        units.append(picked(draws[at, : len(columns)], columns, picks))
        cases.append(int(n[at].sum()))
        images.append(float(draws[at, -4].mean()))
    seeds = [crc32(f"{dataset} {kind} {rho} {mu}".encode()) for rho, mu in cells]
    means = redrawn(units, seeds)
    names = [*columns, *(pick.name for pick in picks)]
    return Plane(
        tuple(cells),
        {name: means[:, :, i] for i, name in enumerate(names)},
        tuple(len(values) for values in units),
        tuple(cases),
        str(table["study"].mode().iloc[0]),
        tuple(images),
        lost,
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


def redrawn(cells: Sequence[Floats], seeds: Sequence[int]) -> Floats:
    """(1 + RESAMPLES, cells, columns): the means of each cell, then those of its draws drawn anew.

    n of n drawn anew spread by a factor (n - 1) / n too little in variance: that is made good.
    A cell with a single draw takes the spread of the others, pooled; none has one where all do.
    """
    means = np.stack([values.mean(axis=0) for values in cells])
    result = np.repeat(means[None], 1 + RESAMPLES, axis=0)
    spread = [
        (values - values.mean(axis=0)) * np.sqrt(len(values) / (len(values) - 1))
        for values in cells
        if len(values) > 1
    ]
    if not spread:
        return result
    pool = np.concatenate(spread)
    several = iter(spread)
    for i, (values, seed) in enumerate(zip(cells, seeds, strict=True)):
        n = len(values)
        if n == 1:
            rng = np.random.default_rng([seed, n])
            result[1:, i] += pool[rng.integers(len(pool), size=RESAMPLES)]
        else:
            result[1:, i] += counts(n, seed).astype(np.float64) @ next(several) / n
    return result


@lru_cache(maxsize=256)
def counts(n: int, seed: int) -> NDArray[np.uint16]:
    """(RESAMPLES, n): how often each of n is among n drawn with replacement."""
    drawn = np.random.default_rng([seed, n]).integers(n, size=(RESAMPLES, n))
    flat = (drawn + n * np.arange(RESAMPLES)[:, None]).ravel()
    return np.bincount(flat, minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(np.uint16)
