"""Training fed with photographs from files, and where its time goes: python -m bench.stream."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from bench import photo_script, photographs, reading, streamed
from bench.apart import Measure, MeasureError, apart
from bench.feed import Fed, Task, together
from bench.machine import cores, describe
from bench.race import busy_cores
from bench.record import check
from bench.stream_report import LOADER, LOOP, MEMORY, STREAM, Found, show
from bench.table import terminal
from study.command import Parser, guarded, place, stop, whole_number
from study.data.imagenet import Imagenet
from study.data.pictures import Pictures
from study.errors import UserError
from study.parts import whole
from study.revision import code_version
from study.where import choose_device

BATCH = {"cpu": 8, "cuda": 256}
"""On a CPU a step of the paper's batch would take half a minute."""

WAYS: dict[str, Measure[Task, Fed]] = {
    MEMORY: streamed.in_memory,
    STREAM: streamed.streamed,
    LOOP: photo_script.plain_loop,
    LOADER: photo_script.data_loader,
}

OURS = (MEMORY, STREAM)
"""On a CPU these take a process a core, as a study does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 measured, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)
    return guarded(lambda: run(options), "stopped; nothing was kept")


def run(options: argparse.Namespace) -> int:
    """Measure, show, and keep where that is asked for."""
    device = choose_device(options.device)
    if options.out is not None:
        check(options.out)
    processes = cores() if device == "cpu" else 1
    loaders = options.loaders or max(1, cores() // processes)
    with ExitStack() as stack:
        folder = options.data
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            photographs.write(folder)
        batch = options.batch or BATCH[device]
        task = Task(folder.absolute(), device, batch, loaders, options.seconds)
        found = measure(task, processes, f"{folder}" if options.data else "")
    console = terminal()
    show(console, found)
    if options.out is not None:
        with whole(options.out, replace=True) as out:
            out.write(json.dumps(asdict(found), indent=2).encode() + b"\n")
        console.print(f"all of it: {options.out}")
    return 0


def measure(task: Task, processes: int, named: str) -> Found:
    """Everything, one after another; `named` is the folder of real photographs."""
    train, _ = Imagenet(name="imagenet").load(task.folder)
    assert isinstance(train.images, Pictures)
    if task.batch > len(train):
        raise UserError(
            f"--batch {task.batch}: found {len(train):,} training images; needed: a batch of them"
        )
    console, busy = terminal(stderr=True), [busy_cores()]
    threads = sorted({processes * task.loaders, *reading.steps(cores())})
    console.print(f"reading, by {', '.join(map(str, threads))} threads")
    readings = reading.measure(train.images, threads, task.seconds)
    ways: dict[str, Fed] = {}
    for way, function in WAYS.items():
        busy.append(busy_cores())
        try:
            ways[way] = together(apart(function, task, processes if way in OURS else 1))
        except MeasureError as failure:
            ways[way] = Fed(failure=str(failure))
        console.print(f"{way}: {ways[way].failure or f'{ways[way].rate:.1f} images/s'}")
    return Found(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        data=named or f"{photographs.FILES} files of noise",
        batch=task.batch,
        seconds=task.seconds,
        device=task.device,
        machine=replace(describe(task.device), revision=code_version()),
        readings=readings,
        ways=ways,
        busy=round(max(*busy, busy_cores()), 2),
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser(
        "python -m bench.stream", "Measure training on photographs from files, and what limits it."
    )
    p.add_argument(
        "--device",
        choices=("auto", *BATCH),
        default="auto",
        help="where the network lives (default: auto: CUDA where there is any)",
    )
    p.add_argument(
        "--batch",
        type=whole_number,
        metavar="N",
        help="images in a batch (default: 8 on a CPU, 256 on a card)",
    )
    p.add_argument(
        "--loaders",
        type=whole_number,
        metavar="N",
        help="threads that read for the harness's process (default: its share of the cores)",
    )
    p.add_argument(
        "--seconds",
        type=whole_number,
        default=8,
        metavar="N",
        help="for each way to train (default: 8)",
    )
    p.add_argument(
        "--data",
        type=place,
        metavar="DIR",
        help="the folder that holds imagenet/, ILSVRC-2012 (default: JPEG files of noise, made for "
        "the occasion)",
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
