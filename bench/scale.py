"""A study of 22,500 jobs that do nothing, under Ray: python -m bench.scale.

The command, the plan, the executor and the store are the real ones; a job sleeps and leaves the
records of its case, one of the 81 cells of the paper's MNIST study.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import yaml
from rich.console import Console

from bench.diary import pace, tenths
from bench.kept import Kept, come_back, fill, fold, planned, said
from bench.machine import Machine, describe
from bench.napping import DIARY
from bench.overhead import FIRST, GRID
from bench.race import ROOT, busy_cores
from bench.record import check
from bench.report import QUIET
from bench.table import say, table, terminal
from study import strictyaml
from study.command import Parser, guarded, place, stop, whole_number
from study.errors import UserError
from study.gridfile import read_grid
from study.parts import whole
from study.plan import plan
from study.revision import code_version
from study.store import Store

JOBS = 22_500

DONE = 8 / 9
"""Share of the jobs that is done where a run is resumed: 20,000 of 22,500."""

RATIOS = (2, 5, 10, 15, 20, 25, 30, 40, 50)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Ran:
    """The whole study. starting: seconds until the first job is done; closing: after the last one.

    milliseconds: from one job to the next, less what the jobs sleep; longest: of these, as when the
    executor begins on another thousand; megabytes: of the driver. All three are without the jobs in
    which processes start.
    """

    seconds: float
    starting: float
    closing: float
    milliseconds: float
    longest: float
    megabytes: list[float]


@dataclass(frozen=True)
class Found:
    """A run of the benchmark. plan: seconds of --plan with nothing done; loose: with a part a job;
    folded: as a run leaves them; compacting: seconds of study.store compact on these; busy: cores
    that other programs kept busy, the most that was seen.
    """

    date: str
    jobs: int
    done: int
    sleep: float
    workers: int
    machine: Machine
    plan: float
    loose: Kept
    folded: Kept
    compacting: float
    ran: Ran
    busy: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 measured, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)
    return guarded(lambda: run(options), "stopped; nothing was kept")


def run(options: argparse.Namespace) -> int:
    """Measure, show, and keep where that is asked for."""
    done = round(DONE * options.jobs) if options.done is None else options.done
    if done >= options.jobs:
        raise UserError(f"--done {done}: needed: fewer than --jobs {options.jobs}")
    if options.out is not None:
        check(options.out)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = measure(Path(folder), options.jobs, done, options.sleep, options.workers)
    console = terminal()
    show(console, found)
    if options.out is not None:
        with whole(options.out, replace=True) as out:
            out.write(json.dumps(asdict(found), indent=2).encode() + b"\n")
        console.print(f"all of it: {options.out}")
    return 0


def measure(folder: Path, jobs: int, done: int, sleep: float, workers: int) -> Found:
    """Everything, one after another."""
    console, busy = terminal(stderr=True), [busy_cores()]
    file = write_grid(folder / "scale.yaml", jobs)

    def words(results: str) -> list[str]:
        return [
            *(str(file), "--results", str(folder / results)),
            *("--device", "cpu", "--workers", f"{workers}"),
        ]

    console.print(f"the plan of {jobs:,} jobs")
    seconds = planned(words("new"))
    console.print(f"{done:,} parts are written")
    read = read_grid(file)
    store = folder / "done" / read.folder
    fill(Store(store), read.grid, plan(read.grid)[:done])
    busy.append(busy_cores())
    console.print("coming back to them")
    loose = come_back(store, words("done"))
    console.print("coming back to them as a run leaves them")
    fold(Store(store))
    folded = come_back(store, words("done"))
    start = time.perf_counter()
    said("-m", "study.store", "compact", str(store))
    compacting = time.perf_counter() - start
    busy.append(busy_cores())
    console.print(f"{jobs:,} jobs are done")
    ran = under_ray(folder, words("new"), sleep, workers)
    busy.append(busy_cores())
    return Found(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        jobs=jobs,
        done=done,
        sleep=sleep,
        workers=workers,
        machine=replace(describe("cpu"), revision=code_version()),
        plan=seconds,
        loose=loose,
        folded=folded,
        compacting=compacting,
        ran=ran,
        busy=round(max(busy), 2),
    )


def write_grid(file: Path, jobs: int) -> Path:
    """A grid of so many cases, dealt out evenly over 81 cells, or over the first of them."""
    raw = strictyaml.parse(GRID.read_text(), str(GRID))
    assert isinstance(raw, dict)
    del raw["small"]
    pairs = [(rho, mu) for rho in RATIOS for mu in SHARES][:jobs]
    cells = [
        {"rho": rho, "mu": mu, "replicates": len(range(place, jobs, len(pairs)))}
        for place, (rho, mu) in enumerate(pairs)
    ]
    raw |= {"name": "scale", "imbalance": {"kind": "step", "cells": cells, "minority": "random"}}
    file.write_text(yaml.safe_dump(raw))
    return file


def under_ray(folder: Path, words: Sequence[str], sleep: float, workers: int) -> Ran:
    """The whole study in a fresh process."""
    notes = folder / "notes"
    notes.mkdir()
    start = time.perf_counter()
    command = [sys.executable, "-m", "bench.napping", str(notes), f"{sleep}", *words]
    if code := subprocess.run(command, stdout=2, stdin=subprocess.DEVNULL, cwd=ROOT).returncode:
        raise UserError(f"study.run: ended with {code}; see above")
    end = time.perf_counter()
    times, megabytes = json.loads((notes / DIARY).read_text())
    skip = min(FIRST * workers, len(times) - 2)
    least = 1e3 * sleep / workers
    longest = 1e3 * max(after - before for before, after in pairwise(times[skip - 1 :]))
    return Ran(
        seconds=end - start,
        starting=times[0] - start,
        closing=end - times[-1],
        milliseconds=pace(times, skip) - least,
        longest=longest - least,
        megabytes=[round(each, 1) for each in tenths(megabytes, skip)],
    )


def show(console: Console, found: Found) -> None:
    """The figures, against what is asked of them."""
    machine, ran = found.machine, found.ran
    made = table(
        f"{found.done:,} jobs done",
        "files",
        "MB",
        "on disk",
        "--plan",
        "subtracted",
        "begun",
        "load",
    )
    for name, kept in (("a part a job", found.loose), ("as a run leaves them", found.folded)):
        sizes = (f"{kept.files:,}", f"{kept.bytes / 1e6:,.1f}", f"{kept.on_disk / 1e6:,.1f}")
        for heat, times in (("cold", kept.cold), ("warm", kept.warm)):
            made.add_row(
                f"{name}, {heat}", *sizes, *(f"{each:.1f} s" for each in asdict(times).values())
            )
    console.print(
        f"\n{machine.cpu}, {machine.cores} cores, {machine.memory_gb:g} GB; Python "
        f"{machine.python}, Ray {machine.ray}; {found.workers} workers\n"
    )
    say(
        console,
        f"--plan of {found.jobs:,} jobs, nothing done: {found.plan:.1f} s",
        made,
        f"Asked: as a run leaves them, a first job begun in under 20 s. Compacting those: "
        f"{found.compacting:.1f} s.",
        f"{found.jobs:,} jobs that sleep {found.sleep:g} s: {ran.milliseconds:.1f} ms each beside "
        f"it (asked: under 40), {ran.longest / 1e3:.1f} s at most; {ran.seconds:,.0f} s in all, "
        f"{ran.starting:.1f} s to the first, {ran.closing:.1f} s after the last",
        f"the driver's memory over them, MB: {', '.join(f'{each:.0f}' for each in ran.megabytes)}",
    )
    if found.busy > QUIET:
        say(console, f"DISTURBED: other programs kept up to {found.busy:.1f} cores busy.")


def nap(text: str) -> float:
    """An argument that may be nothing."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}; needed: a number, 0 or more")
    return number


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser("python -m bench.scale", "Measure a study of many jobs that do nothing.")
    p.add_argument(
        "--jobs",
        type=whole_number,
        default=JOBS,
        metavar="N",
        help=f"of the study (default: {JOBS})",
    )
    p.add_argument(
        "--done",
        type=whole_number,
        metavar="N",
        help="jobs that are done where it is come back to (default: 8 of 9)",
    )
    p.add_argument(
        "--sleep",
        type=nap,
        default=0.0,
        metavar="SECONDS",
        help="that a job sleeps (default: 0)",
    )
    p.add_argument(
        "--workers",
        type=whole_number,
        default=2,
        metavar="N",
        help="jobs at a time (default: 2)",
    )
    p.add_argument(
        "--out",
        type=place,
        metavar="FILE.json",
        help="where all figures go; replaced (default: nowhere)",
    )
    return p


if __name__ == "__main__":
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main())
