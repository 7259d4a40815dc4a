"""How long a plan will take here: a few steps of its net on noise, measured, times their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from study.data import Split
from study.engine import machine
from study.engine.forward import BATCH, outputs
from study.engine.inputs import Features, Images, IndexStream
from study.engine.train import fit
from study.grid import Grid
from study.nets import NETS
from study.plan import Job, count

STEPS = 12


@dataclass(frozen=True)
class Pace:
    """Seconds for a step of a full training, a step of a second phase, and an image evaluated."""

    step: float
    second_step: float
    image: float


def measure(grid: Grid, device: str) -> Pace:
    """Time each kind of work once, after a warm-up."""
    machine.settle()
    form = grid.form
    net = NETS[grid.model](form)
    rng = np.random.default_rng(0)
    number = max(BATCH, grid.recipe.batch)
    pixels = rng.integers(0, 256, (number, *form.image), dtype=np.uint8)
    labels = rng.integers(0, form.classes, number)
    images = Images(Split(pixels, labels), grid.dataset.scale, device)
    weights = [tuple(w.to(device) for w in layer) for layer in net.initial([rng])]
    some = np.arange(number)

    def seconds(steps: int, second: bool) -> float:
        recipe = grid.recipe.model_copy(update={"iterations": steps})
        order = IndexStream(np.arange(number), recipe.batch, rng)
        begin = perf_counter()
        if second:
            features = Features(below, torch.from_numpy(labels).to(device))
            fit(net, weights[net.head :], features, [order], recipe, "cross_entropy", net.head)
        else:
            fit(net, weights, images, [order], recipe, "cross_entropy")
        if device == "cuda":
            torch.cuda.synchronize()
        return perf_counter() - begin

    below = outputs(net, weights[: net.head], images, some, stop=net.head)
    begin = perf_counter()
    outputs(net, weights[: net.head], images, some, stop=net.head)
    image = (perf_counter() - begin) / number
    seconds(STEPS, second=False), seconds(STEPS, second=True)
    return Pace(
        step=seconds(STEPS, second=False) / STEPS,
        second_step=seconds(20 * STEPS, second=True) / (20 * STEPS),
        image=image,
    )


def estimate(jobs: Sequence[Job], grid: Grid, pace: Pace, workers: int) -> float:
    """Seconds that the jobs take on so many workers, start-up apart.

    Evaluation is counted where the grid says on how many images; the rest shows only in the data.
    """
    total, steps = count(jobs), grid.recipe.iterations
    n_max = grid.dataset.train_per_class
    evaluated = total.full * (grid.dataset.test_per_class or 0) * grid.form.classes
    if n_max is not None:
        pool = [n_max] * grid.form.classes
        evaluated += sum(sum(job.case.roles(pool).counts) * len(job.full) for job in jobs)
    work = total.full * steps * pace.step + total.second * steps * pace.second_step
    return (work + evaluated * pace.image) / workers
