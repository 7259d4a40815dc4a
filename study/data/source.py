"""What a data set is: a source that a grid configures, and the images it gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt, Lt
from pydantic import Strict

from study import seeds
from study.counts import at_least_one, draw, exact
from study.data.pictures import Pictures
from study.data.whitening import MOST, whiten
from study.errors import OWN, DataError, failure, seen
from study.form import Form
from study.section import Section, Whole

Images = np.ndarray | Pictures
"""(n, height, width, channels), uint8 or float32 in memory, or uint8 still on disk."""


@dataclass(frozen=True)
class Split:
    """Images and a label for each."""

    images: Images
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, positions: np.ndarray) -> "Split":
        """The images at these positions, in this order."""
        return Split(self.images[positions], self.labels[positions])

    def then(self, other: "Split") -> "Split":
        """These images and the other's after them."""
        if not len(other):
            return self
        return Split(joined(self.images, other.images), np.concatenate([self.labels, other.labels]))

    def counts(self, classes: int) -> tuple[int, ...]:
        """How many images each class has."""
        return tuple(int(n) for n in np.bincount(self.labels, minlength=classes))


def joined(first: Images, then: Images) -> Images:
    """Images of one kind, one after the other."""
    if isinstance(first, Pictures) and isinstance(then, Pictures):
        return first.join(then)
    if isinstance(first, Pictures) or isinstance(then, Pictures):
        raise DataError("dataset: training and test images must both be in memory, or both on disk")
    return np.concatenate([first, then])


@dataclass(frozen=True)
class Dataset:
    """What the cases of a study are drawn from (`pool`), what all of them are judged on (`test`),
    and the images, maybe none, by which candidates may be chosen (`validation`).
    """

    pool: Split
    test: Split
    validation: Split
    form: Form
    scale: float

    @property
    def all_three(self) -> tuple[Split, Split, Split]:
        """Pool, test and validation."""
        return self.pool, self.test, self.validation


class Source(Section):
    """A data set as a grid names it. A new one gives its form and `load`.

    train_per_class: images in the largest class of a case.
    test_per_class, test_share: the test set, balanced, or a share of every class; without either
        the set's own.
    validation_per_class: held out of the training images before they are made imbalanced.
    splits: how many times all images are shuffled into training and test images anew.
    preprocess: none, or gcn_zca (study/data/whitening.py), fitted on the training images.
    """

    name: str
    train_per_class: Whole | None = None
    test_per_class: Whole | None = None
    test_share: Annotated[float, Strict(), Gt(0), Lt(1)] | None = None
    validation_per_class: Whole | None = None
    splits: Whole | None = None
    preprocess: Literal["none", "gcn_zca"] = "none"

    @property
    def form(self) -> Form:
        """Height, width and channels of an image, and the number of classes."""
        raise TypeError(f"{type(self).__name__} gives no form")

    @property
    def scale(self) -> float:
        """What a stored pixel is multiplied by before a net sees it."""
        return 1 / 256

    def load(self, folder: Path) -> tuple[Split, Split]:
        """The training and the test split as published; files are looked for in `folder`."""
        raise TypeError(f"{type(self).__name__} loads nothing")

    def problem(self) -> tuple[str, str, str] | None:
        """(key, value found, why not) of the first impossible request, or None."""
        if self.test_share is not None and self.test_per_class is not None:
            return (
                "test_share",
                f"{self.test_share}",
                "test_per_class stands there too; one is enough",
            )
        if self.splits is not None and self.test_share is None and self.test_per_class is None:
            return "splits", f"{self.splits}", "needed beside it: test_per_class, or test_share"
        values = prod(self.form.image)
        if self.preprocess == "gcn_zca" and values > MOST:
            return "preprocess", "'gcn_zca'", f"an image has {values:,} values; allowed: {MOST:,}"
        return None

    def origin(self) -> dict[str, Any]:
        """What names the published set: the identity without the part that a study takes."""
        return {key: value for key, value in self.identity().items() if key not in TAKEN}

    def identities(self) -> Iterator[tuple[int | None, dict[str, Any]]]:
        """Each split by its number, with what names the images of its cases in a hash; the one
        that is published has no number.
        """
        identity = {key: value for key, value in self.identity().items() if key != "splits"}
        if self.splits is None:
            yield None, identity
        else:
            for split in range(self.splits):
                yield split, {**identity, "split": split}

    def dataset(self, folder: Path, seed: int, split: int | None = None) -> Dataset:
        """The images of the study: the pool of the cases, those of test and those of validation;
        none in two of them.
        """
        train, test = self._loaded(folder)
        origin, classes = self.origin(), self.form.classes
        if split is not None:
            train, test = train.then(test), test.at(np.arange(0))
            rng = seeds.resplit(origin, seed, split)
        else:
            rng = seeds.test_split(origin, seed)
        if self.test_per_class is not None:
            train, test = hold_out(train, test, classes, self.test_per_class, rng)
        elif self.test_share is not None:
            train, test = self._share(train, test, rng)
        if not len(test):
            raise DataError(
                f"dataset.test_per_class: found nothing; {self.name} has no test images of its "
                f"own: say how many of each class to hold out (or test_share, which part)"
            )
        if np.count_nonzero(test.counts(classes)) < 2:
            raise DataError(
                f"dataset {self.name}: its test images are all of one class; an AUC needs two"
            )
        scale = self.scale
        if self.preprocess == "gcn_zca":
            train, test, scale = *self._whitened(train, test, folder), 1.0
        validation = test.at(np.arange(0))
        if self.validation_per_class is not None:
            rng = seeds.validation_split(origin, seed, split)
            number, key = self.validation_per_class, "dataset.validation_per_class"
            train, validation = hold_out(train, validation, classes, number, rng, key)
        return Dataset(train, test, validation, self.form, scale)

    def _share(self, train: Split, test: Split, rng: np.random.Generator) -> tuple[Split, Split]:
        """The training images without a share of every class, and that share."""
        assert self.test_share is not None
        if len(test):
            raise DataError(
                f"dataset.test_share: {self.name} has {len(test):,} test images of its own; leave "
                f"this key out, or say how many of each class with test_per_class"
            )
        sizes = train.counts(self.form.classes)
        numbers = [at_least_one(exact(n) * exact(self.test_share)) for n in sizes]
        for label, (number, size) in enumerate(zip(numbers, sizes, strict=True)):
            if number >= size:
                raise DataError(
                    f"dataset.test_share: class {label} has {size} images; none would be left to "
                    f"train on"
                )
        taken = draw(train.labels, numbers, rng)
        left = np.setdiff1d(np.arange(len(train)), taken, assume_unique=True)
        return train.at(left), train.at(taken)

    def _whitened(self, train: Split, test: Split, folder: Path) -> tuple[Split, Split]:
        if isinstance(train.images, Pictures) or isinstance(test.images, Pictures):
            raise DataError(
                f"dataset.preprocess: found 'gcn_zca', which needs images in memory, and those of "
                f"{self.name} stay on disk; allowed: none"
            )
        try:
            own, (others,) = whiten(train.images, [test.images], folder / "whitening")
        except ValueError as error:
            raise DataError(f"dataset.preprocess: found 'gcn_zca'; {self.name}: {error}") from None
        return Split(own, train.labels), Split(others, test.labels)

    def _loaded(self, folder: Path) -> tuple[Split, Split]:
        """The set as published, its splits of the shape that the form says."""
        try:
            found: Any = self.load(folder)
        except DataError:
            raise
        except OWN as error:
            if ":" not in self.name:
                raise
            why = f"its load fails with {failure(error)}"
            raise DataError(f"dataset {self.name}: {why}") from error
        if not (isinstance(found, tuple) and [type(split) for split in found] == [Split, Split]):
            kinds = [type(part).__name__ for part in found] if isinstance(found, tuple) else found
            raise DataError(f"dataset {self.name}: its load gives no two Splits but {kinds!r:.100}")
        self._check(found[0], "training")
        self._check(found[1], "test")
        train, test = (Split(split.images, split.labels.astype(np.int64)) for split in found)
        return train, test

    def _check(self, split: Split, which: str) -> None:
        if not (isinstance(split.labels, np.ndarray) and split.labels.ndim == 1):
            raise DataError(
                f"dataset {self.name}: its {which} labels are {seen(split.labels)}, expected an "
                f"array of a whole number for each image"
            )
        if not isinstance(split.images, np.ndarray | Pictures):
            raise DataError(
                f"dataset {self.name}: its {which} images are {seen(split.images)}, expected an "
                f"array"
            )
        kind = np.dtype(np.uint8) if isinstance(split.images, Pictures) else split.images.dtype
        if kind not in (np.uint8, np.float32) or split.labels.dtype.kind not in "iu":
            raise DataError(
                f"dataset {self.name}: its {which} images are {kind} and its labels "
                f"{split.labels.dtype}, expected uint8 or float32 and whole numbers"
            )
        if split.images.shape != (len(split.labels), *self.form.image):
            raise DataError(
                f"dataset {self.name}: its {which} images have the shape {split.images.shape}, "
                f"expected ({len(split.labels)}, {', '.join(map(str, self.form.image))})"
            )
        if isinstance(split.images, np.ndarray) and not np.isfinite(split.images).all():
            raise DataError(f"dataset {self.name}: its {which} images hold a value not finite")
        if len(split) and (split.labels.min() < 0 or split.labels.max() >= self.form.classes):
            raise DataError(
                f"dataset {self.name}: its {which} labels run from {split.labels.min()} to "
                f"{split.labels.max()}, expected 0 to {self.form.classes - 1}"
            )


TAKEN = (
    *("train_per_class", "test_per_class", "test_share"),
    *("validation_per_class", "splits", "preprocess"),
)
"""Keys of a source that say which part of the published set a study takes, and how."""


def hold_out(
    train: Split,
    test: Split,
    classes: int,
    per_class: int,
    rng: np.random.Generator,
    key: str = "dataset.test_per_class",
) -> tuple[Split, Split]:
    """A test set with `per_class` images of each class, and the training images left over.

    A class with more test images gives a random part of them; one with fewer is topped up with
    training images, which leave the pool for good.
    """
    from_test, from_train = [], []
    for label in range(classes):
        own = np.flatnonzero(test.labels == label)
        spare = np.flatnonzero(train.labels == label)
        short = max(per_class - len(own), 0)
        if short > len(spare):
            raise DataError(
                f"{key}: class {label} has {len(own):,} test and {len(spare):,} training images, "
                f"{per_class:,} are asked for"
            )
        from_test.append(rng.choice(own, per_class - short, replace=False))
        from_train.append(rng.choice(spare, short, replace=False))
    kept, moved = np.sort(np.concatenate(from_test)), np.sort(np.concatenate(from_train))
    left = np.setdiff1d(np.arange(len(train)), moved, assume_unique=True)
    return train.at(left), test.at(kept).then(train.at(moved))
