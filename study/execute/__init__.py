"""Ways to get jobs done: `ray` (Ray Tune, a trial a job) and `inprocess` (no Ray at all)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from study.checkpoints import Keeper
from study.data import Dataset
from study.data.pictures import Pictures
from study.engine.means import Means
from study.errors import line
from study.grid import Grid
from study.job import run_job
from study.plan import Due, Job
from study.results import Results
from study.store import Store

ATTEMPTS = 3
"""How often a job is tried before it counts as failed: nodes that are lent come and go."""


@dataclass(frozen=True)
class Work:
    """What every job of a run shares."""

    grid: Grid
    dataset: Dataset
    store: Store
    code: str

    @property
    def reads(self) -> bool:
        """Whether jobs read their images from disk."""
        return self.dataset is not None and isinstance(self.dataset.pool.images, Pictures)

    def do(self, job: Job, means: Means, keeper: Keeper) -> Results:
        """A job, from start to records; code of the user's own that leaves ends no process."""
        try:
            return run_job(job, self.grid, self.dataset, means, self.code, keeper)
        except SystemExit as error:
            raise RuntimeError(f"code of the grid's own calls sys.exit({error})") from error


class Watch(Protocol):
    """Who is told how the jobs fare."""

    def begun(self, job: Job) -> None:
        """A worker has taken the job up; again where it is tried again."""

    def done(self, job: Job) -> None:
        """The job's results are in the store."""

    def failed(self, job: Job, traceback: str) -> None:
        """Every attempt at the job failed; this tells of the last one, its last line why."""

    def note(self, text: str) -> None:
        """Something that a job has to say."""


@dataclass(frozen=True)
class Place:
    """Where the work is done, for how long at most, and who else is told; never what comes of it.

    Without workers or address: as many as the cluster holds, and a cluster of one's own.
    limit: seconds that a job may take; None: as study/limits.py has it.
    log: names of LOGGERS, where Tune works beside the driver.
    """

    means: Means
    workers: int | None = None
    address: str | None = None
    limit: float | None = None
    log: tuple[str, ...] = ()


Executor = Callable[[Sequence[Due], Work, Watch, Place], None]
"""Gathers cases into jobs as the place wants them, and gets them done."""

CLUSTERS = "needed: auto, HOST:PORT or ray://HOST:PORT of a running cluster"

LOGGERS = {"mlflow": "mlflow", "tensorboard": "tensorboardX", "wandb": "wandb"}
"""Who may be told of every job, by integrations of Ray's -> the package that each needs."""

EXECUTORS = {"ray": "study.execute.ray", "inprocess": "study.execute.inprocess"}


def again(job: Job, traceback: str) -> str:
    """What a watch is told of an attempt that is not the last."""
    return f"{job}: tried again, after {line(traceback.strip().splitlines()[-1])}"


def reach(place: Place) -> None:
    """Refuse an address where no cluster answers, before anything is begun there."""
    if place.address:
        import_module("study.execute.cluster").reach(place.address)


def executor(name: str) -> Executor:
    """The executor of that name; its module, and so Ray, is imported only now."""
    found: Executor = import_module(EXECUTORS[name]).execute
    return found
