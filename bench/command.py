"""The command: race the contenders, show what came of it, keep all of it."""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import images
from bench.contenders import LINE_UP, SGEMM, SGEMM_ONE, chosen
from bench.machine import describe
from bench.projection import figures, goals, spreads
from bench.race import race
from bench.record import Record, Settings, check, save
from bench.report import show, show_progress
from bench.table import terminal
from bench.work import BATCH
from study.command import Parser, guarded, place, whole_number, word
from study.revision import code_version
from study.where import choose_device


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 measured, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)
    return guarded(lambda: run(options), "stopped; nothing was kept")


def run(options: argparse.Namespace) -> int:
    """From contenders to a report and a file."""
    device = choose_device(options.device)
    contenders = chosen(device, options.only)
    with ExitStack() as stack:
        folder = options.data
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            images.write_noise(folder)
        images.check(folder, BATCH)
        check(options.out)
        settings = Settings(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            data=f"images of {folder}" if options.data else f"{images.TRAIN:,} images of noise",
            round_seconds=options.seconds,
            rounds=options.rounds,
        )
        tell = partial(show_progress, terminal(stderr=True), rounds=options.rounds)
        measurements = race(
            contenders, folder.absolute(), device, options.seconds, options.rounds, tell
        )
    found = figures(measurements)
    products = {name: own.high for name, own in spreads(measurements).items()}
    machine = replace(
        describe(device),
        revision=code_version(),
        product_one=products.get(SGEMM_ONE, 0.0),
        product_all=products.get(SGEMM, 0.0),
    )
    record = Record(settings, machine, measurements, found, goals(found, device))
    console = terminal()
    show(console, record)
    save(record, options.out)
    console.print(f"all of it: {options.out}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser("python -m bench", "Race the harness against its peers on this machine.")
    p.add_argument(
        "--device",
        choices=("auto", *LINE_UP),
        default="auto",
        help="where the networks live (default: auto: CUDA where there is any)",
    )
    p.add_argument(
        "--data",
        type=place,
        metavar="DIR",
        help="the folder that holds MNIST/raw; nothing is fetched (default: images of noise)",
    )
    p.add_argument(
        "--seconds",
        type=whole_number,
        default=8,
        metavar="N",
        help="for each contender in each round (default: 8)",
    )
    p.add_argument(
        "--rounds",
        type=whole_number,
        default=3,
        metavar="N",
        help="of all contenders, one after another; medians are shown (default: 3)",
    )
    p.add_argument(
        "--only",
        type=word,
        action="append",
        default=[],
        metavar="TEXT",
        help="the contender of that name, else those whose name contains it; may be given again",
    )
    p.add_argument(
        "--out",
        type=place,
        default=Path("results/bench.parquet"),
        metavar="FILE",
        help="where all figures go; replaced (default: results/bench.parquet)",
    )
    return p
