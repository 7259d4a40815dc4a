"""The Ray executor: a Tune trial a job, one process a worker, and one writer beside the driver.

Workers hand their results to the writer, which alone touches the store: it needs to be on no disk
but the driver's, and what a trial has finished is stored before Tune hears of it. Tune's own
results, checkpoints and restore are not used; to resume is to run the command again.
"""

import logging
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace

# Read by Ray when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is the command's to handle
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # its box is printed at any verbosity
os.environ["TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S"] = "600"

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.engine import machine
from study.execute import Place, Watch, Work, afar, cluster, loggers, trials
from study.execute.needs import needs, workers
from study.execute.pace import rehearsed
from study.execute.writer import Writer
from study.limits import limit
from study.plan import Due, gather

CHUNK, EACH = 1000, 20
"""Trials a `fit`, as the driver's memory grows with their number, but so many for every worker, as
each fit begins with new processes.
"""


def execute(dues: Sequence[Due], work: Work, watch: Watch, place: Place) -> None:
    """Run the jobs on a cluster: the one at `address`, or one made on this machine."""
    stop = signal.getsignal(signal.SIGTERM)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a failure is told by the watch
    cluster.connect(place, work.grid)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)  # Ray puts its own in its place, which aborts
    try:
        if ray.util.client.ray.is_connected():
            afar.execute(dues, work, watch, place)
            return
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        writer = ray.remote(Writer).options(
            num_cpus=0, scheduling_strategy=here, max_restarts=-1, max_task_retries=-1
        )
        conduct(dues, work, watch, place, trials.Beside(writer.remote(work.store)))
    finally:
        ray.shutdown()


def conduct(
    dues: Sequence[Due], work: Work, watch: Watch, place: Place, writer: trials.Scribe
) -> None:
    """Run the jobs on the cluster that this process has joined."""
    means = replace(place.means, device=cluster.device(place.means.device))
    means.check(work.grid.recipe.precision, work.grid.name)
    place = replace(place, means=means)
    machines = cluster.machines()
    many = workers(place, machines)
    asks = needs(place, machines, work.reads)
    pace, memory = rehearsed(dues, work, watch, place, asks)
    loaders = int(asks.cores) if place.address else max(1, machine.cores() // many)
    crew = trials.Crew(
        work=ray.put(work),
        means=replace(means, loaders=means.loaders or loaders if work.reads else 1),
        writer=writer,
        needs=replace(asks, memory=memory),
        workers=place.workers,
        limit=lambda job: place.limit or limit(job, work, pace, min(1.0, asks.cards or 1.0)),
        loggers=lambda note: loggers.made(place.log, work.store, note),
    )
    jobs = gather(dues, means.most, many)
    size = max(CHUNK, EACH * many)
    for begin in range(0, len(jobs), size):
        trials.finish(jobs[begin : begin + size], crew, watch)
