"""What the terminal shows of a training fed with photographs."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.feed import Fed
from bench.machine import Machine
from bench.reading import Reading
from bench.report import QUIET
from bench.table import UNKNOWN, say, table

MEMORY, STREAM = "harness, images in memory", "harness, images streamed"
LOOP, LOADER = "loop: decode, then step", "DataLoader"
PEERS = (LOOP, LOADER)


@dataclass(frozen=True)
class Found:
    """A run of the benchmark.

    busy: cores that other programs kept busy, the most that was seen between two measurements.
    """

    date: str
    data: str
    batch: int
    seconds: float
    device: str
    machine: Machine
    readings: list[Reading]
    ways: dict[str, Fed]
    busy: float


def show(console: Console, found: Found) -> None:
    """The figures, and what they say."""
    machine = found.machine
    card = f"{machine.gpu}, {machine.gpu_memory_gb:g} GB; " if machine.gpu else ""
    console.print(
        f"\n{machine.cpu}, {machine.cores} cores, {machine.memory_gb:g} GB; {card}"
        f"Python {machine.python}, torch {machine.torch}\n"
        f"ResNet-10, batch {found.batch}, float32, photographs: {found.data}\n"
        f"{found.seconds:g} s for each way to train; start and warm-up are not counted.\n"
    )
    failed = [f"{way}: not measured: {fed.failure}" for way, fed in found.ways.items()]
    say(
        console,
        reading_table(found.readings),
        way_table(found.ways),
        *(line for line, fed in zip(failed, found.ways.values(), strict=True) if fed.failure),
        *verdict(found),
        *disturbance(found.busy),
    )


def reading_table(readings: Sequence[Reading]) -> Table:
    """What threads read that do nothing else."""
    made = table("images/s read by threads", "decoded", "resized and cropped", "both")
    for one in readings:
        rates = one.decoded, one.cropped, one.both
        made.add_row(f"{one.threads}", *(f"{rate:,.0f}" for rate in rates))
    return made


def way_table(ways: dict[str, Fed]) -> Table:
    """What is learned from."""
    made = table(
        *("training", "images/s", "x loop", "x DataLoader", "waiting"),
        *("processes", "threads", "loaders"),
    )
    for way, fed in ways.items():
        if fed.failure:
            made.add_row(way, UNKNOWN)
            continue
        ratios = [fed.rate / ways[peer].rate if ways[peer].rate else None for peer in PEERS]
        made.add_row(
            way,
            f"{fed.rate:,.1f}",
            *(f"{ratio:.2f}" if ratio else UNKNOWN for ratio in ratios),
            UNKNOWN if fed.waited is None else f"{fed.waited:.1%}",
            *(f"{number}" for number in (fed.processes, fed.threads, fed.loaders)),
        )
    return made


def verdict(found: Found) -> list[str]:
    """Which of reading and training limits, where both were measured."""
    memory, stream = found.ways[MEMORY], found.ways[STREAM]
    if memory.failure or stream.failure:
        return []
    threads = stream.processes * stream.loaders
    read = next(one.both for one in found.readings if one.threads == threads)
    slower, bound, how = "training", memory.rate, ""
    if read < bound:
        slower, bound = "reading", read
    if found.device == "cpu":
        bound = 1 / (1 / read + 1 / memory.rate)
        how = f" As they share the cores, {bound:,.1f} is the most for both."
    return [
        f"Trained alone, {memory.rate:,.1f} images a second; read alone by {threads} threads, "
        f"{read:,.0f}: {slower} limits.{how}",
        f"Streamed, {stream.rate:,.1f}: {stream.rate / bound:.0%} of the most that these two "
        f"allow; its loop stood waiting for images {stream.waited:.1%} of the time. "
        f"Formulation: {stream.formulation}.",
    ]


def disturbance(busy: float) -> list[str]:
    """What others took."""
    if busy <= QUIET:
        return []
    return [
        f"DISTURBED: other programs kept up to {busy:.1f} cores busy. Ratios mean little; measure "
        f"again on a quiet machine."
    ]
