"""A net: layers in a row, the point where its head begins, and the weights it starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from study.form import Form
from study.nets.fills import Shape
from study.nets.layers import Layer, Parameter, Pass, shapes

Weights = list[tuple[Tensor, ...]]
"""Of K networks, a tuple for each layer; every tensor with K in front."""


@dataclass(frozen=True)
class Net:
    """An architecture for images of one form. Its layers from `head` on learn in a second phase.

    Raises ValueError where the layers do not fit the images, one another or the classes.
    """

    form: Form
    layers: tuple[Layer, ...]
    head: int

    def __post_init__(self) -> None:
        if self.shapes[-1] != (self.form.classes,):
            raise ValueError(f"the last layer leaves {self.shapes[-1]}, not a number a class")
        if self.head < 0 or not any(self.parameters[self.head :]):
            raise ValueError(f"there is no layer that learns from head {self.head} on")

    @cached_property
    def shapes(self) -> list[Shape]:
        """What enters each layer, and what leaves the last; an image is (C, H, W)."""
        height, width, channels = self.form.image
        return shapes(self.layers, (channels, height, width))

    @cached_property
    def parameters(self) -> list[tuple[Parameter, ...]]:
        """What each layer holds."""
        entering = zip(self.layers, self.shapes, strict=False)
        return [layer.parameters(shape) for layer, shape in entering]

    @cached_property
    def products(self) -> int:
        """Multiplications of an image with weights; learning from it takes three times as many."""
        entering = zip(self.layers, self.shapes, strict=False)
        return sum(layer.products(shape) for layer, shape in entering)

    @cached_property
    def draws(self) -> int:
        """How many keys a pass needs that learns."""
        return sum(layer.draws for layer in self.layers)

    @cached_property
    def still(self) -> bool:
        """Whether an image has the same features below the head however often it is seen."""
        return not any(layer.draws for layer in self.layers[: self.head])

    def initial(self, rngs: Sequence[np.random.Generator]) -> Weights:
        """Fresh weights of one network for each generator, drawn layer by layer."""
        return [
            tuple(
                channels_last(torch.from_numpy(np.stack([p.fill(rng, p.shape) for rng in rngs])))
                for p in layer
            )
            for layer in self.parameters
        ]

    def forward(
        self, x: Tensor, weights: Weights, how: Pass, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """The layers from `start` to before `stop`; `weights` are theirs, of all the networks."""
        for layer, own in zip(self.layers[start:stop], weights, strict=True):
            x = layer.forward(x, iter(own), how)
        return x


def channels_last(weight: Tensor) -> Tensor:
    """The same tensor; that of a convolution (K, out, in, h, w) with `in` innermost in memory."""
    if weight.dim() != 5:
        return weight
    return weight.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
