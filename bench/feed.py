"""Ways to feed a training with photographs: what one is given, and what it is found to do."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.clock import count
from bench.learner import Advance

Ready = Callable[[], object]


@dataclass(frozen=True)
class Task:
    """The folder that holds imagenet/, the device, the images in a batch, the threads or processes
    that read them, and the seconds to be measured.
    """

    folder: Path
    device: str
    batch: int
    loaders: int
    seconds: float


@dataclass(frozen=True)
class Fed:
    """What one way comes to, over all its processes; without a rate, `failure` says why.

    rate: images a second. threads: of torch in each process. loaders: that read for each.
    waited: the share of the time in which the loop stood still for want of images, where that is
    known. formulation: of the harness.
    """

    rate: float = 0.0
    processes: int = 1
    threads: int = 0
    loaders: int = 0
    waited: float | None = None
    formulation: str = ""
    failure: str = ""


def timed(advance: Advance, images: int, task: Task, ready: Ready) -> tuple[float, float]:
    """Images a second, of which a step of `advance` takes so many, and the seconds counted."""
    steps, seconds = count(advance, task.seconds, task.device, ready)
    return steps * images / seconds, seconds


def together(parts: list[Fed]) -> Fed:
    """Several processes as one way: rates add up, the time that they waited is the mean."""
    waits = [part.waited for part in parts if part.waited is not None]
    return replace(
        parts[0],
        rate=sum(part.rate for part in parts),
        processes=len(parts),
        waited=sum(waits) / len(waits) if waits else None,
    )
