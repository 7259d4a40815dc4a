"""When each job of a run was done, and what memory its driver then held."""

import os
from pathlib import Path
from time import perf_counter


class Diary:
    """A line a job."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.megabytes: list[float] = []

    def mark(self) -> None:
        """One more job is done."""
        self.times.append(perf_counter())
        self.megabytes.append(held())


def held() -> float:
    """Megabytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def pace(times: list[float], skip: int) -> float:
    """Milliseconds from one job to the next, after the first `skip`, in which processes start."""
    return 1e3 * (times[-1] - times[skip - 1]) / (len(times) - skip)


def tenths(megabytes: list[float], skip: int) -> list[float]:
    """The memory after those and at each tenth of the rest."""
    counted = megabytes[skip - 1 :]
    return [counted[round(i * (len(counted) - 1) / 10)] for i in range(11)]
