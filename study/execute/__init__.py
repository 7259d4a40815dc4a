"""Ways to get jobs done: `ray` (Ray Tune, a trial a job) and `inprocess` (no Ray at all)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from study.data import Dataset
from study.grid import Grid
from study.plan import Job
from study.store import Store

ATTEMPTS = 2
"""How often a job is tried before it counts as failed."""


@dataclass(frozen=True)
class Work:
    """What every job of a run shares."""

    grid: Grid
    dataset: Dataset
    store: Store
    code: str


class Watch(Protocol):
    """Who is told how the jobs fare."""

    def done(self, job: Job) -> None:
        """The job's results are in the store."""

    def failed(self, job: Job, traceback: str) -> None:
        """Every attempt at the job raised; this is the last one's traceback."""


@dataclass(frozen=True)
class Place:
    """Where the work is done; never what comes out of it.

    Without workers or address: as many as the cluster holds, and a cluster of one's own.
    """

    device: str
    workers: int | None = None
    address: str | None = None


Executor = Callable[[Sequence[Job], Work, Watch, Place], None]

EXECUTORS = {"ray": "study.execute.ray", "inprocess": "study.execute.inprocess"}


def executor(name: str) -> Executor:
    """The executor of that name; its module, and so Ray, is imported only now."""
    found: Executor = import_module(EXECUTORS[name]).execute
    return found
