"""What stored records cannot be: out of range, at odds with themselves, with one another, or with
what their grid plans. Found without training anything.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf, isclose, isfinite
from typing import Any

import numpy as np
import pyarrow as pa

from study.compare import LATER
from study.grid import Case, Grid
from study.metrics import coin_error
from study.plan import Due, Row
from study.results import Record

SCORES = ("auc", "accuracy", "auc_per_class", "recall_per_class", "confusion")
"""What a network that diverged has none of, and any other has."""

OPTIONAL = ("validation_auc", "validation_accuracy", "train_accuracy", "train_loss")
"""What it has none of either, and another may lack."""

SHARES = ("auc", "accuracy", "validation_auc", "validation_accuracy", "train_accuracy")

LEAST = {"seconds": 0, "pack": 1, "threads": 1}
"""What a training took, and the least that it can be."""

TOLD = ("device", "formulation", "worker", "code", "versions", "finished_at")
"""What every record says of how it came about."""

ROUNDING = 1e-12
"""Of a sum in another order."""


def wrong(record: Record) -> Iterator[str]:
    """What of a record cannot be."""
    try:
        yield from _wrong(record)
    except (TypeError, AttributeError):
        yield "there is null in it where a number belongs"


def _wrong(record: Record) -> Iterator[str]:
    lost = record["status"] == "diverged"
    if record["status"] not in ("ok", "chance", "diverged"):
        yield f"status is {record['status']!r}; there are ok, chance and diverged"
        return
    for name in (*SCORES, *(OPTIONAL if lost else ())):
        if lost and record[name] is not None:
            yield f"{name} is {record[name]} of a network that diverged"
        elif not lost and record[name] is None:
            yield f"{name} is null of a network that did not diverge"
    for name in SHARES:
        if not is_share(record[name]):
            yield f"{name} is {record[name]}; it lies in [0, 1]"
    if not is_loss(record["train_loss"]):
        yield f"train_loss is {record['train_loss']}; it is finite and no less than 0"
    for name, least in LEAST.items():
        if not least <= record[name] < inf:
            yield f"{name} is {record[name]}; it is finite and no less than {least}"
    for name in TOLD:
        if not record[name]:
            yield f"{name} is not told"
    counts = record["class_counts"] or []
    yield from _wrong_counts(record, counts)
    if not is_part(record["train_accuracy"], sum(counts)):
        yield f"train_accuracy is {record['train_accuracy']}, no share of {sum(counts)} images"
    if record["confusion"] is not None and not lost:
        yield from _wrong_scores(record, len(counts))
    yield from _wrong_curve(record, sum(counts))


def is_share(value: float | None) -> bool:
    """Whether it lies in [0, 1], where there is one; NaN does not."""
    return value is None or 0 <= value <= 1


def is_loss(value: float | None) -> bool:
    """Whether it can be a mean cross-entropy, where there is one."""
    return value is None or (isfinite(value) and value >= 0)


def is_part(value: float | None, images: int) -> bool:
    """Whether it is the quotient, to the last bit, of a number of these images and their number."""
    if value is None or not is_share(value):
        return True  # which is another matter
    return images > 0 and round(value * images) / images == value


def _wrong_counts(record: Record, counts: Sequence[int]) -> Iterator[str]:
    if any(number < 0 for number in counts) or not sum(counts):
        yield f"class_counts are {counts}; there are none below 0, nor 0 in all"
    minority = record["minority"]
    if minority is not None and not set(minority) <= set(range(len(counts))):
        yield f"minority is {minority} of {len(counts)} classes"
    if record["n_minority"] != (None if minority is None else len(minority)):
        yield f"n_minority is {record['n_minority']}, minority {minority}"


def _wrong_scores(record: Record, classes: int) -> Iterator[str]:
    """Scores that the confusion matrix, or each other, belie."""
    table = record["confusion"]
    if len(table) != classes or any(len(row) != classes or min(row) < 0 for row in table):
        yield f"confusion is no table of {classes} x {classes} numbers from 0 up"
        return
    sizes = [sum(row) for row in table]
    tests = record["test_counts"]
    if tests is not None and tests != sizes:
        yield f"confusion has {sizes} images of the classes, test_counts {tests}"
    rights = [row[place] for place, row in enumerate(table)]
    if not sum(sizes) or record["accuracy"] != sum(rights) / sum(sizes):
        yield f"accuracy is {record['accuracy']}, confusion has {sum(rights)} of {sum(sizes)} right"
    recalls = [n / size if size else None for n, size in zip(rights, sizes, strict=True)]
    if (found := record["recall_per_class"]) is not None and found != recalls:
        yield from _first("recall_per_class", found, recalls, "confusion gives")
    areas = record["auc_per_class"] or []
    held = [area for area in areas if area is not None]
    if len(areas) != classes or not all(map(is_share, held)):
        yield f"auc_per_class is {areas}; there are {classes}, in [0, 1] or null"
    elif not held or not isclose(record["auc"] or 0, np.mean(held), abs_tol=ROUNDING):
        yield f"auc is {record['auc']}, the mean of auc_per_class {np.mean(held) if held else None}"
    coin = 0.5 + 3 * coin_error(np.array(sizes))
    said = "chance" if (record["auc"] or 0) <= coin else "ok"
    if said != record["status"] and not isclose(record["auc"] or 0, coin, abs_tol=ROUNDING):
        yield f"status is {record['status']}, but with an auc of {record['auc']} it is {said}"


def _first(name: str, found: Sequence[Any], due: Sequence[Any], words: str) -> Iterator[str]:
    """The first place in which two lists differ."""
    if len(found) != len(due):
        yield f"{name} has {len(found)} values, {words} {len(due)}"
        return
    pairs = enumerate(zip(found, due, strict=True))
    yield from (f"{name}[{i}] is {a}, {words} {b}" for i, (a, b) in pairs if a != b)


def _wrong_curve(record: Record, images: int) -> Iterator[str]:
    curve = record["curve"] or []
    tests = sum(record["test_counts"] or ())
    for place, point in enumerate(curve):
        for name, value in point.items():
            of = {"train_accuracy": images, "test_accuracy": tests or None}.get(name)
            fine = is_loss(value) if name.endswith("loss") else of is None or is_share(value)
            if value is None or not fine or (of is not None and not is_part(value, of)):
                yield f"curve[{place}].{name} is {value}" + (f" of {of} images" if of else "")
    steps = [0, *(point["iteration"] or 0 for point in curve)]
    if any(then <= before for before, then in pairwise(steps)) or steps[-1] > record["iterations"]:
        yield f"curve has points at {steps[1:]} of {record['iterations']} iterations"


def strange(record: Record, due: Due, row: Row, grid: Grid) -> Iterator[str]:
    """What of a record is not what the grid plans under its id."""
    for name, value in planned(due.case, row, grid).items():
        if record[name] != value:
            yield f"{name} is {record[name]}; grid.yaml plans {value} under this id"


def planned(case: Case, row: Row, grid: Grid) -> Mapping[str, Any]:
    """What of a record is known before its images are drawn."""
    training, method = row.training, row.method
    return {
        "case_id": case.id,
        "training_id": training.id,
        "dataset": grid.dataset.name,
        "model": grid.model,
        "imbalance": case.cell.kind,
        "rho": case.cell.rho,
        "mu": case.cell.mu,
        "replicate": case.replicate,
        "subset": case.subset,
        "split": case.split,
        "seed": case.seed,
        "method": method.id,
        "sampling": method.sampling,
        "to": method.to,
        "loss": method.loss,
        "second_phase": method.second_phase,
        "decision": method.decision,
        "iterations": grid.recipe.iterations,
        "batch": grid.recipe.batch,
        "precision": grid.recipe.precision,
        "base_rate": training.base,
        "run": training.run,
    }


SHARED: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("test set", ("split",), ("test_counts",)),
    ("case", ("case_id",), ("class_counts", "n_minority", "minority")),
    (
        "network",
        ("training_id", "worker", "finished_at"),
        ("auc", "auc_per_class", "validation_auc", "train_loss", "seconds"),
    ),
)
"""What records share, the columns that tell which (a network judged by one job), and those in which
they then agree.
"""


def at_odds(records: pa.Table) -> Iterator[tuple[str, str]]:
    """The ids of records that do not agree with the most of those they share something with."""
    ids = records["record_id"].to_pylist()
    for what, keys, names in SHARED:
        groups = list(zip(*(records[key].to_pylist() for key in keys), strict=True))
        for name in names:
            values = records[name].to_pylist()
            if name in LATER:
                values = [UNKNOWN if value is None else value for value in values]
            votes: dict[Any, Counter[str]] = defaultdict(Counter)
            for group, value in zip(groups, values, strict=True):
                if value is not UNKNOWN:
                    votes[group][repr(value)] += 1
            for id, group, value in zip(ids, groups, values, strict=True):
                if len(votes[group]) > 1 and value is not UNKNOWN:
                    (most, _), *_ = votes[group].most_common(1)
                    if repr(value) != most:
                        yield id, f"{name} is {value}, but {most} of others of its {what}"


UNKNOWN = object()
