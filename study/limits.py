"""Time limits: how long a job may take before it counts as hung."""

from study.estimate import Pace, estimate
from study.grid import Grid
from study.plan import Job

FLOOR = 600.0
"""Seconds that every job has: to load libraries, to read images, to be one of many on a machine."""

TIMES = 10.0
"""How many times as long as estimated a job may take beyond them."""


def limit(job: Job, grid: Grid, pace: Pace | None) -> float:
    """Seconds that the job may take; the floor alone where the pace could not be measured."""
    return FLOOR + (TIMES * estimate(job.dues, grid, pace, workers=1) if pace else 0.0)


def over(seconds: float) -> str:
    """What is said of a job that ran past this limit."""
    minutes = seconds / 60
    shown = f"{minutes:.2g}" if minutes < 10 else f"{minutes:,.0f}"
    return f"ended at its time limit of {shown} min; --job-minutes N sets another"
