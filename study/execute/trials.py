"""Jobs as trials of Ray Tune: one process a worker, which goes on from job to job."""

import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler

from study.checkpoints import Arrays, Keeper
from study.data.pictures import Pictures
from study.engine.means import Means
from study.errors import UserError, failure
from study.execute import ATTEMPTS, Watch, Work, again
from study.execute.loggers import means
from study.execute.needs import Needs
from study.execute.watchdog import watched
from study.execute.writer import LAST_WORDS
from study.limits import over
from study.plan import Job
from study.results import Results


class Scribe(Keeper, Protocol):
    """The writer, wherever it is; what it answers is to be waited for."""

    def write(self, results: Results) -> str | None:
        """Add the results of a job; what is wrong with the store, where they cannot be."""

    def hung(self, job: str, stacks: str) -> None:
        """A worker about to end says where its job stands."""

    def words(self, job: str) -> str | None:
        """What the last worker of a job said before it ended; told once."""


class Beside:
    """A writer that is an actor of this cluster's."""

    def __init__(self, actor: Any):
        self._actor = actor

    def write(self, results: Results) -> str | None:
        wrong: str | None = ray.get(self._actor.write.remote(results))
        return wrong

    def keep(self, key: str, arrays: Arrays) -> None:
        ray.get(self._actor.keep.remote(key, arrays))

    def kept(self, key: str) -> Arrays | None:
        found: Arrays | None = ray.get(self._actor.kept.remote(key))
        return found

    def hung(self, job: str, stacks: str) -> None:
        ray.get(self._actor.hung.remote(job, stacks), timeout=LAST_WORDS)

    def words(self, job: str) -> str | None:
        words: str | None = ray.get(self._actor.words.remote(job), timeout=LAST_WORDS)
        return words


@dataclass(frozen=True)
class Crew:
    """What the workers of a run share. `work` lies in the object store, a copy for each node.

    limit: seconds that a job may take.
    """

    work: Any
    means: Means
    writer: Scribe
    needs: Needs
    workers: int | None
    limit: Callable[[Job], float]
    loggers: Callable[[Callable[[str], None]], Sequence[tune.Callback]] = lambda note: ()


class Trial(tune.Trainable):
    """One job. The process goes on to the next; a job leaves nothing behind in it."""

    def setup(
        self, config: dict[str, Any], jobs: Any, work: Any, means: Means, writer: Scribe
    ) -> None:
        [there] = work
        self._jobs, self._work, self._means, self._writer = jobs, ray.get(there), means, writer
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job, self._limit = self._jobs[new_config["job"]]
        return True

    def step(self) -> dict[str, Any]:
        try:
            look(self._work)
            with watched(self._limit, partial(self._writer.hung, self._job.id)):
                results = self._work.do(self._job, self._means, self._writer)
        except UserError as error:  # the same each time, and not the program's to mend
            return {"done": True, "wrong": str(error)}
        if wrong := self._writer.write(results):
            return {"done": True, "wrong": wrong}
        return {"done": True, "notes": results.notes, **means(results)}


def look(work: Work) -> None:
    """Refuse a node that lacks the images which stay on disk."""
    for split in work.dataset.all_three if work.dataset else ():
        if isinstance(split.images, Pictures) and len(split) and not split.images.root.is_dir():
            raise UserError(
                f"{split.images.root}: no such folder on node {ray.util.get_node_ip_address()}; "
                f"images that stay on disk must lie at the same --data on every node"
            )


class NoOrder(FIFOScheduler):
    """Lets Tune take the trials as they come. By its default a process that is free is given the
    first trial that waits, which is the one that a new process is being started for: where jobs
    are shorter than that start, it is ended each time, and a node that joins never gets a job.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        return None


class Stop(BaseException):
    """Ends a fit where it stands. Tune would catch an Exception, and wait for its workers."""


class Relay(tune.Callback):
    """Tells the watch what becomes of each trial, and keeps the ids of the jobs that are over.

    The watch is told at the end of a step: what it raises where Tune calls back, Tune takes for a
    trial's.
    """

    def __init__(self, watch: Watch, crew: Crew):
        self.jobs: Mapping[str, Job] = {}
        self.over: set[str] = set()
        self.error: Exception | None = None
        self._watch, self._crew = watch, crew
        self._begun: dict[str, float] = {}
        self._told: list[Callable[[], None]] = []

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that is not used."""
        return {}

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        job = self._job(trial)
        self._begun[job.id] = monotonic()
        self._told.append(partial(self._watch.begun, job))

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        job = self._job(trial)
        self.note(again(job, self._why(job, trial)))

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        job = self._job(trial)
        if wrong := trial.last_result.get("wrong"):
            self.error = self.error or UserError(wrong)
            return
        self.over.add(job.id)
        for text in trial.last_result.get("notes", ()):
            self.note(text)
        self._told.append(partial(self._watch.done, job))

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        job = self._job(trial)
        self.over.add(job.id)
        self._told.append(partial(self._watch.failed, job, self._why(job, trial)))

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        self.tell()
        if self.error:
            raise Stop

    def note(self, text: str) -> None:
        """A line for the watch."""
        self._told.append(partial(self._watch.note, text))

    def tell(self) -> None:
        """Let the watch know what has happened since."""
        told, self._told = self._told, []
        try:
            for tell in told:
                tell()
        except Exception as error:
            self.error = self.error or error

    def _why(self, job: Job, trial: Any) -> str:
        """What there is to tell of an attempt that failed."""
        file = trial.error_file
        text = Path(file).read_text() if file and Path(file).exists() else "the worker process died"
        kept = trial.pickled_error_file  # beside the driver; where Tune keeps it, it is late
        error = ray.cloudpickle.loads(Path(kept).read_bytes()) if kept else None
        if isinstance(error, ray.exceptions.RayActorError):
            text = (
                f"{text.rstrip()}\nits worker process died: killed, out of memory, or with its node"
            )
        return self._hung(job) or text

    def _hung(self, job: Job) -> str | None:
        """What there is to tell of a job that was ended at its limit; None of any other."""
        limit = self._crew.limit(job)
        if words := self._words(job):
            return f"{words}\n{over(limit)}"
        if monotonic() - self._begun.get(job.id, monotonic()) < limit:
            return None
        return f"where it stood is not known: it kept Python's lock\n{over(limit)}"

    def _words(self, job: Job) -> str | None:
        with suppress(ray.exceptions.RayError):
            return self._crew.writer.words(job.id)
        return None

    def _job(self, trial: Any) -> Job:
        return self.jobs[trial.config["job"]]


def finish(jobs: Sequence[Job], crew: Crew, watch: Watch) -> None:
    """Fit until every job is done or has failed; stop at the first thing wrong with all of them.

    Tune itself gives up where a worker dies in certain ways (killed for memory, for one): what it
    leaves is put to it again, until it gives up several times with nothing done in between.
    """
    relay = Relay(watch, crew)
    attempt = 1
    while left := [job for job in jobs if job.id not in relay.over]:
        reason = "Ray Tune ended without this job"
        try:
            fit(left, crew, relay)
        except Stop:
            pass
        except Exception as error:
            reason = traceback.format_exc()
            relay.note(f"Ray Tune gave up ({failure(error)})")
        relay.tell()
        if relay.error:
            raise relay.error
        if any(job.id in relay.over for job in left):
            attempt = 1
        elif attempt < ATTEMPTS:
            attempt += 1
        else:
            for job in left:
                watch.failed(job, reason)
            return


def fit(jobs: Sequence[Job], crew: Crew, relay: Relay) -> None:
    """One Tune run over these jobs."""
    relay.jobs = {name(job): job for job in jobs}
    timed = {key: (job, crew.limit(job)) for key, job in relay.jobs.items()}
    shared = {"work": [crew.work], "means": crew.means, "writer": crew.writer}
    labels = crew.needs.labels()
    asks = tune.PlacementGroupFactory([crew.needs.bundle()], bundle_label_selector=[labels])
    trainable = tune.with_resources(tune.with_parameters(Trial, jobs=timed, **shared), asks)
    with tempfile.TemporaryDirectory(prefix="study-tune-") as scratch:
        tune.Tuner(
            trainable,
            param_space={"job": tune.grid_search([*relay.jobs])},
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                max_concurrent_trials=crew.workers or 0,
                scheduler=NoOrder(),
                trial_name_creator=named,
            ),
            run_config=tune.RunConfig(
                name="jobs",
                storage_path=scratch,
                verbose=0,
                # one at the end, Tune's default, would need the driver's disk on every node
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=ATTEMPTS - 1),
                callbacks=[relay, *crew.loggers(relay.note)],
            ),
        ).fit()


def name(job: Job) -> str:
    """What Tune and loggers call a job: its first case, and what it alone has."""
    return f"{job.dues[0].case.id}-{job.id}"


def named(trial: Any) -> str:
    """The name of a trial's job. Tune pickles this with every trial, so it holds no jobs."""
    own: str = trial.config["job"]
    return own
