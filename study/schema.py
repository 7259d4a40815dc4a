"""The schema of a record: every column, its type, and what it means."""

import json

import pyarrow as pa

VERSION = "3"

POINT = pa.struct(
    [
        ("iteration", pa.int32()),
        ("train_loss", pa.float64()),
        ("train_accuracy", pa.float64()),
        ("test_loss", pa.float64()),
        ("test_accuracy", pa.float64()),
    ]
)
"""A point of a curve: after so many iterations; train on the case's images, each once."""

COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("record_id", pa.string(), "hash of training, method and decision"),
    ("case_id", pa.string(), "hash of data set, imbalance, replicate, subset and seed"),
    ("training_id", pa.string(), "hash of case, net, recipe, sampling, loss and phase"),
    ("grid", pa.string(), "name of the grid"),
    ("dataset", pa.string(), "name of the data set"),
    ("model", pa.string(), "name of the net"),
    ("imbalance", pa.string(), "step, linear, natural, balanced, counts, or an import path"),
    ("rho", pa.float64(), "largest class over smallest; null for natural"),
    ("mu", pa.float64(), "fraction of minority classes; null unless step"),
    ("n_minority", pa.int32(), "number of minority classes; null unless step"),
    ("minority", pa.list_(pa.int32()), "labels of the minority classes; null unless step"),
    ("class_counts", pa.list_(pa.int32()), "training images of each class"),
    ("replicate", pa.int32(), "repeat of the cell, from 0"),
    ("subset", pa.int32(), "which subset was drawn; the replicate unless crossed"),
    ("split", pa.int32(), "which reshuffled split into training and test; null as published"),
    ("seed", pa.int64(), "the study's seed"),
    ("method", pa.string(), "id of the method"),
    ("sampling", pa.string(), "none, over or under"),
    ("to", pa.float64(), "imbalance ratio that the sampling goes to; 1 is full balance"),
    ("loss", pa.string(), "what was minimised"),
    ("second_phase", pa.string(), "sampling of the second phase; null without one"),
    ("decision", pa.string(), "argmax, or prior: softmax over the class's prior"),
    ("iterations", pa.int32(), "steps of each phase"),
    ("batch", pa.int32(), "images a step"),
    ("precision", pa.string(), "how products were rounded while training: strict, tf32, bf16"),
    ("base_rate", pa.float64(), "learning rate before the policy"),
    ("run", pa.int32(), "repeat with other initial weights, from 0"),
    ("status", pa.string(), "ok, chance (AUC no better than a coin's) or diverged"),
    ("auc", pa.float64(), "macro mean of the one-vs-rest ROC AUCs on the test set, in [0, 1]"),
    ("accuracy", pa.float64(), "share of the test set decided rightly, in [0, 1]"),
    ("auc_per_class", pa.list_(pa.float64()), "one-vs-rest ROC AUC of each class"),
    ("recall_per_class", pa.list_(pa.float64()), "share of each test class decided rightly"),
    ("test_counts", pa.list_(pa.int32()), "test images of each class; null before version 3"),
    ("validation_auc", pa.float64(), "as auc, on the images held out for validation, if any"),
    ("validation_accuracy", pa.float64(), "as accuracy, on those images"),
    ("confusion", pa.list_(pa.list_(pa.int32())), "test images by true class, then chosen class"),
    ("train_accuracy", pa.float64(), "accuracy on the case's images, each once, same decision"),
    ("train_loss", pa.float64(), "mean cross-entropy on the case's images, each once"),
    ("curve", pa.list_(POINT), "accuracy and loss every so many iterations, where asked for"),
    ("seconds", pa.float64(), "time to fit and evaluate the network; a second phase's own alone"),
    ("device", pa.string(), "cpu, or the card's name"),
    ("pack", pa.int32(), "networks that were trained in lockstep"),
    ("formulation", pa.string(), "how they were computed (study/engine/formulations.py)"),
    ("threads", pa.int32(), "threads of the process"),
    ("worker", pa.string(), "host and number of the process"),
    (
        "code",
        pa.string(),
        "git revision, -dirty if changed; without git version and digest of files",
    ),
    ("versions", pa.string(), "Python, packages and the processor, as JSON"),
    ("finished_at", pa.timestamp("us", "UTC"), "when the job ended"),
)

VOLATILE = (
    "seconds",
    "device",
    "pack",
    "formulation",
    "threads",
    "worker",
    "code",
    "versions",
    "finished_at",
)
"""Columns that may differ between two runs of one record. All others are equal bit for bit where
device, pack, formulation and versions are; metrics differ by rounding where those do.
"""

_SINCE_3: dict[str, object] = {
    **dict.fromkeys(("split", "test_counts", "validation_auc", "validation_accuracy", "curve")),
    "to": 1.0,
}
SINCE: dict[str, dict[str, object]] = {
    "1": {"precision": "strict", "pack": 1, "formulation": "plain", **_SINCE_3},
    "2": _SINCE_3,
}
"""Older version -> the columns that it lacks, with what was the case for all of its records."""

SCHEMA = pa.schema(
    [pa.field(name, kind, metadata={"about": about}) for name, kind, about in COLUMNS],
    metadata={"schema_version": VERSION, "volatile": json.dumps(VOLATILE)},
)
