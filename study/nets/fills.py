"""Fills: what a fresh weight of one network holds."""

from collections.abc import Callable
from math import prod, sqrt

import numpy as np

Shape = tuple[int, ...]
"""Of a weight, outputs first; or of what enters or leaves a layer: (C, H, W) or (features,)."""

Fill = Callable[[np.random.Generator, Shape], np.ndarray]


def zeros(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """All zero; draws nothing."""
    return np.zeros(shape, np.float32)


def ones(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """All one; draws nothing."""
    return np.ones(shape, np.float32)


def xavier(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Caffe's Xavier: uniform in +-sqrt(3 / fan in)."""
    bound = sqrt(3 / prod(shape[1:]))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def kaiming(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Normal with variance 2 / fan in."""
    return rng.normal(0, sqrt(2 / prod(shape[1:])), shape).astype(np.float32)


def kaiming_out(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Normal with variance 2 / fan out."""
    return rng.normal(0, sqrt(2 / (shape[0] * prod(shape[2:]))), shape).astype(np.float32)
