"""Ray Tune at its default settings: a trial a training, as many at once as there are cores."""

import os
import tempfile
from time import perf_counter
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # with verbose=0: nothing is drawn

import torch

from bench.contenders import Contender
from bench.learner import Start
from bench.machine import cores
from bench.processes import Tally, prepared
from bench.work import STEPS

WAVES = 2
"""Trials one after another on each core, so that one's end and the next one's start are seen."""

STEPS_A_SECOND = 40
"""Of a trial, for each second of the round that was asked for; with 8 seconds 320 steps."""


def trials(contender: Contender, start: Start, seconds: float) -> Tally:
    """All of `fit` is timed: what a trial costs belongs to it. Ray's own start does not."""
    import ray
    from ray import tune

    steps, number = max(50, round(seconds * STEPS_A_SECOND)), WAVES * cores()

    def training(config: dict[str, Any]) -> None:
        advance = prepared(contender, start)
        begin = perf_counter()
        losses = advance(steps)
        assert losses is not None
        passed = perf_counter() - begin
        threads = torch.get_num_threads()
        tune.report({"loss": losses.item(), "training_seconds": passed, "threads": threads})

    ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        with tempfile.TemporaryDirectory(prefix="bench-tune-") as folder:
            tuner = tune.Tuner(
                training,
                tune_config=tune.TuneConfig(num_samples=number),
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            )
            begin = perf_counter()
            results = tuner.fit()
            passed = perf_counter() - begin
        if results.errors:
            raise RuntimeError(f"{len(results.errors)} of {number} trials failed")
        within = sum(result.metrics["training_seconds"] for result in results) / number
        threads = results[0].metrics["threads"]
    finally:
        ray.shutdown()
    beside = passed / WAVES - within
    lasting = cores() * STEPS / (beside + within * STEPS / steps)
    note = (
        f"{number} trials of {steps} steps, {beside:.1f} s each beside its steps; "
        f"trials of {STEPS:,} steps: {lasting:.1f} network-steps/s"
    )
    return Tally(
        number * steps, passed, number * steps / passed, threads, processes=cores(), note=note
    )
