"""One job from start to records: the science on one page."""

import platform

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study import __version__, seeds
from study.data import Dataset
from study.engine import machine
from study.engine.forward import outputs
from study.engine.inputs import Features, Images, IndexStream
from study.engine.train import fit
from study.grid import Grid
from study.identity import canonical
from study.imbalance import Roles
from study.metrics import DECISIONS, cross_entropy, score
from study.nets import NETS, Weights
from study.plan import Job, Row, Training
from study.sampling import SAMPLINGS

Record = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """What a finished job leaves: a record for each row, and logits where the grid keeps them."""

    job: str
    records: list[Record]
    predictions: dict[str, np.ndarray]
    labels: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """A network's logits on the test set and on its case's own images, and what it cost."""

    test: np.ndarray
    train: np.ndarray
    seconds: float


def run_job(job: Job, grid: Grid, dataset: Dataset, device: str, code: str) -> Results:
    """Draw the case, fit each of its networks once, and judge them by every method due."""
    machine.settle()
    roles = job.case.roles(dataset.pool.counts(grid.form.classes))
    members = job.case.draw(dataset.pool.labels, roles)
    fitted = _fit_all(job, grid, dataset, members, device)
    labels, test_labels = dataset.pool.labels[members], dataset.test.labels
    shared = _describe_case(job, grid, roles) | _describe_place(device, code)
    return Results(
        job=job.id,
        records=[
            shared | _judge(row, fitted[row.training.id], labels, test_labels, roles, grid)
            for row in job.rows
        ],
        predictions={t.id: fitted[t.id].test.astype(np.float16) for t in job.predictions},
        labels=test_labels,
    )


def _fit_all(
    job: Job, grid: Grid, dataset: Dataset, members: np.ndarray, device: str
) -> dict[str, Fitted]:
    """Every network of a job. The second phases run on the features below the head, which they
    leave as they are: computed once for the case's images and once for the test images."""
    net = NETS[grid.model](grid.form)
    pool = Images(dataset.pool, dataset.scale, device)
    test = Images(dataset.test, dataset.scale, device)
    labels = dataset.pool.labels[members]
    own, all_test = _positions(members, device), _positions(np.arange(len(dataset.test)), device)
    own_labels = torch.from_numpy(labels).to(device)

    def order(training: Training, places: np.ndarray) -> IndexStream:
        sample = SAMPLINGS[training.sampling]
        chosen = sample(labels, seeds.resampling(job.case.id, training.sampling))
        rng = seeds.batch_order(training.id, training.run)
        return IndexStream(places[chosen], grid.recipe.batch, rng)

    def judged(head: Weights, train_features: Tensor, test_features: Tensor) -> tuple[np.ndarray, ...]:
        return tuple(
            net.forward(features, head, net.head).squeeze(0).cpu().numpy()
            for features in (test_features, train_features)
        )

    fitted = {}
    for first in job.full:
        start = perf_counter()
        weights = net.initial([seeds.initial_weights(job.case.id, first.run)])
        weights = [tuple(w.to(device) for w in layer) for layer in weights]
        fit(net, weights, pool, [order(first, members)], grid.recipe, first.loss)
        body, head = weights[: net.head], weights[net.head :]
        below = outputs(net, body, pool, own, stop=net.head)
        below_test = outputs(net, body, test, all_test, stop=net.head)
        fitted[first.id] = Fitted(*judged(head, below, below_test), perf_counter() - start)
        for second in (t for t in job.second if t.parent == first):
            start = perf_counter()
            tuned = [tuple(w.clone() for w in layer) for layer in head]
            places = np.arange(len(members))
            fit(
                net,
                tuned,
                Features(below, own_labels),
                [order(second, places)],
                grid.recipe,
                second.loss,
                start=net.head,
                rate_factor=grid.recipe.second_phase_rate,
            )
            fitted[second.id] = Fitted(*judged(tuned, below, below_test), perf_counter() - start)
    return fitted


def _positions(places: np.ndarray, device: str) -> Tensor:
    return torch.from_numpy(places).to(device)


def _judge(
    row: Row, network: Fitted, labels: np.ndarray, test_labels: np.ndarray, roles: Roles, grid: Grid
) -> Record:
    """A method's verdict on one network. The prior is that of the case's set, before sampling."""
    counts = np.array(roles.counts)
    scores = score(network.test, test_labels, counts, row.method.decision)
    alive = scores.status != "diverged" and bool(np.isfinite(network.train).all())
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
        "base_rate": grid.recipe.rate.base,
        **asdict(scores),
        "train_accuracy": float(np.mean(chosen == labels)) if alive else None,
        "train_loss": cross_entropy(network.train, labels) if alive else None,
        "seconds": network.seconds,
    }


def _describe_case(job: Job, grid: Grid, roles: Roles) -> Record:
    case = job.case
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
    }


def _describe_place(device: str, code: str) -> Record:
    packages = ("torch", "numpy", "scikit-learn", "scipy", "pyarrow")
    return {
        "device": machine.describe(device),
        "threads": machine.THREADS,
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


