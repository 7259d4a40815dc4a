"""What Ray costs the harness beside the work: python -m bench.overhead.

Jobs of about a second are done by plain processes and then by the Ray executor, on as many cores;
then jobs that do nothing, with the driver's memory from the first to the last.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from rich.console import Console

from bench import images
from bench.contenders import TABLE
from bench.diary import Diary, pace, tenths
from bench.harness import training
from bench.learner import Advance, Start
from bench.machine import cores
from bench.naps import drawn
from bench.race import ROOT
from bench.race import measure as race
from bench.table import terminal
from study.checkpoints import Keeper
from study.command import Parser, guarded, stop, whole_number
from study.engine.means import Means
from study.execute import Place, Work, executor
from study.gridfile import read_grid
from study.plan import Job, plan
from study.results import Results
from study.store import Store

STEPS = 80
"""Of LeNet-5 in a job of about a second."""

FIRST = 3
"""Jobs a worker that are not counted: in them its process starts, and torch and memory settle."""

PLAIN_SECONDS = 15.0

GRID = ROOT / "grids" / "quickstart.yaml"


@dataclass(frozen=True)
class Steps(Work):
    """Jobs of so many steps of LeNet-5, none at all among them, that leave a case's records."""

    folder: Path = field(default_factory=Path)
    steps: int = 0

    def do(self, job: Job, means: Means, keeper: Keeper) -> Results:
        if self.steps:
            _trained(self.folder)(self.steps)
        return drawn(job, self.grid)


@cache
def _trained(folder: Path) -> Advance:
    return training(Start(folder, "cpu"))


class Watch(Diary):
    """Notes each job that is done; nothing else is to happen."""

    def begun(self, job: Job) -> None:
        """Nothing."""

    def done(self, job: Job) -> None:
        self.mark()

    def failed(self, job: Job, traceback: str) -> None:
        raise RuntimeError(traceback)

    def note(self, text: str) -> None:
        raise RuntimeError(text)


def under_ray(jobs: int, steps: int, folder: Path) -> Watch:
    """Do the jobs as a sweep does them."""
    grid = read_grid(GRID, [f"replicates={jobs}", "imbalance.rho=10", "imbalance.mu=0.5"]).grid
    watch = Watch()
    store = Store(folder / f"results-{steps}-steps")
    store.open(grid)
    work = Steps(grid, None, store, "", folder, steps)  # type: ignore[arg-type]
    executor("ray")(plan(grid), work, watch, Place(Means("cpu"), cores()))
    return watch


@dataclass(frozen=True)
class Overhead:
    """What was found; the jobs in which processes start are not counted.

    times: the jobs' wall time over that of the same steps in plain processes.
    milliseconds: from one job that does nothing to the next.
    megabytes: of the driver, after the first of them and at each tenth of the rest.
    """

    jobs: int
    seconds_a_job: float
    times: float
    empty_jobs: int
    milliseconds: float
    megabytes: list[float]


def measure(jobs: int, empty: int, folder: Path) -> Overhead:
    """Plain processes before and after the executor, so that a machine that slows down shows."""
    skip = FIRST * cores()

    def plain() -> float:
        return race(TABLE["harness"], folder, "cpu", PLAIN_SECONDS, folder.parent).rate

    before = plain()
    watch = under_ray(jobs + skip, STEPS, folder)
    after = plain()
    wall = watch.times[-1] - watch.times[skip - 1]
    rate = (before + after) / 2
    nothing = under_ray(empty + skip, 0, folder)
    return Overhead(
        jobs,
        STEPS * cores() / rate,
        wall / (jobs * STEPS / rate),
        empty,
        pace(nothing.times, skip),
        tenths(nothing.megabytes, skip),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 measured, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)
    return guarded(lambda: run(options), "stopped; nothing was kept")


def run(options: argparse.Namespace) -> int:
    """Measure and show."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data = Path(folder) / "data"
        images.write_noise(data)
        found = measure(options.jobs, options.empty, data)
    show(terminal(), found)
    return 0


def show(console: Console, found: Overhead) -> None:
    """The figures, against what is asked of them."""
    console.print(
        f"{found.jobs} jobs of {found.seconds_a_job:.2f} s: {found.times:.3f} times as long as "
        f"the same steps in {cores()} plain processes (asked: at most 1.15)\n"
        f"{found.empty_jobs:,} jobs that do nothing: {found.milliseconds:.1f} ms each "
        f"(asked: under 40)\n"
        f"the driver's memory over them, MB: {', '.join(f'{m:.0f}' for m in found.megabytes)}"
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser("python -m bench.overhead", "Measure what Ray costs beside the work.")
    p.add_argument(
        "--jobs",
        type=whole_number,
        default=200,
        metavar="N",
        help="of about a second each (default: 200)",
    )
    p.add_argument(
        "--empty",
        type=whole_number,
        default=5000,
        metavar="N",
        help="that do nothing (default: 5000)",
    )
    return p


if __name__ == "__main__":
    from bench.overhead import main  # workers cannot import what is called __main__

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main())
