"""What networks read: batches gathered by position, from images or from features of their own."""

import warnings
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from study.data import Split
from study.nets.layers import together


class Inputs(Protocol):
    """Batches by position."""

    @property
    def crops(self) -> bool:
        """Whether an image that is learned from is cropped anew each time."""
        ...

    def forget(self) -> None:
        """Expect no batch that was told before."""
        ...

    def expect(self, batches: Iterable[Tensor], crops: Iterable[np.ndarray] | None = None) -> None:
        """Be told, after what was told before, which batches will be asked for, in their order:
        positions (K, batch) each, and for each position a number that says how it is cropped.
        """
        ...

    def advance(self) -> None:
        """Have the next batch ready that was to be expected."""
        ...

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """What enters the first layer, and the labels (K, batch), for positions (K, batch)."""
        ...


class Resident:
    """Inputs that lie on the device: any batch is ready at any time."""

    crops = False

    def forget(self) -> None:
        """Nothing."""

    def expect(self, batches: Iterable[Tensor], crops: Iterable[np.ndarray] | None = None) -> None:
        """Nothing."""

    def advance(self) -> None:
        """Nothing."""


class Images(Resident):
    """Images that all networks share, kept as they are stored; scaled when a batch is gathered."""

    def __init__(self, split: Split, scale: float, device: str, dtype: torch.dtype = torch.float32):
        self._pixels = tensor(np.asarray(split.images)).to(device)
        self._labels = tensor(split.labels).to(device)
        self._scale = scale
        self._dtype = dtype

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self._pixels.index_select(0, positions.flatten()).unflatten(0, positions.shape)
        return enter(pixels, self._scale, self._dtype), self._labels[positions]


def enter(pixels: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    """Pixels (K, batch, height, width, channels), fresh, as what enters the first layer."""
    x = together(pixels.permute(0, 1, 4, 2, 3))
    return x.to(dtype, memory_format=torch.channels_last).mul_(scale)


class Features(Resident):
    """Rows of features, those of K networks one below the other, and the label of each row."""

    def __init__(self, rows: Tensor, labels: Tensor):
        self._rows = rows
        self._labels = labels

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        rows = self._rows.index_select(0, positions.flatten()).unflatten(0, positions.shape)
        return together(rows), self._labels[positions]


class IndexStream:
    """The positions of one network's batches.

    A fresh permutation of `places` each epoch; batches run over an epoch's end, none is short.
    """

    def __init__(self, places: np.ndarray, batch: int, rng: np.random.Generator):
        self._places = places
        self._batch = batch
        self._rng = rng
        self._left = places[:0]

    def take(self, steps: int) -> np.ndarray:
        """The next `steps` batches, (steps, batch)."""
        needed = steps * self._batch
        parts, have = [self._left], len(self._left)
        while have < needed:
            parts.append(self._rng.permutation(self._places))
            have += len(self._places)
        stream = np.concatenate(parts)
        self._left = stream[needed:]
        return stream[:needed].reshape(steps, self._batch)


def tensor(array: np.ndarray) -> Tensor:
    """A tensor of an array without a copy, also of one that other processes share read-only."""
    with warnings.catch_warnings():
        # torch cannot mark a tensor read-only and says so; nothing here writes to its inputs.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
