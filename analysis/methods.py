"""The methods of a study's records: rows of the table, and after them a user's own."""

from collections.abc import Iterable

import pandas as pd

from study.methods import METHODS, Method


def methods_of(data: pd.DataFrame) -> dict[str, Method]:
    """The methods that were run, by id; of one that the table lacks, what its columns tell."""
    present = set(data["method"])
    own = data[~data["method"].isin(list(METHODS))].drop_duplicates("method")
    return {id: method for id, method in METHODS.items() if id in present} | {
        row["method"]: _from(row) for _, row in own.sort_values("method").iterrows()
    }


def families(methods: Iterable[Method]) -> list[list[Method]]:
    """Methods by what they sample, in their order: the columns of a legend."""
    columns: dict[str, list[Method]] = {}
    for method in methods:
        columns.setdefault(method.sampling, []).append(method)
    return list(columns.values())


def _from(row: pd.Series) -> Method:
    second = row["second_phase"]
    return Method(
        row["method"],
        row["method"],
        sampling=row["sampling"],
        loss=row["loss"],
        second_phase=None if pd.isna(second) else second,
        decision=row["decision"],
    )
