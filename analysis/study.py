"""A study as the commands read it: its records, what is left after the selection, its grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.command import read
from analysis.selection import remark, select
from study.errors import UserError


@dataclass(frozen=True)
class Study:
    """One study: its records as stored, those left after the selection, and what its folder says.

    `grid`: the resolved grid, nothing where there is none to read; `note`: what captions say of the
    selection.
    """

    name: str
    folder: Path
    stored: pd.DataFrame
    chosen: pd.DataFrame
    note: str
    grid: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The title that the grid gives it."""
        return str(self.grid.get("title") or "")

    @property
    def cases(self) -> int:
        """How many cases have a record."""
        return self.stored["case_id"].nunique()

    @property
    def networks(self) -> int:
        """How many networks the records are of."""
        return self.stored["training_id"].nunique()


def gathered(results: Path, names: Sequence[str], by: str, columns: Sequence[str]) -> list[Study]:
    """The studies named, or all; what cannot be selected among is an error that names the study."""
    return [
        Study(
            name=name,
            folder=results / name,
            stored=data,
            chosen=_chosen(name, data, by),
            note=remark(data, by),
            grid=grid_of(results / name),
        )
        for name, data in read(results, names, columns).items()
    ]


def grid_of(folder: Path) -> Mapping[str, Any]:
    """The resolved grid of a store; nothing where it is not there or not readable."""
    try:
        fields = yaml.safe_load((folder / "grid.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _chosen(name: str, data: pd.DataFrame, by: str) -> pd.DataFrame:
    try:
        return select(data, by)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
