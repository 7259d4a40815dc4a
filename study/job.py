"""One job from start to records: the science on one page."""

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from study import __version__, seeds
from study.data import Dataset
from study.engine import machine
from study.engine.forward import outputs
from study.engine.inputs import Features, Images, IndexStream
from study.engine.train import finite, fit
from study.grid import Grid
from study.identity import canonical
from study.imbalance import Roles
from study.metrics import DECISIONS, DIVERGED, cross_entropy, score
from study.nets import NETS, Net, Weights
from study.plan import Job, Row, Training
from study.results import Record, Results
from study.sampling import SAMPLINGS


@dataclass(frozen=True)
class Fitted:
    """A network's logits on the test set and on its case's own images, whether its weights are
    finite, and what it cost.
    """

    test: np.ndarray
    train: np.ndarray
    finite: bool
    seconds: float


def run_job(job: Job, grid: Grid, dataset: Dataset, device: str, code: str) -> Results:
    """Draw the case, fit each of its networks once, and judge them by every method due."""
    machine.settle()
    roles = job.case.roles(dataset.pool.counts(grid.form.classes))
    members = job.case.draw(dataset.pool.labels, roles)
    fitted = _fit_all(job, grid, dataset, members, device)
    labels, test_labels = dataset.pool.labels[members], dataset.test.labels
    shared = _describe_case(job, grid, roles) | _describe_place(device, code)
    records = [
        shared | _judge(row, fitted[row.training.id], labels, test_labels, roles, grid)
        for row in job.rows
    ]
    predictions = {"labels": test_labels} if job.predictions else {}
    with np.errstate(over="ignore"):  # what float16 cannot hold is kept as infinite
        predictions |= {t.id: fitted[t.id].test.astype(np.float16) for t in job.predictions}
    return Results(job.id, records, predictions)


def _fit_all(
    job: Job, grid: Grid, dataset: Dataset, members: np.ndarray, device: str
) -> dict[str, Fitted]:
    """Every network of a job, by training.

    A second phase leaves what is below the head as it is: the features there are computed once,
    and serve the evaluation of the network, its second phases and their evaluation.
    """
    net, recipe = NETS[grid.model](grid.form), grid.recipe
    labels = dataset.pool.labels[members]
    pool = Images(dataset.pool, dataset.scale, device)
    test = Images(dataset.test, dataset.scale, device)

    def order(training: Training, places: np.ndarray) -> IndexStream:
        sample = SAMPLINGS[training.sampling]
        chosen = sample(labels, seeds.resampling(job.case.id, training.sampling))
        rng = seeds.batch_order(training.id, training.run)
        return IndexStream(places[chosen], recipe.batch, rng)

    fitted = {}
    for first in job.full:
        begin = perf_counter()
        weights = net.initial([seeds.initial_weights(job.case.id, first.run)])
        weights = [tuple(w.to(device) for w in layer) for layer in weights]
        fit(net, weights, pool, [order(first, members)], recipe, first.loss)
        body, head = weights[: net.head], weights[net.head :]
        features = outputs(net, body, pool, members, stop=net.head)
        test_features = outputs(net, body, test, np.arange(len(dataset.test)), stop=net.head)
        alive = finite(weights)
        fitted[first.id] = _finish(net, head, test_features, features, alive, begin)
        for second in (t for t in job.second if t.parent == first):
            begin = perf_counter()
            tuned = [tuple(w.clone() for w in layer) for layer in head]
            frozen = Features(features, torch.from_numpy(labels).to(device))
            orders = [order(second, np.arange(len(members)))]
            factor = recipe.second_phase_rate
            fit(net, tuned, frozen, orders, recipe, second.loss, net.head, factor)
            alive = finite(body) and finite(tuned)
            fitted[second.id] = _finish(net, tuned, test_features, features, alive, begin)
    return fitted


def _finish(
    net: Net, head: Weights, test: Tensor, train: Tensor, alive: bool, begin: float
) -> Fitted:
    """The head's logits on features of the test and of the case's images."""
    logits = (net.forward(features, head, net.head) for features in (test, train))
    of_test, of_train = (each.squeeze(0).cpu().numpy() for each in logits)
    return Fitted(of_test, of_train, alive, perf_counter() - begin)


def _judge(
    row: Row, network: Fitted, labels: np.ndarray, test_labels: np.ndarray, roles: Roles, grid: Grid
) -> Record:
    """A method's verdict on one network. The prior is that of the case's set, before sampling."""
    counts = np.array(roles.counts)
    scores = DIVERGED
    if network.finite:
        scores = score(network.test, test_labels, counts, row.method.decision)
    alive = scores is not DIVERGED and bool(np.isfinite(network.train).all())
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
