"""Update rules: how gradients move the weights."""

from collections.abc import Callable

from torch import Tensor

Update = Callable[[Tensor, Tensor, Tensor, float, float, float], None]
"""(weight, velocity, gradient, rate, momentum, decay): changes the first two in place."""


def caffe(w: Tensor, v: Tensor, g: Tensor, rate: float, momentum: float, decay: float) -> None:
    """v = m v + rate (g + decay w); w = w - v. The rate is inside the momentum buffer."""
    v.mul_(momentum).add_(g, alpha=rate).add_(w, alpha=rate * decay)
    w.sub_(v)


def torch(w: Tensor, v: Tensor, g: Tensor, rate: float, momentum: float, decay: float) -> None:
    """v = m v + g + decay w; w = w - rate v: PyTorch's SGD."""
    v.mul_(momentum).add_(g).add_(w, alpha=decay)
    w.sub_(v, alpha=rate)


UPDATES: dict[str, Update] = {"caffe": caffe, "torch": torch}
