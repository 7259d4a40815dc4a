"""Every grid's small version, run to its end with a few iterations on images made for it."""

import numpy as np
import pytest
from PIL import Image

from study.data import imagenet
from study.gridfile import read_grid
from study.plan import count, plan
from study.run import main
from study.store import Store
from tests.conftest import ROOT

GRIDS = sorted((ROOT / "grids").glob("*.yaml"))

DIGITS = "{name: synthetic, difficulty: 0.3, train_images: 1100, test_images: 10%s}"
COLOUR = (
    "{name: synthetic, size: 32, channels: 3, difficulty: 0.3, train_images: 20, test_images: 3, "
    "preprocess: gcn_zca%s}"
)
STAND_IN = {
    "quickstart": [],
    "mnist": [f"dataset={DIGITS % ', train_per_class: 1000'}"],
    "full_mnist": [f"dataset={DIGITS % ''}"],
    "cifar10": [f"dataset={COLOUR % ', train_per_class: 10'}", "imbalance.rho=10"],
    "cifar10_balanced": [f"dataset={COLOUR % ', train_per_class: 10'}"],
    "cifar10_resplit": [
        f"dataset={COLOUR % ', train_per_class: 10, test_per_class: 3, splits: 2'}"
    ],
    "full_cifar10": [f"dataset={COLOUR % ''}", "imbalance={kind: natural}"],
    "imagenet": [],
}
"""Changes by a grid's name, or how it begins: what its set is replaced by."""


def changes(name):
    kind = name if name in STAND_IN else name.removeprefix("full_").partition("_")[0]
    words = [*STAND_IN[kind], "recipe.iterations=3", "recipe.batch=8"]
    grid = read_grid(ROOT / f"grids/{name}.yaml", small=True).grid
    if grid.imbalance.kind in ("step", "linear") and name.startswith("mnist"):
        words.append(
            "imbalance.rho=[10, 1000]" if name != "mnist_reduced" else "imbalance.rho=1000"
        )
    if grid.curve:
        words.append("curve=2")
    return [word for change in words for word in ("--set", change)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Ten classes of JPEGs of several sizes, as ILSVRC-2012 lies on disk."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, each in (("train", 3), ("val", 1)):
        for label in range(10):
            place = folder / "imagenet" / split / f"n{label:08}"
            place.mkdir(parents=True)
            for number in range(each):
                height, width = rng.integers(30, 60, 2)
                pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.JPEG")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_a_small_version_runs_to_its_end(path, tmp_path, photographs, monkeypatch):
    monkeypatch.setattr(imagenet, "CLASSES", 10)
    words = ["--small", "--executor", "inprocess", "--limit", "1", *changes(path.stem)]
    words += ["--results", str(tmp_path), "--data", str(photographs)]
    assert main([str(path), *words]) == 0
    (folder,) = tmp_path.iterdir()
    grid = read_grid(path, small=True).grid
    expected = count(plan(grid)[:1]).records
    records = Store(folder).read().to_pylist()
    assert len(records) == expected
    assert {record["method"] for record in records} == {c.method.id for c in grid.methods}
    assert len({(record["base_rate"], record["run"]) for record in records}) == (
        len(grid.recipe.rate.base) * grid.runs
    )
    if grid.curve:
        assert all([p["iteration"] for p in record["curve"]] == [2] for record in records)
