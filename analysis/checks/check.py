"""What a claim is made of: checks, each a number with an interval and the range it must lie in."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

REPRODUCED, CONTRADICTED = "reproduced", "contradicted"
UNDERPOWERED, NOT_RUN = "underpowered", "not run"
WORST = (CONTRADICTED, UNDERPOWERED, REPRODUCED, NOT_RUN)
"""A claim has the first of these that one of its parts has."""


@dataclass(frozen=True)
class Setup:
    """How the paper trained and tested on a data set.

    largest: images of the largest class. tested: all test images.
    """

    iterations: int
    batch: int
    model: str
    largest: int
    tested: int


PAPER = {
    "mnist": Setup(10_000, 64, "lenet5", 5000, 10_000),
    "cifar10": Setup(70_000, 256, "allcnn", 5000, 10_000),
    "imagenet": Setup(320_000, 256, "resnet10", 1000, 50_000),
}
"""The paper's data sets."""


@dataclass(frozen=True)
class Range:
    """The values of an effect that agree with a claim. `open`: its limits are not among them."""

    low: float = -inf
    high: float = inf
    open: bool = False

    def __str__(self) -> str:
        equals = "" if self.open else "="
        if self.low == self.high:
            return f"= {self.low:g}"
        if self.high == inf:
            return f">{equals} {self.low:g}"
        if self.low == -inf:
            return f"<{equals} {self.high:g}"
        return f"{self.low:.3g} to {self.high:.3g}"

    def holds(self, low: float, high: float) -> bool:
        """Whether the interval lies inside."""
        if self.open:
            return self.low < low and high < self.high
        return self.low <= low and high <= self.high

    def misses(self, low: float, high: float) -> bool:
        """Whether the interval lies wholly outside."""
        if self.open:
            return high <= self.low or low >= self.high
        return high < self.low or low > self.high


def rule(low: float | None, high: float | None, allowed: Range) -> str:
    """The verdict that an interval has, or the lack of one."""
    if low is None or high is None:
        return UNDERPOWERED
    if allowed.holds(low, high):
        return REPRODUCED
    return CONTRADICTED if allowed.misses(low, high) else UNDERPOWERED


@dataclass(frozen=True)
class Finding:
    """What the records say: an effect, its interval where there are replicates enough for one.

    n: the cases that enter. studies: those that have them, first the one whose figure shows it.
    pieces: the values that the effect is made of, each with its place; they are `places`. limit:
    where a piece agrees with the claim, if that is not where the effect does. bounds: where the
    effect rests on single pieces, the interval of each. notes: what a reader must know of how it
    came about.
    """

    effect: float
    low: float | None
    high: float | None
    n: int
    studies: tuple[str, ...]
    pieces: tuple[tuple[str, float], ...] = ()
    bounds: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()
    limit: Range | None = None
    places: str = "cells"


class Lacking(Exception):  # noqa: N818 - no fault: the records for a check are not there
    """What the stores lack for a check, and the grid that makes it, {} for the data set."""

    def __init__(self, what: str, grid: str):
        self.what, self.grid = what, grid
        super().__init__(what)


class Lost(Exception):  # noqa: N818
    """The records for a check are there, and all of them diverged."""


@dataclass(frozen=True)
class Check:
    """One part of a claim.

    measure: takes a protocol of each of the data sets that it compares, mostly of one; a `joint`
    one takes all the protocols of its data set.
    why: why the range has the limits that it has. grid: what makes it, {} for the data set.
    datasets: those for which the paper claims it. general: it may be put to others too.
    """

    says: str
    measure: Callable[..., Finding]
    allowed: Range
    why: str
    figure: str = "fig3"
    grid: str = "{}_step"
    datasets: tuple[tuple[str, ...], ...] = (("mnist",), ("cifar10",))
    general: bool = True
    unit: str = "points"
    joint: bool = False


@dataclass(frozen=True)
class Claim:
    """A conclusion of the paper, in our words, and where it is said to hold."""

    id: str
    statement: str
    scope: str
    checks: tuple[Check, ...]
