"""The in-process executor: one job after another, here; for a debugger, a notebook, no Ray."""

import traceback
from collections.abc import Sequence

from study.execute import ATTEMPTS, Place, Watch, Work
from study.job import run_job
from study.plan import Job


def execute(jobs: Sequence[Job], work: Work, watch: Watch, place: Place) -> None:
    """Run the jobs in this process, in their order."""
    for job in jobs:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                results = run_job(job, work.grid, work.dataset, place.device, work.code)
                work.store.write(results)
            except Exception:
                if attempt == ATTEMPTS:
                    watch.failed(job, traceback.format_exc())
            else:
                watch.done(job)
                break
