"""Forward passes without learning: the outputs of a part of a net, batch after batch."""

import numpy as np
import torch
from torch import Tensor

from study.engine.inputs import Inputs
from study.nets import Net, Weights

BATCH = 500
"""Images a pass. Fixed, because the grouping of a product may move its last bit."""


@torch.no_grad()
def outputs(
    net: Net,
    weights: Weights,
    inputs: Inputs,
    positions: np.ndarray,
    start: int = 0,
    stop: int | None = None,
) -> Tensor:
    """(K, n, features): what leaves the layers `start` to `stop` for these n positions."""
    first = next(weight for layer in weights for weight in layer)
    (features,) = net.shapes[stop if stop is not None else -1]
    left = first.new_empty(len(first), len(positions), features)
    places = torch.from_numpy(positions).to(first.device)
    for some, part in zip(places.split(BATCH), left.split(BATCH, dim=1), strict=True):
        x, _ = inputs.batch(some.expand(len(first), -1))
        part.copy_(net.forward(x, weights, start, stop))
    return left
