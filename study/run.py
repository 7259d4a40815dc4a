"""The command: load a grid, plan, subtract what is done, execute, summarise."""

import signal

if __name__ == "__main__":  # Ctrl-C during the imports ends the process and says nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from study.command import Parser, go, guarded, place, positive, shelf, whole_number, word
from study.counts import shortage
from study.data import Dataset
from study.driver import Driver, forget_gone
from study.engine import machine
from study.errors import OWN, DataError, UserError, failure
from study.estimate import estimate, measure
from study.execute import EXECUTORS, LOGGERS, Work, executor, reach
from study.grid import Grid
from study.gridfile import read_grid
from study.parts import DamagedError, find_parts
from study.plan import Due, count, plan, remaining
from study.remote import Shelf
from study.revision import code_version
from study.screen import Screen, plan_fields, show_plan, show_summary, terminal
from study.store import Store
from study.where import add_means, choose_place, fleeting


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 1 a job failed, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)
    return guarded(
        lambda: run(options),
        "stopped; what was finished is stored, the same command goes on from there",
    )


def run(options: argparse.Namespace) -> int:
    """The road from a grid to its records."""
    if options.json and not options.plan:
        raise UserError("--json: needs --plan")
    file = read_grid(options.grid, options.set, options.small)
    grid, store = file.grid, Store(options.results / file.folder)
    if fleeting(options.results):
        sys.stderr.write(
            f"WARNING: these records will be lost: --results {options.results} lies in "
            f"{Path.cwd()}, Ray's copy of the folder that was submitted, and goes with it; an "
            f"absolute path, or a bucket, stays\n"
        )
    store.compare(grid)
    where = choose_place(options, grid)
    every = plan(grid)
    whole = select(every, options.only, options.share, options.limit)
    splits = [split for split, _ in grid.dataset.identities()]
    damaged: list[DamagedError] = []
    seen = find_parts(store.folder)
    left = remaining(whole, store.records(damaged), store.predictions(splits))
    for trouble in damaged:
        sys.stderr.write(f"{trouble}\n")

    if options.plan:
        workers = where.workers or machine.cores()
        means = replace(where.means, device=machine.pick_device(options.device))
        pace = measure(grid, means, count(left).full) if left else None
        seconds = estimate(left, grid, pace, workers) if pace else 0.0
        fields = plan_fields(grid.name, str(store.folder), whole, left, seconds, workers)
        show(fields, grid.title, options.json)
        return 0

    console = terminal()
    drive = partial(Driver, store, console.print, "study.run")
    if damaged:
        with drive():
            unchanged(store, grid, seen)
            set_aside(damaged, store, console)
            seen = find_parts(store.folder)
    driver = drive()
    screen = Screen(console, left, store, driver)
    if left:
        parts = [list(dues) for _, dues in groupby(left, key=lambda due: due.case.split)]
        datasets = (load(grid, options.data, dues[0].case.split) for dues in parts)
        first = next(datasets)
        check_enough(left, first)  # before anything is written
        reach(where)
        execute, code = executor(options.executor), code_version()
        with driver, screen:
            unchanged(store, grid, seen)
            store.open(grid)
            for dues, dataset in zip(parts, chain([first], datasets), strict=True):
                work = Work(grid, dataset, Store(store.folder.absolute()), code)
                execute(dues, work, screen, where)
            if not screen.left and len(whole) == len(every) and not options.only:
                store.forget_checkpoints()
    else:
        forget_gone(store)
        for due in whole:
            store.forget_failure(due.case.id)  # of a run that was killed between the two
        console.print("nothing left to do")
    ids = [row.id for due in whole for row in due.rows]
    damaged.clear()
    records = store.read(damaged=damaged)  # every column, and so all that may be damaged
    if damaged:
        with drive():
            set_aside(damaged, store, console)
    show_summary(console, records.filter(pc.is_in(records["record_id"], pa.array(ids))))
    console.print(f"{len(records):,} records in {store.folder}")
    if screen.left:
        console.print(f"{screen.left} of {len(left)} cases are not done; the same command retries")
    return 1 if screen.left or damaged else 0


def set_aside(damaged: Sequence[DamagedError], store: Store, console: Console) -> None:
    """Move parts that cannot be read out of the way of those that will take their place."""
    for trouble in damaged:
        place = store.set_aside(trouble.part)
        console.print(f"{trouble}; moved to {place}; a run does its records again")


def unchanged(store: Store, grid: Grid, seen: Sequence[Shelf]) -> None:
    """Refuse a store in which another has worked between the look at it and the taking of it."""
    store.compare(grid)
    if find_parts(store.folder) != seen:
        raise UserError(
            f"{store.folder}: another has written there since this run looked; nothing was done, "
            f"the same command does what is left"
        )


def load(grid: Grid, folder: Path, split: int | None) -> Dataset:
    """The images of a split."""
    return grid.dataset.dataset(folder.absolute(), grid.seed, split)


def select(
    dues: list[Due], only: Sequence[str], share: tuple[int, int], limit: int | None
) -> list[Due]:
    """The first `limit` cases of a share, of those cases and records whose id begins with one of
    `only`.
    """
    for beginning in only:
        ids = (id for due in dues for id in (due.case.id, *(row.id for row in due.rows)))
        if not any(id.startswith(beginning) for id in ids):
            raise UserError(
                f"--only {beginning}: no case or record of this grid has an id beginning so"
            )
    chosen, begins = [], tuple(only)
    for due in dues:
        rows = tuple(row for row in due.rows if row.id.startswith(begins))
        if not only or due.case.id.startswith(begins):
            chosen.append(due)
        elif rows:
            kept = tuple(t for t in due.predictions if t in {r.training for r in rows})
            chosen.append(Due(due.case, rows, kept))
    number, among = share
    return chosen[number - 1 :: among][:limit]


def fraction(text: str) -> tuple[int, int]:
    """An argument that is a share: which, of how many."""
    number, _, among = text.partition("/")
    if not (number.isdecimal() and among.isdecimal() and 1 <= int(number) <= int(among)):
        raise argparse.ArgumentTypeError(f"found {text!r}; needed: K/N with K from 1 to N, as 2/3")
    return int(number), int(among)


def check_enough(dues: Sequence[Due], dataset: Dataset) -> None:
    """Refuse a case that asks for more images than the pool has."""
    pool = dataset.pool.counts(dataset.form.classes)
    for due in dues:
        key = "imbalance" if due.case.n_max is None else "dataset.train_per_class"
        try:
            counts = due.case.roles(pool).counts
        except OWN as error:
            if ":" not in due.case.cell.kind:
                raise
            raise DataError(f"imbalance.kind: its roles fail with {failure(error)}") from error
        if why := shortage(counts, pool):
            raise DataError(f"{key}: case {due.case}: {why}")
        if due.case.crossed and tuple(counts) == tuple(pool):
            raise DataError(
                f"subsets: case {due.case}: it takes every training image there is, so that all "
                f"subsets would be one; leave this key out, or take fewer images"
            )


def show(fields: dict[str, Any], title: str, as_json: bool) -> None:
    """Print the plan."""
    if as_json:
        print(json.dumps(fields, indent=2))
    else:
        show_plan(terminal(), title, fields)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser("python -m study.run", "Run a grid, or what is left of it.")
    p.add_argument(
        "grid", type=place, metavar="GRID", help="a grid file, such as grids/quickstart.yaml"
    )
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY.PATH=VALUE",
        help="change a value of the grid; its records go to a folder of their own",
    )
    p.add_argument("--small", action="store_true", help="lay the grid's `small` section over it")
    p.add_argument("--plan", action="store_true", help="say what would be done, and do nothing")
    p.add_argument("--json", action="store_true", help="with --plan: as one JSON object")
    p.add_argument(
        "--results",
        type=shelf,
        default=Path("results"),
        metavar="DIR",
        help="where records go, a folder a grid; or s3://..., gs://... (default: results)",
    )
    add_means(p)
    p.add_argument(
        "--executor",
        choices=tuple(EXECUTORS),
        default="ray",
        help="Ray Tune, or one job after another in this process (default: ray)",
    )
    p.add_argument(
        "--address",
        type=word,
        help="a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT (default: RAY_ADDRESS, "
        "else one made on this machine)",
    )
    p.add_argument(
        "--workers",
        type=whole_number,
        metavar="N",
        help="jobs at a time (default: one a core or a card; of a cluster, all it holds)",
    )
    p.add_argument(
        "--loaders",
        type=whole_number,
        metavar="N",
        help="threads of a worker that read images from disk (default: its share of the cores)",
    )
    p.add_argument(
        "--checkpoint",
        type=positive,
        default=10.0,
        metavar="MINUTES",
        help="how often a long training is saved, to be gone on with (default: 10)",
    )
    p.add_argument(
        "--job-minutes",
        type=positive,
        metavar="N",
        help="how long a job may take before it counts as hung (default: 10, and ten times what "
        "it is estimated to take; a week where that cannot be estimated)",
    )
    p.add_argument(
        "--log",
        action="append",
        choices=tuple(LOGGERS),
        default=[],
        help="tell this logger too, by Ray Tune's integration; may stand several times",
    )
    p.add_argument(
        "--only",
        type=word,
        nargs="+",
        action="extend",
        default=[],
        metavar="ID",
        help="the beginnings of ids of cases or records",
    )
    p.add_argument(
        "--share",
        type=fraction,
        default=(1, 1),
        metavar="K/N",
        help="every N-th case, from the K-th on: the others are run elsewhere, and merged",
    )
    p.add_argument("--limit", type=whole_number, metavar="N", help="the first N cases")
    return p


if __name__ == "__main__":
    go(main)
