"""How long a plan will take here: a few steps of its net on noise, measured, times their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from study.data import Dataset
from study.data.own import memory
from study.engine import machine
from study.engine.means import MOST, Means
from study.engine.rehearsal import LAPS, Rehearsal, choose, room
from study.errors import UserError
from study.grid import Grid
from study.plan import Due, count


@dataclass(frozen=True)
class Pace:
    """Seconds for a network's step of a full training, its step of a second phase, and an image
    that it is shown without learning.
    """

    step: float
    second_step: float
    image: float


ENOUGH = 8
"""Networks of a pack that are timed on a CPU: one more takes as long as any."""

BYTES = 12
"""Of a weight while it is trained: itself, its gradient and its momentum."""

LIGHT = 5_000_000_000
"""Products in a step that a CPU rehearses; of a heavier one fewer images stand for all, as a CPU
takes as long for each.
"""


def measure(grid: Grid, means: Means, nets: int) -> Pace:
    """Time each kind of work once, in packs that the device takes and so many networks fill. The
    reading of images that stay on disk is not in it.
    """
    machine.settle()
    net, recipe = grid.net, grid.recipe
    _check_room(grid)
    most = MOST if means.device == "cuda" else ENOUGH
    k = max(1, min(room(net, recipe, means, images=0), nets, most))
    how = choose(net, recipe, means, k)
    batch, laps = recipe.batch, LAPS
    if means.device == "cpu" and 3 * net.products * batch * k > LIGHT:
        batch, laps = max(4, LIGHT // (3 * net.products * k)), 5
    few = recipe.model_copy(update={"batch": min(batch, recipe.batch)})
    rehearsal, share = Rehearsal(net, few, means.device, k), few.batch / recipe.batch
    return Pace(
        step=rehearsal.pace(how, laps) / k / share,
        second_step=rehearsal.second_pace(how, laps) / k / share,
        image=rehearsal.evaluation_pace(how, laps) / k,
    )


def _check_room(grid: Grid) -> None:
    """Refuse a net of which this machine's memory holds not one."""
    weights = sum(prod(own.shape) for layer in grid.net.parameters for own in layer)
    if (size := BYTES * weights) > memory():
        raise UserError(
            f"model: found {grid.model!r}; a network of it has {weights:,} weights for images of "
            f"{' x '.join(map(str, grid.form.image))}, which takes {size:,} bytes to train; this "
            f"machine has {memory():,}"
        )


def estimate(
    dues: Sequence[Due], grid: Grid, pace: Pace, workers: int, dataset: Dataset | None = None
) -> float:
    """Seconds that the cases take on so many workers, start-up apart.

    Without the data evaluation is counted where the grid says on how many images.
    """
    total, steps = count(dues), grid.recipe.iterations
    times = 1 + (steps // grid.curve if grid.curve else 0)
    work = total.full * steps * pace.step + total.second * steps * pace.second_step
    return (work + times * _evaluated(dues, grid, dataset) * pace.image) / workers


def _evaluated(dues: Sequence[Due], grid: Grid, dataset: Dataset | None) -> int:
    """Images that networks are shown at one look, as far as the grid or the data say how many;
    those of a second phase whose features are kept cost nothing.
    """
    data, still = grid.dataset, grid.net.still
    if dataset:
        judged = len(dataset.test) + len(dataset.validation)
        pool, own = list(dataset.pool.counts(grid.form.classes)), True
    else:
        judged = grid.form.classes * ((data.test_per_class or 0) + (data.validation_per_class or 0))
        pool = [data.train_per_class or 0] * grid.form.classes
        own = data.train_per_class is not None or grid.imbalance.kind == "counts"
    return sum(
        (judged + (sum(due.case.roles(pool).counts) if own else 0))
        * (len(due.full) + (0 if still else len(due.second)))
        for due in dues
    )
