"""The studies below a folder, and whether their records may be averaged."""

from collections.abc import Sequence

import pandas as pd

from analysis.selection import contended
from study.errors import UserError, nearest
from study.parts import find_parts
from study.remote import Shelf

PROTOCOL = ("dataset", "model", "iterations", "batch", "seed")
"""Columns with one value in a study: a mean over several would mix different experiments."""

CANDIDATE = ("base_rate", "run")
"""Columns with one value too, unless they tell apart what a selection is made from."""

PLACE = (
    *("case_id", "imbalance", "rho", "mu", "replicate", "subset", "split", "method", "to"),
    *PROTOCOL,
    *CANDIDATE,
)
"""Columns that name one record of a study."""


def studies(results: Shelf, names: Sequence[str] = ()) -> dict[str, Shelf]:
    """The studies below `results` that hold parts, by name: all of them, or the ones named."""
    if not results.is_dir():
        wrong = "not a folder" if results.exists() else "no such folder"
        raise UserError(f"--results {results}: {wrong}; python -m study.run makes it")
    inside: list[Shelf] = [*results.iterdir()]
    found = {
        folder.name: folder
        for folder in sorted(inside, key=str)
        if folder.is_dir() and find_parts(folder / "records")
    }
    if not found:
        if find_parts(results / "records"):
            wrong = f"is one study; --results {results.parent} --study {results.name} names it"
        else:
            wrong = "no records in it yet; python -m study.run makes them"
        raise UserError(f"--results {results}: {wrong}")
    for name in names:
        if name not in found:
            near = nearest(name, found) or f"; there: {', '.join(found)}"
            raise UserError(
                f"--study {name}: no study of that name with records in {results}{near}"
            )
    return {name: found[name] for name in (names or found)}


def check_protocol(name: str, data: pd.DataFrame) -> None:
    """Refuse records of several protocols: a figure would average across them.

    Two of one place differ in something no column shows, such as the momentum. A profile of a
    user's own may have cells that differ so too: there the case tells them apart.
    """
    own = data["imbalance"].str.contains(":", regex=False)
    twice = data[data.assign(case_id=data["case_id"].where(own, "")).duplicated(list(PLACE))]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"{name}: several records of {row['imbalance']} rho {row['rho']} mu {row['mu']}, "
            f"replicate {row['replicate']}, {row['method']}: its folder holds more than one "
            f"protocol; a figure does not average across them"
        )
    for column in PROTOCOL if len(contended(data)) else (*PROTOCOL, *CANDIDATE):
        values = sorted(data[column].dropna().unique())
        if len(values) > 1:
            listed = ", ".join(str(value) for value in values)
            raise UserError(
                f"{name}: records with different {column} ({listed}) in one study; "
                "a figure does not average across them"
            )
