"""Time limits: how long a job may take before it counts as hung."""

from study.estimate import Pace, estimate
from study.execute import Work
from study.plan import Job

FLOOR = 600.0
"""Seconds that every job has: to load libraries, to read images, to be one of many on a machine."""

TIMES = 10.0
"""How many times as long as estimated a job may take beyond them."""


UNKNOWN = 7 * 86_400.0
"""Seconds that a job has of which nobody can tell how long it takes."""


def limit(job: Job, work: Work, pace: Pace | None, share: float = 1.0) -> float:
    """Seconds that the job may take, of a machine or card of which it has a share. Where the pace
    could not be measured, or images are read from disk, which no pace holds, it is not known.
    """
    if pace is None or work.reads:
        return UNKNOWN
    return FLOOR + TIMES * estimate(job.dues, work.grid, pace, 1, work.dataset) / share


def over(seconds: float) -> str:
    """What is said of a job that ran past this limit."""
    minutes = seconds / 60
    shown = f"{minutes:.2g}" if minutes < 10 else f"{minutes:,.0f}"
    return f"ended at its time limit of {shown} min; --job-minutes N sets another"
