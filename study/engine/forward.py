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
    k = next(len(weight) for layer in weights for weight in layer)
    parts = []
    device = next(weight.device for layer in weights for weight in layer)
    for some in torch.from_numpy(positions).to(device).split(BATCH):
        x, _ = inputs.batch(some.expand(k, -1))
        parts.append(net.forward(x, weights, start, stop))
    return torch.cat(parts, dim=1)
