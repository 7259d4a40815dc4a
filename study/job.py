"""One job from start to records: the science on one page."""

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor

from study import __version__
from study.data import Dataset
from study.engine import machine
from study.engine.inputs import tensor
from study.engine.means import Means
from study.grid import Grid
from study.identity import canonical
from study.imbalance import Roles
from study.metrics import DECISIONS, DIVERGED, cross_entropy, score
from study.packs import Fitted, Network, Trainer
from study.plan import Due, Job, Row
from study.results import Record, Results


@dataclass(frozen=True)
class Drawn:
    """A case whose images are drawn: their places in the pool."""

    due: Due
    roles: Roles
    members: np.ndarray


def run_job(job: Job, grid: Grid, dataset: Dataset, means: Means, code: str) -> Results:
    """Draw each case, fit each of its networks once, and judge them by every method due."""
    machine.settle()
    drawn = {due.case.id: _draw(due, grid, dataset) for due in job.dues}
    networks = [
        Network(case.due.case, training, case.members)
        for case in drawn.values()
        for training in case.due.trainings
    ]
    test_labels = tensor(dataset.test.labels).to(means.device)
    judged: dict[str, Record] = {}
    predictions: dict[str, np.ndarray] = {}
    notes: list[str] = []
    for network, fitted in Trainer(grid, dataset, means, notes.append).fit(networks):
        case = drawn[network.case.id]
        labels = torch.from_numpy(dataset.pool.labels[case.members]).to(means.device)
        for row in case.due.rows:
            if row.training == network.training:
                judged[row.id] = _judge(row, fitted, test_labels, labels, case.roles)
        if network.training in case.due.predictions:
            predictions["labels"] = dataset.test.labels
            with np.errstate(over="ignore"):  # what float16 cannot hold is kept as infinite
                logits = fitted.test.cpu().numpy().astype(np.float16)
            predictions[network.training.id] = logits
    place = _describe_place(means, code)
    records = [
        place | _describe_case(case, grid) | judged[row.id]
        for case in drawn.values()
        for row in case.due.rows
    ]
    return Results(job.id, records, predictions, tuple(notes))


def _draw(due: Due, grid: Grid, dataset: Dataset) -> Drawn:
    roles = due.case.roles(dataset.pool.counts(grid.form.classes))
    return Drawn(due, roles, due.case.draw(dataset.pool.labels, roles))


def _judge(row: Row, network: Fitted, test_labels: Tensor, labels: Tensor, roles: Roles) -> Record:
    """A method's verdict on one network. The prior is that of the case's set, before sampling."""
    counts = torch.tensor(roles.counts, dtype=torch.float64, device=labels.device)
    scores = DIVERGED
    if network.finite:
        scores = score(network.test, test_labels, counts, row.method.decision)
    alive = scores is not DIVERGED and bool(network.train.isfinite().all())
    chosen = DECISIONS[row.method.decision](network.train, counts)
    return {
        "record_id": row.id,
        "training_id": row.training.id,
        "method": row.method.id,
        "sampling": row.method.sampling,
        "loss": row.method.loss,
        "second_phase": row.method.second_phase,
        "decision": row.method.decision,
        "run": row.training.run,
        **asdict(scores),
        "train_accuracy": float((chosen == labels).double().mean()) if alive else None,
        "train_loss": cross_entropy(network.train, labels) if alive else None,
        "seconds": network.seconds,
        "pack": network.pack,
        "formulation": network.formulation,
    }


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
        "class_counts": list(roles.counts),
        "replicate": case.replicate,
        "subset": case.subset,
        "seed": case.seed,
        "iterations": grid.recipe.iterations,
        "batch": grid.recipe.batch,
        "precision": grid.recipe.precision,
        "base_rate": grid.recipe.rate.base,
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
                **{name: version(name) for name in packages},
            }
        ),
        "finished_at": datetime.now(UTC),
    }
