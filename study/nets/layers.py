"""Layers that hold K networks at once; with K = 1 they are the ordinary ones.

Images travel as (batch, K x channels, height, width), features as (K, batch, features), and
weights carry K in front. K convolutions are one grouped convolution, K products one batched
product, so that networks advance in lockstep without seeing one another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]
"""Of what enters or leaves a layer, for one image of one network: (C, H, W) or (features,)."""

Fill = Callable[[np.random.Generator, Shape], np.ndarray]


def zeros(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """All zero; draws nothing."""
    return np.zeros(shape, np.float32)


def xavier(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Caffe's Xavier: uniform in +-sqrt(3 / fan in)."""
    bound = sqrt(3 / prod(shape[1:]))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


@dataclass(frozen=True)
class Parameter:
    """One weight of a layer: its shape for one network, how it is filled, whether it is a bias."""

    shape: Shape
    fill: Fill
    bias: bool = False


class Layer:
    """A step of a net. One that learns nothing has no parameters."""

    def out(self, shape: Shape) -> Shape:
        """What leaves the layer when `shape` enters."""
        return shape

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        """The weights that the layer learns when `shape` enters."""
        return ()

    def forward(self, x: Tensor, weights: Sequence[Tensor], k: int) -> Tensor:
        """The layer of K networks applied to their batches."""
        raise TypeError(f"{type(self).__name__} computes nothing")


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution with bias."""

    channels: int
    kernel: int

    def out(self, shape: Shape) -> Shape:
        _, height, width = shape
        return self.channels, height - self.kernel + 1, width - self.kernel + 1

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        weight = (self.channels, shape[0], self.kernel, self.kernel)
        return Parameter(weight, xavier), Parameter((self.channels,), zeros, bias=True)

    def forward(self, x: Tensor, weights: Sequence[Tensor], k: int) -> Tensor:
        weight, bias = weights
        return F.conv2d(x, weight.flatten(0, 1), bias.flatten(), groups=k)


@dataclass(frozen=True)
class MaxPool(Layer):
    """The largest of each square, side by side."""

    size: int

    def out(self, shape: Shape) -> Shape:
        channels, height, width = shape
        return channels, height // self.size, width // self.size

    def forward(self, x: Tensor, weights: Sequence[Tensor], k: int) -> Tensor:
        return F.max_pool2d(x, self.size)


@dataclass(frozen=True)
class Flatten(Layer):
    """Images to features, in the order in which channels_last keeps them: row, column, channel."""

    def out(self, shape: Shape) -> Shape:
        return (prod(shape),)

    def forward(self, x: Tensor, weights: Sequence[Tensor], k: int) -> Tensor:
        batch, channels, height, width = x.shape
        apart = x.permute(0, 2, 3, 1).reshape(batch, height, width, k, channels // k)
        return apart.permute(3, 0, 1, 2, 4).reshape(k, batch, -1)


@dataclass(frozen=True)
class Linear(Layer):
    """Fully connected, with bias."""

    features: int

    def out(self, shape: Shape) -> Shape:
        return (self.features,)

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        weight = (self.features, *shape)
        return Parameter(weight, xavier), Parameter((self.features,), zeros, bias=True)

    def forward(self, x: Tensor, weights: Sequence[Tensor], k: int) -> Tensor:
        weight, bias = weights
        if k == 1:  # a fifth faster on a CPU than a batched product of one
            return F.linear(x.squeeze(0), weight.squeeze(0), bias.squeeze(0)).unsqueeze(0)
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


@dataclass(frozen=True)
class ReLU(Layer):
    """max(0, x)."""

    def forward(self, x: Tensor, weights: Sequence[Tensor], k: int) -> Tensor:
        return F.relu(x)
