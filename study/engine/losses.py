"""Losses: the cross-entropy that a training minimises, and how it weighs the classes."""

from collections.abc import Callable

import numpy as np
import torch.nn.functional as F
from torch import Tensor

ClassWeights = Callable[[np.ndarray], np.ndarray | None]
"""Images of each class in the set that is trained on -> a weight for each, or None for ones."""


def equal(counts: np.ndarray) -> None:
    """Every image weighs one."""


def balanced(counts: np.ndarray) -> np.ndarray:
    """Every class weighs the same, whatever its size, and the mean image one."""
    return counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))


LOSSES: dict[str, ClassWeights] = {
    "cross_entropy": equal,
    "balanced_cross_entropy": balanced,
}


def objective(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """The sum over K networks, so that none feels another, of the mean loss of each one's batch.

    logits (K, batch, classes), labels (K, batch); weights (K, classes), or None for ones. The
    batch is divided by its size, not by its weight, so that an image counts the same in any batch.
    """
    flat = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    losses = flat.view_as(labels)
    if weights is not None:
        losses = losses * weights.gather(1, labels)
    return losses.sum() / labels.shape[1]
