"""What a record cannot hold: refused when it is read, by the record's id, before it is drawn."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

RANGES = {
    **dict.fromkeys(
        ("auc", "accuracy", "validation_auc", "validation_accuracy", "train_accuracy"), (0, 1)
    ),
    "mu": (0, 1),
    **dict.fromkeys(("rho", "to", "iterations", "batch", "pack", "threads"), (1, np.inf)),
    **dict.fromkeys(("replicate", "subset", "split", "run", "n_minority"), (0, np.inf)),
    **dict.fromkeys(("seconds", "base_rate", "train_loss"), (0, np.inf)),
}
"""The least and the largest value; none is infinite."""

NEEDED = (
    *("record_id", "case_id", "training_id", "dataset", "model", "imbalance", "class_counts"),
    *("replicate", "subset", "seed", "method", "to", "iterations", "base_rate", "run", "status"),
)
"""Columns without which a record is nobody's."""

NAMES = ("dataset", "model", "imbalance", "method")
"""Words that are printed, and typeset in figures, where $ begins a formula."""

SCORED = ("auc", "accuracy", "auc_per_class", "recall_per_class")
"""What a network that diverged lacks, and any other has."""

PER_CLASS = ("auc_per_class", "recall_per_class", "test_counts")
"""Lists as long as the class counts."""

SHARES = ("train_accuracy", "test_accuracy")

STATUSES = ("ok", "chance", "diverged")


def impossible(data: pd.DataFrame) -> str | None:
    """The first record, and its value, that cannot be; None where all can."""
    for name, wrong, needed in faults(data):
        if wrong.any():
            row = data[wrong].iloc[0]
            return f"record {row['record_id']}: {name} is {row[name]}; needed: {needed}"
    return None


def faults(data: pd.DataFrame) -> Iterator[tuple[str, "pd.Series[bool]", str]]:
    """A column, the rows in which it is wrong, and what is needed there."""
    for name in data.columns.intersection([*NEEDED]):
        yield name, data[name].isna(), "a value"
    for name in data.columns.intersection([*NAMES]):
        odd = data[name].str.contains(r"[$\x00-\x1f]", regex=True, na=False)
        yield name, odd, "a name without $ and control characters"
    for name, (low, high) in RANGES.items():
        if name in data:
            values = data[name].astype(float)
            fine = values.isna() | (values.between(low, high) & np.isfinite(values))
            yield name, ~fine, f"{low} or more" if high == np.inf else f"{low} to {high}"
    if "status" in data:
        yield "status", ~data["status"].isin(STATUSES), ", ".join(STATUSES)
        lost = data["status"] == "diverged"
        for name in data.columns.intersection([*SCORED]):
            yield name, data[name].isna() != lost, "a value, unless the network diverged"
    if "class_counts" in data:
        counts = data["class_counts"]
        yield "class_counts", counts.map(lambda own: not len(own) or min(own) < 0), "whole numbers"
        for name in data.columns.intersection([*PER_CLASS]):
            sizes = data[name].map(len, na_action="ignore")
            yield name, sizes.notna() & (sizes != counts.map(len)), "a value for each class"
    if "curve" in data:
        yield "curve", data["curve"].map(broken, na_action="ignore").eq(True), "shares in [0, 1]"


def broken(curve: Sequence[Mapping[str, float] | None]) -> bool:
    """Whether a curve has a point that is none, or an accuracy that is no share."""
    return any(
        point is None
        or any(value is None for value in point.values())
        or any(not 0 <= point[name] <= 1 for name in SHARES if point[name] == point[name])
        for point in curve
    )
