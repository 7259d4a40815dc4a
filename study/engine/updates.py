"""Update rules: how gradients move the weights of K networks, each at a rate of its own."""

from collections.abc import Callable, Sequence

from torch import Tensor

Update = Callable[
    [Sequence[Tensor], Sequence[Tensor], Sequence[Tensor], Sequence[Tensor], float, float], None
]
"""(weights, velocities, gradients, rates, momentum, decay): changes the first two in place.

A rate has K values and stands for one tensor of weights, of whose shape it has the dimensions.
"""


def caffe(
    weights: Sequence[Tensor],
    velocities: Sequence[Tensor],
    gradients: Sequence[Tensor],
    rates: Sequence[Tensor],
    momentum: float,
    decay: float,
) -> None:
    """v = m v + rate (g + decay w); w = w - v. The rate is inside the momentum buffer."""
    for w, v, g, rate in zip(weights, velocities, gradients, rates, strict=True):
        v.mul_(momentum).addcmul_(g, rate).addcmul_(w, rate, value=decay)
        w.sub_(v)


def torch(
    weights: Sequence[Tensor],
    velocities: Sequence[Tensor],
    gradients: Sequence[Tensor],
    rates: Sequence[Tensor],
    momentum: float,
    decay: float,
) -> None:
    """v = m v + g + decay w; w = w - rate v: PyTorch's SGD."""
    for w, v, g, rate in zip(weights, velocities, gradients, rates, strict=True):
        v.mul_(momentum).add_(g).add_(w, alpha=decay)
        w.addcmul_(v, rate, value=-1)


UPDATES: dict[str, Update] = {"caffe": caffe, "torch": torch}
