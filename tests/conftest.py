"""What many tests need: small grids, and one thread."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from study.engine.means import Means
from study.grid import Grid
from study.gridfile import check
from study.plan import Job, plan

torch.set_num_threads(1)

ROOT = Path(__file__).parent.parent

TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": {
        "name": "synthetic",
        "size": 16,
        "classes": 4,
        "difficulty": 0.4,
        "train_images": 40,
        "test_images": 10,
        "train_per_class": 30,
        "test_per_class": 10,
    },
    "imbalance": {"kind": "step", "rho": [10], "mu": [0.5]},
    "replicates": 2,
    "model": "lenet5",
    "recipe": {
        "iterations": 8,
        "batch": 16,
        "rate": {"policy": "inv", "base": 0.01, "gamma": 1e-4, "power": 0.75},
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "bias_rate": 2,
    },
}


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above`; a section that names another schema replaces it."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        both = isinstance(value, dict) and isinstance(old, dict)
        other = both and {"name", "kind", "policy"} & value.keys()
        result[key] = merged(old, value) if both and not other else value
    return result


def raw_grid(**changes: Any) -> dict[str, Any]:
    """The keys of a grid whose cases take a fraction of a second."""
    return merged(TINY, changes)


def tiny_grid(**changes: Any) -> Grid:
    return check(raw_grid(**changes), "tiny")


CPU = Means("cpu")


def job_of(grid: Grid, *numbers: int) -> Job:
    """The job of these cases of a grid, or of its first."""
    dues = plan(grid)
    return Job(tuple(dues[number] for number in numbers or (0,)))


@pytest.fixture
def grid_file(tmp_path):
    """Writes the tiny grid, changed, to a file."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(raw_grid(**changes)))
        return path

    return write


@contextmanager
def without_privileges():
    """Permissions hold for everyone in here, root too."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
