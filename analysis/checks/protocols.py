"""Records sorted into protocols: what may be compared, over all the studies of a folder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.checks.check import PAPER
from analysis.selection import crossed

KEY = [
    *("dataset", "model", "iterations", "batch", "seed", "precision"),
    *("n_max", "test", "resplit", "made"),
]
"""Columns that are equal throughout a protocol; the last four are made here.

n_max: images of the largest class. test: images of each test class. resplit: whether the split
into training and test images is one of its own. made: what else the grid fixes, such as which
pictures, how they are prepared, the momentum.
"""

CELL = ["imbalance", "rho", "mu"]
PLACE = ["case_id", "method", "to"]


@dataclass(frozen=True, eq=False)
class Protocol:
    """Records made in one way, of one study or several."""

    records: pd.DataFrame

    @property
    def dataset(self) -> str:
        return str(self.records["dataset"].iloc[0])

    @property
    def iterations(self) -> int:
        return int(self.records["iterations"].iloc[0])

    @property
    def departures(self) -> list[str]:
        """In what it is less than the paper's own protocol, or another."""
        first = self.records.iloc[0]
        if not (paper := PAPER.get(self.dataset)):
            return []
        tested = sum(map(int, first["test"].split()))
        less = (
            (self.iterations, paper.iterations, "iterations"),
            (int(first["n_max"]), paper.largest, "images in the largest class"),
            (tested or paper.tested, paper.tested, "test images"),
        )
        other = (("batch", first["batch"], paper.batch), ("net", first["model"], paper.model))
        return [
            *(f"{n:,} of the paper's {full:,} {what}" for n, full, what in less if n < full),
            *(f"{what} {own}, the paper's {due}" for what, own, due in other if own != due),
        ]

    @property
    def size(self) -> int:
        """The number of cases."""
        return int(self.records["case_id"].nunique())

    @cached_property
    def cases(self) -> pd.DataFrame:
        """A row a case, by its id: imbalance, rho, mu, study, and how many images it has.

        cell: the number of its cell. unit: that of its draw, which subsets of a replicate share.
        """
        own = self.records.drop_duplicates("case_id").set_index("case_id")
        images = own["class_counts"].map(sum)
        numbers = {
            name: own.groupby(by, dropna=False).ngroup()
            for name, by in (("cell", CELL), ("unit", [*CELL, "replicate", "split"]))
        }
        placed = own[[*CELL, "study"]].astype({"rho": float, "mu": float})
        return placed.assign(images=images, **numbers)

    @cached_property
    def auc(self) -> pd.DataFrame:
        """A row a case, a column a method: the AUC in points, NaN where there is none."""
        return self._wide("auc")

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        return self._wide("accuracy")

    @cached_property
    def diverged(self) -> pd.DataFrame:
        """A row a case, a column a method: whether its network diverged."""
        own = self.records.assign(lost=self.records["status"] == "diverged")
        return own.pivot(index="case_id", columns="column", values="lost").eq(True)

    def _wide(self, measure: str) -> pd.DataFrame:
        own = self.records.assign(score=100 * self.records[measure].astype(float))
        return own.pivot(index="case_id", columns="column", values="score")


def column_of(method: str, to: float) -> str:
    """The name of a method's column; one that stops short of full balance has its ratio in it."""
    return method if to == 1 else f"{method} to {to:g}"


def protocols(stores: Mapping[str, pd.DataFrame], made: Mapping[str, str]) -> list[Protocol]:
    """The protocols of these studies, the one with most cases first."""
    groups: list[pd.DataFrame] = []
    for study in sorted(pieces(stores, made), key=lambda own: -own["case_id"].nunique()):
        home = next((i for i, group in enumerate(groups) if fits(group, study)), None)
        if home is None:
            groups.append(study)
        else:
            groups[home] = pd.concat([groups[home], study])
    found = [Protocol(once(group)) for group in groups]
    return sorted(found, key=lambda protocol: -protocol.size)


def pieces(stores: Mapping[str, pd.DataFrame], made: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    """The records of each study, protocol by protocol where one study holds several."""
    for name, data in stores.items():
        if data.empty:
            continue
        labelled = data.assign(
            study=name,
            column=[column_of(*row) for row in zip(data["method"], data["to"], strict=True)],
            n_max=data["class_counts"].map(max),
            test=["" if c is None else " ".join(map(str, c)) for c in data["test_counts"]],
            resplit=data["split"].notna(),
            made=made.get(name, ""),
        )
        for _, own in labelled.groupby(KEY, dropna=False):
            yield own.assign(crossed=crossed(own))


def fits(group: pd.DataFrame, study: pd.DataFrame) -> bool:
    """Whether a study's records may be compared with the group's.

    A case with two different records of one method tells apart what neither column nor grid shows;
    so does the base rate, but where it was selected it differs from case to case.
    """
    ours, theirs = (own.iloc[0][[*KEY, "crossed"]] for own in (group, study))
    if not ours.equals(theirs):
        return False
    rates = [set(own["base_rate"]) for own in (group, study)]
    if max(map(len, rates)) == 1 and rates[0] != rates[1]:
        return False
    both = group[[*PLACE, "record_id"]].merge(study[[*PLACE, "record_id"]], on=PLACE)
    return bool((both["record_id_x"] == both["record_id_y"]).all())


def once(data: pd.DataFrame) -> pd.DataFrame:
    """Each record once; of one that two studies have, the row with a curve."""
    bare = np.array([curve is None for curve in data["curve"]])
    return data.iloc[np.argsort(bare, kind="stable")].drop_duplicates("record_id")
