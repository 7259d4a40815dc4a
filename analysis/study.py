"""A study as the commands read it: its records, what is left after the selection, its grid."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.command import read
from analysis.selection import remark, select
from study import strictyaml
from study.errors import UserError
from study.identity import canonical
from study.remote import Shelf


@dataclass(frozen=True)
class Study:
    """One study: its records as stored, those left after the selection, and what its folder says.

    `grid`: the resolved grid, nothing where there is none to read; `note`: what captions say of the
    selection.
    """

    name: str
    folder: Shelf
    stored: pd.DataFrame
    chosen: pd.DataFrame
    note: str
    grid: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The title that the grid gives it."""
        return str(self.grid.get("title") or "")

    @property
    def protocol(self) -> str:
        """What the grid fixes for every case, as a word to compare; without a grid the folder's."""
        if not self.grid:
            return f"of {self.folder}"
        fixed = {key: self.grid.get(key) for key in ("dataset", "model", "recipe", "seed")}
        return canonical(_said(fixed))

    @property
    def cases(self) -> int:
        """How many cases have a record."""
        return self.stored["case_id"].nunique()

    @property
    def networks(self) -> int:
        """How many networks the records are of."""
        return self.stored["training_id"].nunique()


def gathered(results: Shelf, names: Sequence[str], by: str, columns: Sequence[str]) -> list[Study]:
    """The studies named, or all. One that cannot be selected among is an error; among all of them
    it is left out, with a line that says so.
    """
    found: list[Study] = []
    refused: list[str] = []
    for name, data in read(results, names, columns).items():
        try:
            chosen = select(data, by)
        except UserError as error:
            refused.append(f"{name}: {error}")
            if names:
                break
            continue
        grid = grid_of(results / name)
        found.append(Study(name, results / name, data, chosen, remark(data, by), grid))
    if refused and (names or not found):
        raise UserError(refused[0])
    for line in refused:
        sys.stderr.write(f"left out: {line}\n")
    return found


def grid_of(folder: Shelf) -> Mapping[str, Any]:
    """The resolved grid of a store; nothing where it is not there or not readable."""
    try:
        fields = strictyaml.parse((folder / "grid.yaml").read_text(), "grid.yaml")
    except (OSError, ValueError, UserError):
        return {}
    return fields if isinstance(fields, dict) else {}


SHOWN = (
    *("train_per_class", "test_per_class", "test_share", "splits"),
    *("base", "precision", "iterations", "batch"),
)
"""Keys of a grid that studies of one protocol may differ in, or whose work the records show."""


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a grid that say something: what an older one left out says nothing."""
    return {
        key: _said(value) if isinstance(value, Mapping) else value
        for key, value in fields.items()
        if key not in SHOWN and value not in (None, "none")
    }
