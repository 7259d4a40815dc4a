"""Stored outputs: the test logits of one training at a time, and the labels that they belong to."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from study.errors import UserError, line
from study.remote import Remote, Shelf, files
from study.results import labels_of

FOLDER = "predictions"

ANEW = "delete it, and run the study's grid again, which writes it anew"

AT_ONCE = 2**21
"""Logits that are held in float64 at a time."""


@dataclass(frozen=True)
class Predictions:
    """What a study's folder keeps of its networks' outputs; nothing is read until it is asked."""

    study: Shelf

    def stored(self) -> set[str]:
        """The trainings whose logits are there."""
        return {path.stem for path in files(self.study / FOLDER, ".npy")}

    def labels(self, split: int | None, classes: int) -> NDArray[np.int64]:
        """The labels of a split's test images."""
        path, array = self._open(labels_of(split))
        if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
            raise UserError(f"{path}: {_found(array)}; needed: a label for each image; {ANEW}")
        labels = np.asarray(array, np.int64)
        if labels.min() < 0 or labels.max() >= classes:
            ends = f"{labels.min()} to {labels.max()}"
            raise UserError(f"{path}: labels {ends}; needed: 0 to {classes - 1}; {ANEW}")
        return labels

    def logits(self, training: str, images: int, classes: int) -> Iterator[NDArray[np.float64]]:
        """The logits of a training that did not diverge, some images at a time, in the order of the
        labels. What float16 could not hold is infinite.
        """
        path, array = self._open(training)
        if array.shape != (images, classes) or array.dtype.kind != "f":
            raise UserError(
                f"{path}: {_found(array)}; needed: floats of shape ({images}, {classes}), after "
                f"its labels and records; {ANEW}"
            )
        step = max(1, AT_ONCE // classes)
        for begin in range(0, images, step):
            some = np.asarray(array[begin : begin + step], np.float64)
            if np.isnan(some).any():
                raise UserError(f"{path}: holds NaN, though its network did not diverge; {ANEW}")
            yield some

    def _open(self, name: str) -> tuple[Shelf, NDArray[np.generic]]:
        path = self.study / FOLDER / f"{name}.npy"
        try:
            if isinstance(path, Remote):
                return path, np.load(BytesIO(path.read_bytes()), allow_pickle=False)
            return path, np.lib.format.open_memmap(path, mode="r")
        except FileNotFoundError:
            why = "no such file"
        except Exception as error:  # a damaged header fails in many ways
            why = f"not a whole array ({line(str(error), 300)})"
        raise UserError(f"{path}: {why}; {ANEW}")


def _found(array: NDArray[np.generic]) -> str:
    return f"found {array.dtype} of shape {array.shape}"
