"""The Ray executor: a Tune trial a job, one process a worker, and one writer beside the driver.

Workers hand their results to the writer, which alone touches the store: it needs to be on no disk
but the driver's, and what a trial has finished is stored before Tune hears of it. Tune's own
results, checkpoints and restore are not used; to resume is to run the command again.
"""

import logging
import os
import signal
import socket
import tempfile
import threading
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# Read by Ray when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is the command's to handle
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # its box is printed at any verbosity
os.environ["TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S"] = "600"

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.checkpoints import Arrays
from study.data.pictures import Pictures
from study.engine import machine
from study.engine.means import Means
from study.errors import UserError
from study.execute import ATTEMPTS, Place, Watch, Work
from study.plan import Due, Job, gather
from study.store import Store

CLUSTER = "needed: auto, HOST:PORT or ray://HOST:PORT of a running cluster"

CHUNK = 1000
"""Trials a `fit`: the driver's memory grows with their number."""


class Beside:
    """Keeps checkpoints with the writer."""

    def __init__(self, writer: Any):
        self._writer = writer

    def keep(self, key: str, arrays: Arrays) -> None:
        ray.get(self._writer.keep.remote(key, arrays))

    def kept(self, key: str) -> Arrays | None:
        found: Arrays | None = ray.get(self._writer.kept.remote(key))
        return found


class Trial(tune.Trainable):
    """One job. The process goes on to the next; a job leaves nothing behind in it."""

    def setup(
        self, config: dict[str, Any], jobs: Any, work: Work, means: Means, writer: Any
    ) -> None:
        self._jobs, self._work, self._means, self._writer = jobs, work, means, writer
        self._keeper = Beside(writer)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job = self._jobs[new_config["job"]]
        return True

    def step(self) -> dict[str, Any]:
        try:
            results = self._work.do(self._job, self._means, self._keeper)
        except UserError as error:  # the same each time, and not the program's to mend
            return {"done": True, "wrong": str(error)}
        ray.get(self._writer.write.remote(results))
        return {"done": True, "notes": results.notes}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a job is done or it is not."""


class Relay(tune.Callback):
    """Tells the watch what becomes of each trial, and keeps the ids of the jobs that are over."""

    def __init__(self, watch: Watch):
        self.jobs: Sequence[Job] = ()
        self.over: set[str] = set()
        self.wrong: list[str] = []
        self._watch = watch

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that is not used."""
        return {}

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        job = self._ended(trial)
        if wrong := trial.last_result.get("wrong"):
            self.wrong.append(wrong)
            return
        for text in trial.last_result.get("notes", ()):
            self._watch.note(text)
        self._watch.done(job)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        file = trial.error_file
        text = Path(file).read_text() if file and Path(file).exists() else "the worker process died"
        self._watch.failed(self._ended(trial), text)

    def _ended(self, trial: Any) -> Job:
        job = self.jobs[trial.config["job"]]
        self.over.add(job.id)
        return job


def execute(dues: Sequence[Due], work: Work, watch: Watch, place: Place) -> None:
    """Run the jobs on a cluster: the one at `address`, or one made on this machine."""
    stop = signal.getsignal(signal.SIGTERM)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a failure is told by the watch
    _connect(place)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)  # Ray puts its own in its place, which aborts
    try:
        means = replace(place.means, device=_device(place.means.device))
        means.check(work.grid.recipe.precision, work.grid.name)
        place = replace(place, means=means)
        workers = _workers(place)
        place = replace(place, means=replace(means, loaders=_loaders(place, work, workers)))
        jobs = gather(dues, means.most, workers)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        writer = ray.remote(Store).options(num_cpus=0, scheduling_strategy=here)
        writer = writer.remote(work.store.folder)
        for begin in range(0, len(jobs), CHUNK):
            _finish(jobs[begin : begin + CHUNK], work, watch, place, writer)
    finally:
        ray.shutdown()


def _connect(place: Place) -> None:
    """Join the cluster at `address`, else start one here with a core a worker."""
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if place.address is None:
        ray.init("local", num_cpus=place.workers, include_dashboard=False, **quiet)
        return
    _listen(place.address)
    try:
        ray.init(place.address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"--address {place.address}: no Ray cluster answers there ({error}); {CLUSTER}"
        ) from None


def _listen(address: str) -> None:
    """Refuse at once an address where nothing listens; Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"--address {address}: nothing answers there ({error}); {CLUSTER}"
        ) from None


def _device(name: str) -> str:
    """The device that the cluster gives: it may have cards where the driver has none."""
    gpus = ray.cluster_resources().get("GPU", 0)
    if name == "cuda" and not gpus:
        raise UserError("--device cuda: the Ray cluster has no GPU; allowed: auto, cpu")
    return ("cuda" if gpus else "cpu") if name == "auto" else name


def _workers(place: Place) -> int:
    """How many jobs the cluster can hold at a time."""
    has = ray.cluster_resources()
    return place.workers or int(has.get("GPU" if place.means.device == "cuda" else "CPU", 1)) or 1


def _loaders(place: Place, work: Work, workers: int) -> int:
    """Threads of a job that read images: its share of the cores, where images stay on disk."""
    if not isinstance(work.dataset.pool.images, Pictures):
        return 1
    here = place.address is None
    cores = machine.cores() if here else int(ray.cluster_resources().get("CPU", 1))
    return place.means.loaders or max(1, cores // workers)


def _finish(jobs: Sequence[Job], work: Work, watch: Watch, place: Place, writer: Any) -> None:
    """Fit until every job is done or has failed.

    Tune itself gives up where a worker dies in certain ways (killed for memory, for one): what it
    leaves is put to it again, until it gives up several times with nothing done in between.
    """
    relay = Relay(watch)
    attempt = 1
    while left := [job for job in jobs if job.id not in relay.over]:
        reason = "Ray Tune ended without this job"
        try:
            _fit(left, work, place, writer, relay)
        except Exception:
            reason = traceback.format_exc()
        if relay.wrong:
            raise UserError(relay.wrong[0])
        if any(job.id in relay.over for job in left):
            attempt = 1
        elif attempt < ATTEMPTS:
            attempt += 1
        else:
            for job in left:
                watch.failed(job, reason)
            return


def _fit(jobs: Sequence[Job], work: Work, place: Place, writer: Any, relay: "Relay") -> None:
    """One Tune run over these jobs."""
    relay.jobs = jobs
    gpus = ray.cluster_resources().get("GPU", 0) if place.means.device == "cuda" else 0
    share = min(1.0, gpus / place.workers) if place.workers else float(bool(gpus))
    cores = place.means.loaders if place.address else 1  # here, a core a worker is all there is
    trainable = tune.with_resources(
        tune.with_parameters(Trial, jobs=list(jobs), work=work, means=place.means, writer=writer),
        {"cpu": cores, "gpu": share},
    )
    with tempfile.TemporaryDirectory(prefix="study-tune-") as scratch:
        tune.Tuner(
            trainable,
            param_space={"job": tune.grid_search(list(range(len(jobs))))},
            tune_config=tune.TuneConfig(
                reuse_actors=True, max_concurrent_trials=place.workers or 0
            ),
            run_config=tune.RunConfig(
                name="jobs",
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=ATTEMPTS - 1),
                callbacks=[relay],
            ),
        ).fit()
