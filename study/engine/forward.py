"""Forward passes without learning: the outputs of K networks, batch after batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from study.engine.inputs import Inputs
from study.nets import Net, Weights
from study.nets.convolve import Convolve
from study.nets.layers import Pass, apart


@torch.no_grad()
def outputs(
    net: Net,
    weights: Weights,
    inputs: Inputs,
    positions: Tensor,
    batch: int,
    convolve: Convolve,
    start: int = 0,
    keep: Sequence[int] = (),
) -> tuple[Tensor, Tensor]:
    """The logits (K, n, classes) for positions (K, n), `batch` images a network at a time.

    `weights` are those of the layers from `start` on. The features that enter the head come with
    them, (networks, n, ...), of the networks that `keep` numbers.
    """
    (k, number), first = positions.shape, next(w for layer in weights for w in layer)
    logits = first.new_empty(k, number, net.form.classes)
    features = first.new_empty(len(keep), number, *net.shapes[net.head])
    kept = torch.tensor(keep, dtype=torch.int64, device=first.device)
    split = max(net.head - start, 0)
    body, head, how = weights[:split], weights[split:], Pass(k, convolve)
    parts = [slice(begin, begin + batch) for begin in range(0, number, batch)]
    inputs.forget()
    inputs.expect(positions[:, some] for some in parts)
    for some in parts:
        inputs.advance()
        x, _ = inputs.batch(positions[:, some])
        x = net.forward(x, body, how, start, start + split)
        if keep:
            features[:, some] = apart(x, k).index_select(0, kept)
        logits[:, some] = net.forward(x, head, how, start + split)
    return logits, features
