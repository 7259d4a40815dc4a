"""What a training reads: batches gathered by index from images, or from features of its own."""

import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from study.data import Split


class Inputs(Protocol):
    """K batches by position."""

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """What enters the first layer, and the labels (K, batch), for positions (K, batch)."""
        ...


class Images:
    """Images that all networks share, kept as they are stored; scaled when a batch is gathered."""

    def __init__(self, split: Split, scale: float, device: str, dtype: torch.dtype = torch.float32):
        self._pixels = tensor(split.images).to(device)
        self._labels = tensor(split.labels).to(device)
        self._scale = scale
        self._dtype = dtype

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        k, size = positions.shape
        pixels = self._pixels.index_select(0, positions.flatten())
        apart = pixels.view(k, size, *pixels.shape[1:]).permute(1, 0, 4, 2, 3)
        stacked = apart.reshape(size, -1, *apart.shape[3:])  # a view where K = 1
        x = stacked.to(self._dtype, memory_format=torch.channels_last)
        return x.mul_(self._scale), self._labels[positions]


class Features:
    """Features (K, n, features), each network's own, and the labels (n) they share."""

    def __init__(self, features: Tensor, labels: Tensor):
        self._features = features
        self._labels = labels

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        each = positions.unsqueeze(-1).expand(-1, -1, self._features.shape[-1])
        return self._features.gather(1, each), self._labels[positions]


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


def lockstep(orders: Sequence[IndexStream], steps: int, device: str) -> Tensor:
    """The next batches of K networks, (steps, K, batch), on the device."""
    return torch.from_numpy(np.stack([order.take(steps) for order in orders], axis=1)).to(device)


def tensor(array: np.ndarray) -> Tensor:
    """A tensor of an array without a copy, also of one that other processes share read-only."""
    with warnings.catch_warnings():
        # torch cannot mark a tensor read-only and says so; nothing here writes to its inputs.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
