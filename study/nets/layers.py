"""Layers that hold K networks at once; with K = 1 they are the ordinary ones.

Images travel as (batch, K x channels, height, width), features as (K, batch, features), and
weights carry K in front. K convolutions are one grouped convolution, K products one batched
product, so that networks advance in lockstep without seeing one another.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from study.nets.convolve import Convolve, grouped
from study.nets.fills import Fill, Shape, ones, xavier, zeros
from study.nets.noise import keep


@dataclass(frozen=True)
class Parameter:
    """A tensor that a layer holds: its shape for one network, how it is filled, whether it is a
    bias, and whether it is learned or only kept from step to step.
    """

    shape: Shape
    fill: Fill
    bias: bool = False
    learned: bool = True


@dataclass(frozen=True)
class Pass:
    """How K networks are run: by which convolution, and whether they learn.

    keys: of each layer that draws, one key a network (K); None where nothing is learned.
    frozen: these layers only serve others that learn.
    """

    k: int
    convolve: Convolve = grouped
    keys: Iterator[Tensor] | None = None
    frozen: bool = False


class Layer:
    """A step of a net. One that learns nothing has no parameters."""

    draws = 0
    """How many keys it takes from a pass."""

    def out(self, shape: Shape) -> Shape:
        """What leaves the layer when `shape` enters."""
        return shape

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        """What the layer holds when `shape` enters."""
        return ()

    def products(self, shape: Shape) -> int:
        """Multiplications of an image with weights when `shape` enters."""
        return 0

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        """The layer of K networks applied to their batches; it takes its own from `weights`."""
        raise TypeError(f"{type(self).__name__} computes nothing")


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution, square, with as many rows of zeros around as `padding` says."""

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = True
    fill: Fill = field(default=xavier, repr=False)

    def out(self, shape: Shape) -> Shape:
        _, *sides = of_images(shape, self)
        high, wide = ((n + 2 * self.padding - self.kernel) // self.stride + 1 for n in sides)
        return self.channels, high, wide

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        weight = Parameter((self.channels, shape[0], self.kernel, self.kernel), self.fill)
        bias = Parameter((self.channels,), zeros, bias=True)
        return (weight, bias) if self.bias else (weight,)

    def products(self, shape: Shape) -> int:
        return prod(self.out(shape)) * shape[0] * self.kernel**2

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        weight = next(weights)
        bias = next(weights) if self.bias else None
        return how.convolve(x, weight, bias, self.stride, self.padding)


@dataclass(frozen=True)
class MaxPool(Layer):
    """The largest of each square; squares lie `stride` apart, side by side without one.

    ceil: a square that only begins inside counts too.
    """

    size: int
    stride: int | None = None
    ceil: bool = False

    def out(self, shape: Shape) -> Shape:
        channels, *sides = of_images(shape, self)
        high, wide = map(self._squares, sides)
        return channels, high, wide

    def _squares(self, side: int) -> int:
        """How many fit along a side; with `ceil`, how many begin on it."""
        step = self.stride or self.size
        if not self.ceil:
            return (side - self.size) // step + 1
        return min(-(-(side - self.size) // step) + 1, -(-side // step))

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        return F.max_pool2d(x, self.size, self.stride, ceil_mode=self.ceil)


@dataclass(frozen=True)
class Average(Layer):
    """Images to features: the mean of each channel."""

    def out(self, shape: Shape) -> Shape:
        return of_images(shape, self)[:1]

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        return x.mean((2, 3)).unflatten(1, (how.k, -1)).transpose(0, 1)


@dataclass(frozen=True)
class Flatten(Layer):
    """Images to features, in the order in which channels_last keeps them: row, column, channel."""

    def out(self, shape: Shape) -> Shape:
        return (prod(of_images(shape, self)),)

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        return apart(x, how.k).permute(0, 1, 3, 4, 2).flatten(2)


@dataclass(frozen=True)
class Linear(Layer):
    """Fully connected, with bias."""

    features: int
    fill: Fill = field(default=xavier, repr=False)

    def out(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ValueError(f"{self} takes features, and images {shape} enter it: Flatten() first")
        return (self.features,)

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        weight = Parameter((self.features, *shape), self.fill)
        return weight, Parameter((self.features,), zeros, bias=True)

    def products(self, shape: Shape) -> int:
        return self.features * prod(shape)

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        weight, bias = next(weights), next(weights)
        if how.k == 1:  # a fifth faster on a CPU than a batched product of one
            return F.linear(x.squeeze(0), weight.squeeze(0), bias.squeeze(0)).unsqueeze(0)
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


@dataclass(frozen=True)
class ReLU(Layer):
    """max(0, x)."""

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        return F.relu(x)


@dataclass(frozen=True)
class Dropout(Layer):
    """While learning, a share of what enters is set to zero and the rest made up for it."""

    share: float

    draws = 1

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"{self} drops nothing or all; a share lies between 0 and 1")

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        if how.keys is None:
            return x
        own = apart(x, how.k)
        kept = keep(own.shape, next(how.keys), 1 - self.share)
        return together(torch.where(kept, own / (1 - self.share), 0))


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Each channel of images to mean 0 and variance 1, over a network's own batch; then scale and
    shift. Where nothing is learned, or only above, by the running mean and variance.
    """

    momentum: float = 0.1
    eps: float = 1e-5

    def out(self, shape: Shape) -> Shape:
        return of_images(shape, self)

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        own = shape[:1]
        return (
            Parameter(own, ones),
            Parameter(own, zeros, bias=True),
            Parameter(own, zeros, learned=False),
            Parameter(own, ones, learned=False),
        )

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        scale, shift, mean, variance = (next(weights).view(-1) for _ in range(4))
        batch = how.keys is not None and not how.frozen
        return F.batch_norm(x, mean, variance, scale, shift, batch, self.momentum, self.eps)


@dataclass(frozen=True)
class Residual(Layer):
    """The sum of two rows of layers over the same images; a row without layers changes nothing."""

    branch: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()

    @property
    def draws(self) -> int:  # type: ignore[override]
        return sum(layer.draws for layer in self.branch + self.shortcut)

    def out(self, shape: Shape) -> Shape:
        one, other = shapes(self.branch, shape)[-1], shapes(self.shortcut, shape)[-1]
        if one != other:
            raise ValueError(f"a branch leaves {one} and its shortcut {other}: they do not add up")
        return one

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        rows = ((row, shapes(row, shape)) for row in (self.branch, self.shortcut))
        return tuple(
            parameter
            for row, entering in rows
            for layer, own in zip(row, entering, strict=False)
            for parameter in layer.parameters(own)
        )

    def products(self, shape: Shape) -> int:
        rows = ((row, shapes(row, shape)) for row in (self.branch, self.shortcut))
        return sum(
            layer.products(own)
            for row, entering in rows
            for layer, own in zip(row, entering, strict=False)
        )

    def forward(self, x: Tensor, weights: Iterator[Tensor], how: Pass) -> Tensor:
        one = other = x
        for layer in self.branch:
            one = layer.forward(one, weights, how)
        for layer in self.shortcut:
            other = layer.forward(other, weights, how)
        return one + other


def shapes(layers: tuple[Layer, ...], shape: Shape) -> list[Shape]:
    """What enters each layer of a row, and what leaves the last."""
    found = [shape]
    for layer in layers:
        found.append(layer.out(found[-1]))
        if min(found[-1]) < 1:
            sides = " x ".join(map(str, shape[1:]))
            raise ValueError(f"nothing is left of {sides} images after {layer}")
    return found


def of_images(shape: Shape, layer: Layer) -> Shape:
    """The shape, which must be that of images."""
    if len(shape) != 3:
        raise ValueError(f"{layer} takes images, and features {shape} enter it")
    return shape


def apart(x: Tensor, k: int) -> Tensor:
    """What travels, as (K, batch, channels, height, width) or (K, batch, features); a view."""
    return x if x.dim() == 3 else x.unflatten(1, (k, -1)).transpose(0, 1)


def together(x: Tensor) -> Tensor:
    """The inverse of `apart`; a view of images whose channels lie network by network."""
    return x if x.dim() == 3 else x.transpose(0, 1).flatten(1, 2)
