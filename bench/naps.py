"""Jobs that only sleep: what they leave is drawn, but is as long and as varied as a real record."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from study.checkpoints import Keeper
from study.engine.means import Means
from study.execute import Work
from study.grid import Grid
from study.plan import Due, Job
from study.results import Record, Results
from study.schema import SCHEMA

IMAGES = 100
"""Test images of each class, in what is drawn."""


@dataclass(frozen=True)
class Nap(Work):
    """Jobs that sleep for so many seconds; the first of all to begin leaves the time in a file."""

    seconds: float = 0.0
    first: Path | None = None

    def do(self, job: Job, means: Means, keeper: Keeper) -> Results:
        if self.first is not None:
            stamp(self.first)
        time.sleep(self.seconds)
        return drawn(job, self.grid)


def stamp(file: Path) -> None:
    """Write the time into the file, unless it is there already."""
    with suppress(FileExistsError), file.open("x") as out:
        out.write(f"{time.time()}")


def drawn(job: Job, grid: Grid) -> Results:
    """A record of every row that is due, under its own id; the same at every call but for the time
    of day.
    """
    rng = np.random.default_rng(int(job.id, 16))
    records = [record for due in job.dues for record in _records(due, grid, rng)]
    return Results(job.id, records, {})


def _records(due: Due, grid: Grid, rng: np.random.Generator) -> Iterator[Record]:
    case, classes = due.case, grid.form.classes
    roles = case.roles([case.n_max or IMAGES] * classes)
    shared = dict.fromkeys(SCHEMA.names) | {
        "case_id": case.id,
        "grid": grid.name,
        "dataset": grid.dataset.name,
        "model": grid.model,
        "imbalance": case.cell.kind,
        "rho": case.cell.rho,
        "mu": case.cell.mu,
        "n_minority": len(roles.minority),
        "minority": list(roles.minority),
        "class_counts": [int(number) for number in roles.counts],
        "replicate": case.replicate,
        "subset": case.subset,
        "seed": case.seed,
        "iterations": grid.recipe.iterations,
        "batch": grid.recipe.batch,
        "precision": grid.recipe.precision,
        "status": "ok",
        "test_counts": [IMAGES] * classes,
        "device": "cpu",
        "pack": 1,
        "formulation": "plain",
        "threads": 1,
        "worker": "a machine of that name:12345",
        "code": 40 * "0",
        "versions": 200 * "0",
        "finished_at": datetime.now(UTC),
    }
    for row in due.rows:
        confusion = rng.multinomial(IMAGES, rng.dirichlet(np.ones(classes)), classes)
        recalls = confusion.diagonal() / IMAGES
        aucs = rng.uniform(0.5, 1, classes)
        yield shared | {
            "record_id": row.id,
            "training_id": row.training.id,
            "method": row.method.id,
            "sampling": row.method.sampling,
            "to": row.method.to,
            "loss": row.method.loss,
            "second_phase": row.method.second_phase,
            "decision": row.method.decision,
            "base_rate": row.training.base,
            "run": row.training.run,
            "auc": aucs.mean(),
            "accuracy": recalls.mean(),
            "auc_per_class": aucs.tolist(),
            "recall_per_class": recalls.tolist(),
            "confusion": confusion.tolist(),
            "train_accuracy": rng.uniform(),
            "train_loss": rng.uniform(),
            "seconds": rng.uniform(),
        }
