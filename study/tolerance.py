"""How far rounding may take the metrics of a network that is trained again in another way.

Training makes rounding grow: what a pack of another size, another formulation or another processor
changes in the last bit moves a net's outputs by far more in the end, and images that lie near a
border come out on its other side. Of those there are about as many as the net gets wrong, so a
bound in points would be loose for a good net or tight for a bad one. These bounds are shares of
what is wrong: of the images decided wrongly, of the pairs of images ranked wrongly (which is what
an AUC lacks of 1), of the loss.

Measured on results/reference (MNIST, LeNet-5): 82 records computed again in packs of three, by
im2col, or with AVX2 in the place of AVX-512. The most that came out otherwise after 500 iterations
(80 records, ratios from 10 to 5,000) was 9 % of a class's errors, 7.5 % of what the AUC of a class
lacks, 4.5 % of the wrong training images and 1.1 % of a loss; after the 10,000 of full_mnist, where
only 91 test images are wrong, 15 % of each of the three and 4.5 % of the loss. Of nets that differ
in their initial weights (mnist_variance-small and full_mnist, 70 pairs) 11 to 54 % of all errors
are others, and 16 to 73 % of what the AUC of some class lacks. With 15 %, and 10 % of a loss, every
record computed again is within, and none of the 70 pairs is (tests/test_compare.py); with 20 %
seven of them would be.

Small numbers move by whole images: where one of ten is wrong, 15 % are no image at all. So what
may come out otherwise is three standard deviations more than the share. More cannot be promised: a
net at the brink of diverging may do so on one machine and not on another, which is a difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm, sqrt
from typing import Any

import numpy as np

from study.results import Record


@dataclass(frozen=True)
class Tolerance:
    """What is near enough.

    share: of what a network gets wrong (images decided, pairs of images ranked), how much may come
    out otherwise. loss: how much of a loss may. tiny: of a loss that is next to nothing.
    """

    share: float = 0.15
    loss: float = 0.1
    tiny: float = 0.001

    def many(self, wrong: float) -> int:
        """How many may come out otherwise where so many are wrong: three standard deviations more
        than are to be expected, and so at least one.
        """
        expected = self.share * wrong
        return ceil(expected + 3 * sqrt(expected))

    def near(self, there: float, here: float, number: float, others: float = 0) -> bool:
        """Whether two shares that are right, of so many, are near enough; where others are wrong
        that may come or go, these count too.
        """
        wrong = (1 - min(there, here)) * number + others
        return number > 0 and abs(there - here) * number < self.many(wrong) + 0.5

    def losses(self, there: float, here: float) -> bool:
        """Whether two losses are."""
        return abs(there - here) <= self.loss * max(there, here) + self.tiny


TOLERANCE = Tolerance()


Bound = Callable[[Any, Any, Tolerance, Record], bool]
"""(value there, value here, tolerance, the record here) -> whether rounding may account for it."""


def alive(there: str, here: str, tolerance: Tolerance, record: Record) -> bool:
    """Status: an AUC may come to lie on the other side of a coin's; diverged or not is no matter of
    a little.
    """
    return "diverged" not in (there, here)


def area(there: float, here: float, tolerance: Tolerance, record: Record) -> bool:
    """The mean over the classes."""
    return tolerance.near(there, here, sum(pairs(tested(record))))


def areas(there: Sequence[Any], here: Sequence[Any], tolerance: Tolerance, record: Record) -> bool:
    """Each class against the rest."""
    return every(there, here, [(number,) for number in pairs(tested(record))], tolerance.near)


def right(there: float, here: float, tolerance: Tolerance, record: Record) -> bool:
    """The share of the test set that is decided rightly."""
    return tolerance.near(there, here, sum(tested(record)))


def recalls(
    there: Sequence[Any], here: Sequence[Any], tolerance: Tolerance, record: Record
) -> bool:
    """That of each class, which may lose images where it misses some, and where it is given those
    of others.
    """
    table = np.array(record["confusion"])
    given = table.sum(0) - table.diagonal()
    return every(there, here, list(zip(tested(record), given, strict=True)), tolerance.near)


def decided(
    there: Sequence[Any], here: Sequence[Any], tolerance: Tolerance, record: Record
) -> bool:
    """Where the images of each class go: as many images, and few of them elsewhere."""
    old, new = np.array(there), np.array(here)
    if old.shape != new.shape or (old.sum(1) != new.sum(1)).any():
        return False
    missed, given = (
        np.maximum(*(table.sum(axis) - table.diagonal() for table in (old, new))) for axis in (1, 0)
    )
    moved = np.abs(old - new).sum(1) // 2
    return all(n <= tolerance.many(wrong) for n, wrong in zip(moved, missed + given, strict=True))


def held_right(there: float, here: float, tolerance: Tolerance, record: Record) -> bool:
    """The share of the images held out; as few as the two shares allow."""
    return tolerance.near(there, here, fewest(there, here))


def held_area(there: float, here: float, tolerance: Tolerance, record: Record) -> bool:
    """The AUC on those, as if each class had as many of them."""
    classes, held = len(record["class_counts"]), record["validation_accuracy"]
    images = 1 if held is None else fewest(held)
    return tolerance.near(there, here, sum(pairs([max(1, images // classes)] * classes)))


def learned(there: float, here: float, tolerance: Tolerance, record: Record) -> bool:
    """The share of the case's own images."""
    return tolerance.near(there, here, sum(record["class_counts"]))


def loss(there: float, here: float, tolerance: Tolerance, record: Record) -> bool:
    """The loss on those."""
    return tolerance.losses(there, here)


def curves(there: Sequence[Any], here: Sequence[Any], tolerance: Tolerance, record: Record) -> bool:
    """Each point, by the same measures."""
    return len(there) == len(here) and all(
        old["iteration"] == new["iteration"]
        and all(near(old[name], new[name], bound, tolerance, record) for name, bound in POINT)
        for old, new in zip(there, here, strict=True)
    )


POINT: tuple[tuple[str, Bound], ...] = (
    ("train_loss", loss),
    ("train_accuracy", learned),
    ("test_loss", loss),
    ("test_accuracy", right),
)

METRICS: dict[str, Bound] = {
    "status": alive,
    "auc": area,
    "accuracy": right,
    "auc_per_class": areas,
    "recall_per_class": recalls,
    "validation_auc": held_area,
    "validation_accuracy": held_right,
    "confusion": decided,
    "train_accuracy": learned,
    "train_loss": loss,
    "curve": curves,
}
"""The columns that rounding moves, and how far it may."""


def near(there: Any, here: Any, bound: Bound, tolerance: Tolerance, record: Record) -> bool:
    """Whether rounding may account for it; not for one that a side lacks, or that cannot be."""
    try:
        return None not in (there, here) and bound(there, here, tolerance, record)
    except (ValueError, TypeError, ArithmeticError, IndexError):
        return False


def every(
    there: Sequence[Any],
    here: Sequence[Any],
    numbers: Sequence[tuple[float, ...]],
    close: Callable[..., bool],
) -> bool:
    """Whether the values of each class are near enough; a class without one lacks it in both."""
    return len(there) == len(here) == len(numbers) and all(
        old is new is None or (None not in (old, new) and close(old, new, *some))
        for old, new, some in zip(there, here, numbers, strict=True)
    )


def tested(record: Record) -> list[int]:
    """The test images of each class."""
    return [sum(row) for row in record["confusion"] or ()]


def pairs(images: Sequence[int]) -> list[int]:
    """How many pairs the images of each class and those of the others make."""
    return [number * (sum(images) - number) for number in images]


def fewest(*shares: float) -> int:
    """The fewest images of which these can be shares."""
    parts = (Fraction(share).limit_denominator(1_000_000) for share in shares)
    return lcm(*(part.denominator for part in parts))
