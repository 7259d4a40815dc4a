"""The pace of the machines that jobs run on, measured once a run, before its jobs."""

import resource
import sys
from collections.abc import Sequence

import ray

from study.engine.means import Means
from study.errors import OWN, UserError, failure
from study.estimate import Pace, measure
from study.execute import Place, Watch, Work
from study.execute.inprocess import paced
from study.execute.needs import Needs
from study.grid import Grid
from study.plan import Due, count


def rehearsed(
    dues: Sequence[Due], work: Work, watch: Watch, place: Place, needs: Needs
) -> tuple[Pace | None, int]:
    """The pace, None where it is not needed or cannot be had; and on a cluster of others the
    bytes of memory that a process takes which has trained a network.

    A card is measured by a process that then leaves it, and the cluster of others by one of its
    own, which also shows whether the grid's own code is found there.
    """
    if place.address is None and place.means.device != "cuda":
        return (None if place.limit else paced(dues, work, watch, place)), 0
    task = ray.remote(_rehearse).options(
        num_cpus=needs.cores, num_gpus=needs.cards, label_selector=needs.labels()
    )
    try:
        pace, memory, wrong = ray.get(task.remote(work.grid, place.means, count(dues).full))
    except ray.exceptions.RayError as error:
        raise UserError(f"--address {place.address}: a node cannot run the grid: {error}") from None
    if wrong and not place.limit:
        watch.note(f"the time of a job cannot be estimated ({wrong})")
    return pace, memory if place.address else 0


def _rehearse(grid: Grid, means: Means, nets: int) -> tuple[Pace | None, int, str]:
    """The pace, the most memory that this process has held, and why there is no pace."""
    pace, wrong = None, ""
    try:
        pace = measure(grid, means, nets)
    except OWN as error:
        wrong = failure(error)
    unit = 1 if sys.platform == "darwin" else 1024
    return pace, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, wrong
