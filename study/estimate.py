"""How long a plan will take here: a few steps of its net on noise, measured, times their number."""

from collections.abc import Sequence
from dataclasses import dataclass

from study.engine import machine
from study.engine.means import MOST, Means
from study.engine.rehearsal import Rehearsal, choose, room
from study.grid import Grid
from study.nets import NETS
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


def measure(grid: Grid, means: Means, dues: Sequence[Due]) -> Pace:
    """Time each kind of work once, in packs that the device takes and the work fills."""
    machine.settle()
    net, recipe = NETS[grid.model](grid.form), grid.recipe
    most = MOST if means.device == "cuda" else ENOUGH
    k = max(1, min(room(net, recipe, means, images=0), count(dues).full, most))
    how = choose(net, recipe, means, k)
    rehearsal = Rehearsal(net, recipe, means.device, k)
    return Pace(
        step=rehearsal.pace(how) / k,
        second_step=rehearsal.second_pace(how) / k,
        image=rehearsal.evaluation_pace(how) / k,
    )


def estimate(dues: Sequence[Due], grid: Grid, pace: Pace, workers: int) -> float:
    """Seconds that the cases take on so many workers, start-up apart.

    Evaluation is counted where the grid says on how many images; the rest shows only in the data.
    """
    total, steps = count(dues), grid.recipe.iterations
    n_max = grid.dataset.train_per_class
    evaluated = total.full * (grid.dataset.test_per_class or 0) * grid.form.classes
    if n_max is not None:
        pool = [n_max] * grid.form.classes
        evaluated += sum(sum(due.case.roles(pool).counts) * len(due.full) for due in dues)
    work = total.full * steps * pace.step + total.second * steps * pace.second_step
    return (work + evaluated * pace.image) / workers
