"""Logits that a store keeps, held against its records, and against those of another."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from study.plan import Due, Row
from study.results import Record, labels_of
from study.store import Store

SLACK = 0.01
"""The share of test images that rounding to float16 may decide otherwise: it makes ties."""

MOST_APART = 0.02
"""Of the test images, what two logits of one training may decide otherwise: rounding of those that
were computed differently, and of float16.
"""


def belied(
    records: pa.Table, known: Mapping[str, tuple[Due, Row]], store: Store
) -> Iterator[tuple[str, str]]:
    """The ids of records whose logits are not there though the grid keeps them, or do not decide
    as the record says.
    """
    names = ["record_id", "training_id", "split", "decision", "accuracy", "class_counts"]
    rows = records.select(names).to_pylist()
    kept = store.predictions({row["split"] for row in rows})
    truth = {split: store.array(labels_of(split)) for split, names in kept.items() if names}
    due = {training.id for due, _ in known.values() for training in due.predictions}
    for row in rows:
        id, training = row["record_id"], row["training_id"]
        if training in kept[row["split"]]:
            if row["decision"] == "argmax":
                logits = store.array(training)
                yield from ((id, what) for what in _belied(row, truth[row["split"]], logits))
        elif training in due:
            due.remove(training)  # told once
            yield id, "its logits, or the labels of their images, are not there or not whole"


def _belied(record: Record, labels: np.ndarray, logits: np.ndarray) -> Iterator[str]:
    images, classes = labels.size, len(record["class_counts"] or ())
    if labels.shape != (images,) or labels.dtype.kind not in "iu" or not images:
        yield f"the labels of its logits are {labels.dtype} of {labels.shape}"
    elif logits.shape != (images, classes) or logits.dtype.kind != "f":
        found = f"its logits are {logits.dtype} of {logits.shape}"
        yield f"{found}, of {images} images and {classes} classes"
    elif record["accuracy"] is not None and classes:
        share = float((logits.argmax(axis=1) == labels).mean())
        if abs(share - record["accuracy"]) > SLACK + 1 / images:
            found = f"its logits decide {share:.4g} of the images rightly"
            yield f"{found}, accuracy is {record['accuracy']:.4g}"


def decided_apart(one: np.ndarray, other: np.ndarray) -> float:
    """The share of images that two arrays of logits give to other classes."""
    kinds = {one.dtype.kind, other.dtype.kind}
    if one.shape != other.shape or one.ndim != 2 or not one.size or kinds != {"f"}:
        return 1.0
    lost, gone = (np.isnan(logits).any(axis=1) for logits in (one, other))
    alike = (lost == gone) & (lost | (one.argmax(axis=1) == other.argmax(axis=1)))
    return 1 - float(alike.mean())
