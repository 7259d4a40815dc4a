"""What travels from a job to the store."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Record = dict[str, Any]
"""One row of results: a value for each column of the schema."""


@dataclass(frozen=True)
class Results:
    """What a finished job leaves: a record for each row; where the grid keeps them, the test
    logits of each training and, before them, the labels they belong to; what is to be said; the
    keys of checkpoints that it needs no longer.
    """

    job: str
    records: list[Record]
    predictions: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()


LABELS = "labels"
"""What the test labels are kept under, beside the predictions; no training's id begins so."""


def labels_of(split: int | None) -> str:
    """What the test labels of a split are kept under, beside its predictions."""
    return LABELS if split is None else f"{LABELS}-{split}"
