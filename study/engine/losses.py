"""Losses: what a training minimises."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (K, batch, classes), labels (K, batch)) -> one number."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over each network's batch, summed over networks, so that none feels another."""
    summed = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    return summed / labels.shape[1]


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy}
