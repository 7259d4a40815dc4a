"""The harness's step of ResNet-10, its images in memory and then streamed from files."""

import numpy as np
import torch

from bench.feed import Fed, Ready, Task, timed
from bench.race import ROOT
from study.data import Split
from study.data.pictures import Pictures
from study.engine import machine
from study.engine.formulations import FORMULATIONS
from study.engine.inputs import IndexStream
from study.engine.means import Means
from study.engine.rates import Fixed
from study.engine.rehearsal import choose
from study.engine.stream import Stream, reader
from study.engine.train import Course, Lockstep
from study.grid import Grid
from study.gridfile import read_grid

GRID = ROOT / "grids" / "imagenet_step.yaml"

EVERY = {"cpu": 4, "cuda": 20}
"""Steps between two looks at the clock: no fewer than the stream reads ahead."""

HELD = 4
"""Batches in memory, for the step that reads no file."""

WITHOUT_END = 10**6

RATE = 1e-3
"""Small, that noise drives no weight out of bounds."""


def in_memory(task: Task, ready: Ready) -> Fed:
    """A network trained on a few batches that lie on the device."""
    grid = _grid(task)
    split = photographs(grid, task)
    some = split.at(np.random.default_rng(0).integers(0, len(split), HELD * task.batch))
    assert isinstance(some.images, Pictures)
    held = Split(some.images.read_all(task.loaders), some.labels)
    return _trained(grid, held, task, ready)


def streamed(task: Task, ready: Ready) -> Fed:
    """The same network, fed from files as a study feeds it."""
    grid = _grid(task)
    return _trained(grid, photographs(grid, task), task, ready)


def photographs(grid: Grid, task: Task) -> Split:
    """The training images, on disk."""
    train, _ = grid.dataset.load(task.folder)
    return train


def _grid(task: Task) -> Grid:
    return read_grid(GRID, [f"recipe.batch={task.batch}"]).grid


def _trained(grid: Grid, split: Split, task: Task, ready: Ready) -> Fed:
    machine.settle()
    means, net, rng = Means(task.device, loaders=task.loaders), grid.net, np.random.default_rng(0)
    rate = Fixed(policy="fixed", base=(RATE,))
    recipe = grid.recipe.model_copy(update={"iterations": WITHOUT_END, "rate": rate})
    how, inputs = choose(net, recipe, means, 1), reader(split, grid.dataset.scale, means)
    weights = [tuple(w.to(task.device) for w in layer) for layer in net.initial([rng])]
    order = IndexStream(np.arange(len(split)), task.batch, rng)
    course = Course(order, RATE, None, rng, rng)
    every = EVERY[task.device]
    steps = Lockstep(net, weights, inputs, [course], recipe, FORMULATIONS[how]).run(every)

    def advance(times: int) -> None:
        for _ in range(times):
            next(steps)

    before = 0.0

    def begin() -> None:
        nonlocal before
        ready()
        before = inputs.waited if isinstance(inputs, Stream) else 0.0

    found, seconds = timed(advance, every * task.batch, task, begin)
    waited, loaders = None, 0
    if isinstance(inputs, Stream):
        waited, loaders = (inputs.waited - before) / seconds, task.loaders
        inputs.close()
    threads = torch.get_num_threads()
    return Fed(found, threads=threads, loaders=loaders, waited=waited, formulation=how)
