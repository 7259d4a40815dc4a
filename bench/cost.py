"""What grids come to on a card, by arithmetic: python -m bench.cost."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.card import PEAKS, Card
from bench.gridcost import Bound, GridCost, total
from bench.race import ROOT
from bench.table import UNKNOWN, say, table, terminal
from study.command import Parser, guarded, place, positive, stop, whole_number
from study.engine.machine import Precision
from study.engine.means import MOST
from study.engine.rehearsal import SHARE
from study.errors import UserError
from study.gridfile import read_grid
from study.plan import count
from study.screen import duration

GRIDS = (
    *("mnist_step", "mnist_linear", "mnist_reduced", "mnist_balanced", "full_mnist"),
    *("cifar10_step", "cifar10_linear", "cifar10_resplit", "cifar10_convergence"),
    *("cifar10_balanced", "full_cifar10"),
    *("imagenet_step", "imagenet_balanced", "full_imagenet"),
)
"""Of the folder grids/: the paper's."""

SIGNS: dict[Bound, str] = {"computing": "c", "moving": "m", "reading": "r"}


@dataclass(frozen=True)
class Row:
    """A grid's figures. seconds: by precision and by what bounds most of them, on one card and on
    all of them; cards: of them that have a job.
    """

    grid: str
    net: str
    dataset: str
    batch: int
    networks: int
    full_trainings: int
    second_phases: int
    full_flop: int
    second_flop: int
    evaluation_flop: int
    images_read: int
    state_bytes: int
    kept_bytes: int
    features_bytes: int
    images_bytes: int
    networks_that_fit: int
    pack: int
    jobs: int
    one_card: dict[Precision, tuple[float, Bound]]
    all_cards: dict[Precision, tuple[float, Bound]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 shown, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)
    return guarded(lambda: run(options), "stopped")


def run(options: argparse.Namespace) -> int:
    """From grids to tables."""
    card = Card(
        tera={name: peak.tera for name, peak in PEAKS.items()} | dict(options.device_flops),
        share=options.share,
        bandwidth=options.bandwidth,
        bandwidth_share=options.bandwidth_share,
        memory=options.memory,
        images_a_core=options.images_a_core,
        cores=options.cores,
    )
    paths = options.grids or [ROOT / "grids" / f"{name}.yaml" for name in GRIDS]
    rows = [row(path, card, options.cards) for path in paths]
    if options.json:
        fields = {"assumed": asdict(card) | {"cards": options.cards}}
        grids = [asdict(each) for each in rows]
        sys.stdout.write(json.dumps(fields | {"grids": grids}, indent=2) + "\n")
    else:
        show(terminal(), rows, card, options.cards)
    return 0


def row(path: Path, card: Card, cards: int) -> Row:
    """The figures of the grid in a file."""
    grid = read_grid(path).grid
    try:
        cost = GridCost(grid)
    except LookupError as error:
        raise UserError(f"{path}: {error}") from None
    counted, work, memory = count(cost.dues), total(cost), cost.memory
    fit = memory.fit(card)
    return Row(
        grid=grid.name,
        net=grid.model,
        dataset=grid.dataset.name,
        batch=grid.recipe.batch,
        networks=counted.networks,
        full_trainings=counted.full,
        second_phases=counted.second,
        full_flop=work.full,
        second_flop=work.second,
        evaluation_flop=work.shown,
        images_read=work.read,
        state_bytes=memory.state,
        kept_bytes=memory.kept,
        features_bytes=memory.features,
        images_bytes=memory.images,
        networks_that_fit=fit,
        pack=1 if cost.published.streamed else max(1, min(MOST, fit)),
        jobs=sum(map(len, cost.jobs(cards))),
        one_card={name: cost.duration(card, name, 1) for name in PEAKS},
        all_cards={name: cost.duration(card, name, cards) for name in PEAKS},
    )


def show(console: Console, rows: Sequence[Row], card: Card, cards: int) -> None:
    """What is assumed, and the tables."""
    say(
        console,
        "By arithmetic: nothing here was measured on a card.",
        assumed(card, cards),
        work_table(rows),
        memory_table(rows, card),
        time_table(rows, cards),
        f"What bounds most of the work: c computing, m moving numbers between memory and "
        f"processors, r reading images. Evaluation is strict (float32) at every precision. On "
        f"{cards} cards a job goes to the card that is free first; a card without a job is idle.",
        "The shares hold for packs that fill a card. A few small networks, such as full_mnist's, "
        "leave it waiting for the next launch, and take longer.",
    )


def assumed(card: Card, cards: int) -> str:
    """The assumptions, in words."""
    peaks = ", ".join(f"{name} {tera:g}" for name, tera in card.tera.items())
    return (
        f"Assumed of a card: {card.share:.0%} of a peak of {peaks} TFLOP/s; "
        f"{card.bandwidth_share:.0%} of {card.bandwidth:g} TB/s; {card.memory:g} GB, of which the "
        f"harness uses {SHARE:.0%}; {card.cores} cores beside it that each read "
        f"{card.images_a_core:g} photographs a second."
    )


def work_table(rows: Sequence[Row]) -> Table:
    """What there is to do."""
    made = table(
        *("grid", "networks", "trained", "second", "training", "second", "evaluation"),
        "images read",
    )
    made.add_row("", "of the paper", "in full", "phases", *["PFLOP"] * 3, "million")
    for each in rows:
        made.add_row(
            each.grid,
            *(f"{n:,}" for n in (each.networks, each.full_trainings, each.second_phases)),
            *(peta(flop) for flop in (each.full_flop, each.second_flop, each.evaluation_flop)),
            f"{each.images_read / 1e6:,.0f}" if each.images_read else UNKNOWN,
        )
    return made


def memory_table(rows: Sequence[Row], card: Card) -> Table:
    """What a network takes of a card, of each net on each data set: in the grid with the most."""
    made = table(
        *("net, images, batch", "state", "for backward", "features", "a network", "images"),
        *("fit", "pack"),
    )
    made.add_row("", *["MB"] * 4, "GB", f"in {card.memory:g} GB", "")
    most: dict[str, Row] = {}
    for each in rows:
        name = f"{each.net}, {each.dataset}, {each.batch}"
        if name not in most or each.networks_that_fit < most[name].networks_that_fit:
            most[name] = each
    for name, each in most.items():
        parts = each.state_bytes, each.kept_bytes, each.features_bytes
        images = f"{each.images_bytes / 1e9:.2f}" if each.images_bytes else "streamed"
        made.add_row(
            name,
            *(f"{size / 1e6:,.1f}" for size in (*parts, sum(parts))),
            images,
            f"{each.networks_that_fit:,}",
            f"{each.pack}",
        )
    return made


def time_table(rows: Sequence[Row], cards: int) -> Table:
    """How long it takes."""
    made = table("grid", "one card", "", "", f"{cards} cards", "", "", "")
    made.add_row("", *PEAKS, "jobs", *PEAKS)
    for each in rows:
        made.add_row(
            each.grid,
            *(lasting(each.one_card[name]) for name in PEAKS),
            f"{each.jobs}",
            *(lasting(each.all_cards[name]) for name in PEAKS),
        )
    if len(rows) > 1:
        sums = [
            [sum(times(each)[name][0] for each in rows) for name in PEAKS]
            for times in (lambda each: each.one_card, lambda each: each.all_cards)
        ]
        made.add_row("all of them", *map(duration, sums[0]), "", *map(duration, sums[1]))
    return made


def lasting(time: tuple[float, Bound]) -> str:
    """A time and the sign of what bounds it."""
    seconds, bound = time
    return f"{duration(seconds) if seconds >= 1 else '< 1 s'} {SIGNS[bound]}"


def peta(flop: int) -> str:
    """In 10^15 operations."""
    if not flop:
        return UNKNOWN
    return f"{flop / 1e15:,.0f}" if flop >= 1e17 else f"{flop / 1e15:.3g}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser("python -m bench.cost", "What grids come to on a card, by arithmetic.")
    p.add_argument(
        "grids",
        type=place,
        nargs="*",
        metavar="GRID",
        help="grid files (default: the paper's, of the folder grids/)",
    )
    p.add_argument(
        "--device-flops",
        type=peak,
        action="append",
        default=[],
        metavar="PRECISION=TFLOPS",
        help="another peak than the H200's; may be given again",
    )
    default = Card()
    for name, kind, value, metavar, what in (
        ("--share", share, default.share, "SHARE", "of a peak that training reaches"),
        ("--bandwidth", positive, default.bandwidth, "TB/S", "of the card's memory"),
        ("--bandwidth-share", share, default.bandwidth_share, "SHARE", "of it that it reaches"),
        ("--memory", positive, default.memory, "GB", "of the card"),
        ("--cores", whole_number, default.cores, "N", "beside each card, which read images"),
        ("--images-a-core", positive, default.images_a_core, "N", "that each reads a second"),
        ("--cards", whole_number, 8, "N", "in the last columns"),
    ):
        p.add_argument(
            name, type=kind, default=value, metavar=metavar, help=f"{what} (default: {value:g})"
        )
    p.add_argument("--json", action="store_true", help="all of it as one JSON object")
    return p


def peak(text: str) -> tuple[str, float]:
    """An argument that gives a precision its peak."""
    name, _, number = text.partition("=")
    if name not in PEAKS:
        allowed = ", ".join(f"{known}=TFLOPS" for known in PEAKS)
        raise argparse.ArgumentTypeError(f"found {text!r}; needed: one of {allowed}")
    return name, positive(number)


def share(text: str) -> float:
    """An argument that is a part of something."""
    number = positive(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; needed: above 0, at most 1")
    return number


if __name__ == "__main__":
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main())
