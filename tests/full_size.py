"""Results of the size of the whole MNIST study, made up: 36,000 records in a part a case."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from study.methods import METHODS
from study.schema import SCHEMA

RHOS = (10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
MUS = tuple(round(0.1 * i, 1) for i in range(1, 10))
REPLICATES = 50
IN_ALL = len(RHOS) * (len(MUS) + 1) * REPLICATES * len(METHODS)

LIFT = {"none": 0.0, "over": 0.02, "under": -0.01}
"""What a sampling adds to the AUC of the baseline."""


def write(results: Path, replicates: int = REPLICATES) -> None:
    """The stores mnist_step and mnist_linear below a folder."""
    rng = np.random.default_rng(0)
    cells = {
        "mnist_step": list(itertools.product(RHOS, MUS)),
        "mnist_linear": [(rho, None) for rho in RHOS],
    }
    for study, of_study in cells.items():
        parts = results / study / "records"
        parts.mkdir(parents=True)
        for (rho, mu), replicate in itertools.product(of_study, range(replicates)):
            records = case(study, rho, mu, replicate, rng)
            table = pa.Table.from_pylist(records, schema=SCHEMA)
            pq.write_table(table, parts / f"{records[0]['case_id']}.parquet", compression="zstd")


def case(study, rho, mu, replicate, rng):
    """The records of a case: scores fall with rho and mu, sampling and decision shift them."""
    kind = study.partition("_")[2]
    sizes = np.linspace(5000, 5000 / rho, 10)
    minority = sorted(rng.choice(10, round(10 * mu), replace=False).tolist()) if mu else None
    if minority is not None:
        sizes = np.where(np.isin(np.arange(10), minority), 5000 / rho, 5000)
    name = f"{kind}-{rho:g}-{mu}-{replicate}"
    hurt = 0.01 * np.log10(rho) * (mu or 0.2) + 0.003 * rng.normal()
    return [
        {
            "record_id": f"{name}-{method.id}",
            "case_id": name,
            "training_id": f"{name}-{method.sampling}-{method.second_phase}",
            "grid": study,
            "dataset": "mnist",
            "model": "lenet5",
            "imbalance": kind,
            "rho": rho,
            "mu": mu,
            "n_minority": len(minority) if mu else None,
            "minority": minority,
            "class_counts": [max(1, int(size + 0.5)) for size in sizes],
            "replicate": replicate,
            "subset": replicate,
            "seed": 2018,
            "method": method.id,
            "sampling": method.sampling,
            "to": 1.0,
            "loss": method.loss,
            "second_phase": method.second_phase,
            "decision": method.decision,
            "iterations": 10000,
            "batch": 64,
            "precision": "strict",
            "base_rate": 0.01,
            "run": 0,
            **scores(method, hurt, sizes, rng),
            "test_counts": [1000] * 10,
            "train_accuracy": 0.999,
            "train_loss": 0.01,
            "seconds": 120 + rng.normal(),
            "device": "cpu",
            "pack": 1,
            "formulation": "plain",
            "threads": 1,
            "worker": "host:1",
            "code": "0" * 40,
            "versions": '{"python":"3.12.0","torch":"2.11.0"}',
            "finished_at": 1_700_000_000_000_000,
        }
        for method in METHODS.values()
    ]


def scores(method, hurt, sizes, rng):
    auc = float(np.clip(0.99 + LIFT[method.sampling] * 10 * hurt - hurt, 0.5, 1))
    recall = np.clip((1 - 4 * hurt) * (sizes / sizes.max()) ** 0.05 - 0.01 * rng.random(10), 0, 1)
    if method.decision == "prior":
        recall = np.sqrt(recall)
    right = np.round(1000 * recall).astype(int)
    wrong = ((1000 - right) // 9)[:, None].repeat(10, axis=1)
    np.fill_diagonal(wrong, 0)
    return {
        "status": "ok",
        "auc": auc,
        "accuracy": float(right.mean() / 1000),
        "auc_per_class": [auc] * 10,
        "recall_per_class": (right / 1000).tolist(),
        "confusion": (wrong + np.diag(1000 - wrong.sum(axis=1))).tolist(),
    }
