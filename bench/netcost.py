"""What a net costs by arithmetic: operations, numbers moved, bytes kept; nothing is run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import prod

from study.nets import Net
from study.nets.fills import Shape
from study.nets.layers import (
    Average,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Residual,
    shapes,
)

NUMBER = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Keeps:
    """What of a layer the backward pass needs: what enters it, what leaves it, and so many bytes
    more for each number that leaves.
    """

    entering: bool = False
    leaving: bool = False
    beside: int = 0


class Sum(Layer):
    """Where the two rows of a residual layer meet."""


KEEPS: dict[type[Layer], Keeps] = {
    Conv: Keeps(entering=True),
    Linear: Keeps(entering=True),
    BatchNorm: Keeps(entering=True),
    ReLU: Keeps(leaving=True),
    MaxPool: Keeps(entering=True, beside=8),  # where each maximum lay
    Dropout: Keeps(beside=1),  # what was left in
    Average: Keeps(),
    Flatten: Keeps(),
    Sum: Keeps(),
}
"""Those of the formulations that convolve as they are told; im2col keeps its windows besides."""

IN_PLACE = (Flatten,)
"""Layers that move nothing: what leaves them is what entered."""


@dataclass(frozen=True)
class Place:
    """A layer at its place in a net, those within a residual one too.

    source, result: numbers of the tensors that enter and leave; one that two layers read has one.
    fed: whether a gradient is asked for of what enters; learns: of what leaves.
    """

    layer: Layer
    entering: Shape
    leaving: Shape
    source: int
    result: int
    fed: bool
    learns: bool

    @property
    def moved(self) -> int:
        """Numbers that enter and leave."""
        return 0 if self.source == self.result else prod(self.entering) + prod(self.leaving)


def places(net: Net, start: int = 0) -> list[Place]:
    """Every layer from `start` on, in the order in which they are computed."""
    return list(_row(net.layers[start:], net.shapes[start], 0, False, count(1)))


def _row(
    layers: Sequence[Layer], shape: Shape, source: int, fed: bool, numbers: Iterator[int]
) -> Iterator[Place]:
    """A row of layers that begins with the tensor `source`."""
    entering = shapes(tuple(layers), shape)
    for layer, own, leaving in zip(layers, entering, entering[1:], strict=False):
        if isinstance(layer, Residual):
            rows = [
                list(_row(row, own, source, fed, numbers)) for row in (layer.branch, layer.shortcut)
            ]
            for row in rows:
                yield from row
            fed = fed or any(place.learns for row in rows for place in row)
            ends = [row[-1].result for row in rows if row] or [source]
            yield Place(Sum(), leaving, leaving, ends[0], source := next(numbers), fed, fed)
            continue
        if type(layer) not in KEEPS:
            known = ", ".join(kind.__name__ for kind in (*KEEPS, Residual) if kind is not Sum)
            raise LookupError(
                f"what a layer {type(layer).__name__} keeps for the backward pass is not known; "
                f"known: {known} (KEEPS in bench/netcost.py)"
            )
        learns = fed or any(parameter.learned for parameter in layer.parameters(own))
        result = source if isinstance(layer, IN_PLACE) else next(numbers)
        yield Place(layer, own, leaving, source, result, fed, learns)
        source, fed = result, learns


def shown_flop(net: Net, start: int = 0, stop: int | None = None) -> int:
    """Operations on an image that is shown: two, to multiply and to add, for each product."""
    entering = zip(net.layers, net.shapes, strict=False)
    return 2 * sum(layer.products(shape) for layer, shape in list(entering)[start:stop])


def learned_flop(net: Net, start: int = 0) -> int:
    """Operations on an image that the layers from `start` on learn from: as many again for the
    gradient of their weights, and of what enters them where that is asked for.
    """
    return sum(
        (6 if place.fed else 4) * place.layer.products(place.entering)
        for place in places(net, start)
    )


def shown_numbers(net: Net, start: int = 0, stop: int | None = None) -> int:
    """Numbers read and written for an image that is shown, by one operation a layer."""
    whole = sum(place.moved for place in places(net, start))
    return whole if stop is None else whole - sum(place.moved for place in places(net, stop))


def learned_numbers(net: Net, start: int = 0) -> int:
    """The same for an image that is learned from: once forward, and twice as many backward."""
    return 3 * shown_numbers(net, start)


WEIGHT_MOVES = 8
"""How often a step reads or writes a weight: forward, backward, its gradient; then to update it
the gradient, and weight and velocity twice each."""


def weights(net: Net, start: int = 0) -> int:
    """Numbers that a network learns from layer `start` on."""
    return sum(
        prod(parameter.shape)
        for layer in net.parameters[start:]
        for parameter in layer
        if parameter.learned
    )


def state_bytes(net: Net) -> int:
    """All that a network holds, and a velocity and a gradient for what it learns."""
    held = sum(prod(parameter.shape) for layer in net.parameters for parameter in layer)
    return NUMBER * (held + 2 * weights(net))


def kept_bytes(net: Net) -> int:
    """What is kept of an image until its backward pass, each tensor once; the softmax too."""
    tensors: dict[int, int] = {}
    beside = NUMBER * net.form.classes
    for place in (place for place in places(net) if place.learns):
        keeps = KEEPS[type(place.layer)]
        if keeps.entering:
            tensors[place.source] = prod(place.entering)
        if keeps.leaving:
            tensors[place.result] = prod(place.leaving)
        beside += keeps.beside * prod(place.leaving)
    return NUMBER * sum(tensors.values()) + beside
