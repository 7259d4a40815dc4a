"""What a data set is: a source that a grid configures, and the images it gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from study import seeds
from study.errors import DataError
from study.form import Form
from study.section import Section, Whole


@dataclass(frozen=True)
class Split:
    """Images (n, height, width, channels), uint8 or float32, and a label for each."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, positions: np.ndarray) -> "Split":
        """The images at these positions, in this order."""
        return Split(self.images[positions], self.labels[positions])

    def counts(self, classes: int) -> tuple[int, ...]:
        """How many images each class has."""
        return tuple(int(n) for n in np.bincount(self.labels, minlength=classes))


@dataclass(frozen=True)
class Dataset:
    """What the cases of a study are drawn from (`pool`), and what all of them are judged on."""

    pool: Split
    test: Split
    form: Form
    scale: float


class Source(Section):
    """A data set as a grid names it. A new one gives its form and `load`.

    Without `train_per_class` and `test_per_class` the set is used as published.
    """

    name: str
    train_per_class: Whole | None = None
    test_per_class: Whole | None = None

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

    def origin(self) -> dict[str, Any]:
        """What names the published set: the identity without the part that a study takes."""
        own = ("train_per_class", "test_per_class")
        return {key: value for key, value in self.identity().items() if key not in own}

    def dataset(self, folder: Path, seed: int) -> Dataset:
        """The images of the study: the pool of the cases and the test set, no image in both."""
        train, test = self.load(folder)
        self._check(train, "training")
        self._check(test, "test")
        if self.test_per_class is not None:
            rng = seeds.test_split(self.origin(), seed)
            train, test = hold_out(train, test, self.form.classes, self.test_per_class, rng)
        if not len(test):
            raise DataError(
                f"dataset.test_per_class: found nothing; {self.name} has no test images of its "
                f"own: say how many of each class to hold out"
            )
        return Dataset(train, test, self.form, self.scale)

    def _check(self, split: Split, which: str) -> None:
        if split.images.shape != (len(split.labels), *self.form.image):
            raise DataError(
                f"dataset {self.name}: its {which} images have the shape {split.images.shape}, "
                f"expected ({len(split.labels)}, {', '.join(map(str, self.form.image))})"
            )
        if len(split) and (split.labels.min() < 0 or split.labels.max() >= self.form.classes):
            raise DataError(
                f"dataset {self.name}: its {which} labels run from {split.labels.min()} to "
                f"{split.labels.max()}, expected 0 to {self.form.classes - 1}"
            )


def hold_out(
    train: Split, test: Split, classes: int, per_class: int, rng: np.random.Generator
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
                f"dataset.test_per_class: class {label} has {len(own):,} test and {len(spare):,} "
                f"training images, {per_class:,} are asked for"
            )
        from_test.append(rng.choice(own, per_class - short, replace=False))
        from_train.append(rng.choice(spare, short, replace=False))
    kept, moved = np.sort(np.concatenate(from_test)), np.sort(np.concatenate(from_train))
    left = np.setdiff1d(np.arange(len(train)), moved, assume_unique=True)
    held = Split(
        np.concatenate([test.images[kept], train.images[moved]]),
        np.concatenate([test.labels[kept], train.labels[moved]]),
    )
    return train.at(left), held
