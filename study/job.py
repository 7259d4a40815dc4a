"""One job from start to records: the science on one page."""

import os
import platform
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor

from study import __version__
from study.checkpoints import Checkpoints, Keeper, Nowhere
from study.data import Dataset
from study.engine import machine
from study.engine.inputs import tensor
from study.engine.means import Means
from study.grid import Grid
from study.identity import canonical
from study.imbalance import Roles
from study.metrics import DIVERGED, Point, accuracy, cross_entropy, score
from study.packs import Fitted, Network, Trainer
from study.plan import Due, Job, Row
from study.results import Record, Results, labels_of


@dataclass(frozen=True)
class Drawn:
    """A case whose images are drawn: their places in the pool."""

    due: Due
    roles: Roles
    members: np.ndarray


@dataclass(frozen=True)
class Labels:
    """The labels of a data set's splits, on the device."""

    pool: Tensor
    test: Tensor
    validation: Tensor


def run_job(
    job: Job,
    grid: Grid,
    dataset: Dataset,
    means: Means,
    code: str,
    keeper: Keeper | None = None,
) -> Results:
    """Draw each case, fit each of its networks once, and judge them by every method due.

    The keeper holds what is done of a long training should the job be tried again.
    """
    machine.settle()
    drawn = {due.case.id: _draw(due, grid, dataset) for due in job.dues}
    assert len(drawn) == len(job.dues), "a case stands in a job once"
    networks = [
        Network(case.due.case, training, case.members)
        for case in drawn.values()
        for training in case.due.trainings
    ]
    labels = Labels(*(tensor(split.labels).to(means.device) for split in dataset.all_three))
    judged: dict[str, Record] = {}
    predictions: dict[str, np.ndarray] = {}
    notes: list[str] = []
    place = _describe_place(means, code)
    made = canonical([place[name] for name in ("device", "code", "versions")])
    checkpoints = Checkpoints(keeper or Nowhere(), means.checkpoint, notes.append, made)
    with closing(Trainer(grid, dataset, means, checkpoints, notes.append)) as trainer:
        for network, fitted in trainer.fit(networks):
            case = drawn[network.case.id]
            for row in case.due.rows:
                if row.training == network.training:
                    judged[row.id] = _judge(row, fitted, labels, case)
            if network.training in case.due.predictions:
                predictions[labels_of(network.case.split)] = dataset.test.labels
                with np.errstate(over="ignore"):  # what float16 cannot hold is kept as infinite
                    logits = fitted.judged[: len(labels.test)].cpu().numpy().astype(np.float16)
                predictions[network.training.id] = logits
    place["finished_at"] = datetime.now(UTC)
    records = [
        place | _describe_case(case, grid) | judged[row.id]
        for case in drawn.values()
        for row in case.due.rows
    ]
    return Results(job.id, records, predictions, tuple(notes), tuple(checkpoints.keys))


def _draw(due: Due, grid: Grid, dataset: Dataset) -> Drawn:
    roles = due.case.roles(dataset.pool.counts(grid.form.classes))
    return Drawn(due, roles, due.case.draw(dataset.pool.labels, roles))


def _judge(row: Row, network: Fitted, labels: Labels, case: Drawn) -> Record:
    """A method's verdict on one network. The prior is that of the case's set, before sampling."""
    counts = torch.tensor(case.roles.counts, dtype=torch.float64, device=labels.test.device)
    own = labels.pool[torch.from_numpy(case.members).to(labels.pool.device)]
    decision, scores, held = row.method.decision, DIVERGED, DIVERGED
    test, validation = network.judged.split([len(labels.test), len(labels.validation)])
    if network.finite:
        scores = score(test, labels.test, counts, decision)
    if scores is not DIVERGED and len(validation):
        held = score(validation, labels.validation, counts, decision)
    alive = scores is not DIVERGED and bool(network.train.isfinite().all())
    return {
        "record_id": row.id,
        "training_id": row.training.id,
        "method": row.method.id,
        "sampling": row.method.sampling,
        "to": row.method.to,
        "loss": row.method.loss,
        "second_phase": row.method.second_phase,
        "decision": decision,
        "base_rate": row.training.base,
        "run": row.training.run,
        **asdict(scores),
        "test_counts": labels.test.bincount(minlength=len(counts)).tolist(),
        "validation_auc": held.auc,
        "validation_accuracy": held.accuracy,
        "train_accuracy": accuracy(network.train, own, counts, decision) if alive else None,
        "train_loss": cross_entropy(network.train, own) if alive else None,
        "curve": [_of(point, decision) for point in network.curve] or None,
        "seconds": network.seconds,
        "pack": network.pack,
        "formulation": network.formulation,
    }


def _of(point: Point, decision: str) -> Record:
    """A point of the curve of one way of deciding."""
    test, train = point.test_accuracy[decision], point.train_accuracy[decision]
    return asdict(point) | {"test_accuracy": test, "train_accuracy": train}


def _describe_case(drawn: Drawn, grid: Grid) -> Record:
    case, roles = drawn.due.case, drawn.roles
    step = case.cell.mu is not None
    return {
        "case_id": case.id,
        "grid": grid.name,
        "dataset": grid.dataset.name,
        "model": grid.model,
        "imbalance": case.cell.kind,
        "rho": case.cell.rho,
        "mu": case.cell.mu,
        "n_minority": len(roles.minority) if step else None,
        "minority": list(roles.minority) if step else None,
        "class_counts": [int(n) for n in roles.counts],
        "replicate": case.replicate,
        "subset": case.subset,
        "split": case.split,
        "seed": case.seed,
        "iterations": grid.recipe.iterations,
        "batch": grid.recipe.batch,
        "precision": grid.recipe.precision,
    }


def _describe_place(means: Means, code: str) -> Record:
    packages = ("torch", "numpy", "scikit-learn", "scipy", "pyarrow")
    return {
        "device": machine.describe(means.device),
        "threads": machine.THREADS,
        "worker": f"{platform.node()}:{os.getpid()}",
        "code": code,
        "versions": canonical(
            {
                "imbalance-study": __version__,
                "python": platform.python_version(),
                "cpu": machine.processor(),
                **{name: version(name) for name in packages},
            }
        ),
    }
