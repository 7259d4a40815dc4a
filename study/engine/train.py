"""The training loop: K networks of one net in lockstep, each through a course of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from study.engine import machine
from study.engine.formulations import Formulation
from study.engine.inputs import IndexStream, Inputs
from study.engine.losses import objective
from study.engine.rates import Rate
from study.engine.recipe import Recipe
from study.engine.updates import UPDATES
from study.nets import Net, Weights
from study.nets.layers import Pass

STRETCH = 100
"""Iterations whose indices go over at once; then a look at whether any network still lives."""

WARM_UP = 3
"""Iterations on CUDA before a step is recorded: in them the libraries set themselves up."""


@dataclass(frozen=True)
class Course:
    """What one network goes through: its batches, its rates, its class weights, its noise."""

    order: IndexStream
    rate: Rate
    class_weights: np.ndarray | None
    noise: np.random.Generator


@dataclass(frozen=True)
class Stretch:
    """What the next iterations need: positions (steps, K, batch), rates (steps, K) and the keys of
    layers that draw (steps, draws, K).
    """

    positions: Tensor
    rates: Tensor
    keys: Tensor

    def __len__(self) -> int:
        return len(self.positions)

    def to(self, device: torch.device) -> "Stretch":
        """The same on another device."""
        return Stretch(self.positions.to(device), self.rates.to(device), self.keys.to(device))

    def overwrite(self, other: "Stretch") -> None:
        """Put another, that is no longer, into the place of this one."""
        self.positions[: len(other)].copy_(other.positions)
        self.rates[: len(other)].copy_(other.rates)
        self.keys[: len(other)].copy_(other.keys)


def fit(
    net: Net,
    weights: Weights,
    inputs: Inputs,
    courses: Sequence[Course],
    recipe: Recipe,
    formulation: Formulation,
    enter: int = 0,
    start: int = 0,
) -> None:
    """Move `weights`, those of the layers from `enter` on, in place.

    The inputs are what enters layer `enter`; what lies below `start` is frozen. A network whose
    weights are no longer finite stays so; the loop ends when all have come to that.
    """
    lockstep = Lockstep(net, weights, inputs, courses, recipe, formulation, enter, start)
    device = lockstep.device
    with machine.precision(recipe.precision, device.type), machine.aside(device):
        take: Callable[[], None] = lockstep.step
        stretch = lockstep.stretch(0)
        for begin in range(0, recipe.iterations, STRETCH):
            lockstep.load(stretch)
            for iteration in range(begin, begin + len(stretch)):
                if iteration == WARM_UP:
                    take = machine.recorded(lockstep.step, device)
                take()
            stretch = lockstep.stretch(begin + STRETCH)  # while a card is still at work
            if not finite(weights).any():
                break
    lockstep.end()


class Lockstep:
    """K networks that take the same step at the same time.

    What changes from one step to the next is read out of tensors that stay where they are, at a
    number that the step itself counts up: recorded once, it can be replayed as it is.
    """

    def __init__(
        self,
        net: Net,
        weights: Weights,
        inputs: Inputs,
        courses: Sequence[Course],
        recipe: Recipe,
        formulation: Formulation,
        enter: int,
        start: int,
    ):
        self._net, self._inputs, self._courses, self._recipe = net, inputs, courses, recipe
        self._enter, self._start = enter, start
        self._frozen, self._moving = weights[: start - enter], weights[start - enter :]
        held = [
            (weight, parameter)
            for layer, parameters in zip(self._moving, net.parameters[start:], strict=True)
            for weight, parameter in zip(layer, parameters, strict=True)
            if parameter.learned
        ]
        self._learned = [weight.requires_grad_() for weight, _ in held]
        self._biases = [parameter.bias for _, parameter in held]
        self._velocities = [torch.zeros_like(weight) for weight in self._learned]
        first = self._learned[0]
        self.device, self._dtype = first.device, first.dtype
        self._class_weights = _class_weights(courses, net.form.classes, first)
        self._convolve = formulation.convolve
        self._forward = formulation.forward(net)
        self._update = formulation.update(UPDATES[recipe.update])
        self._at = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._now: Stretch | None = None

    def stretch(self, begin: int) -> Stretch:
        """What the iterations from `begin` on need, drawn from each network's own streams."""
        steps = range(begin, min(begin + STRETCH, self._recipe.iterations))
        draws = (len(steps), self._net.draws)
        positions = [course.order.take(len(steps)) for course in self._courses]
        rates = [course.rate.at(np.array(steps)) for course in self._courses]
        keys = [
            course.noise.integers(2**32, size=draws, dtype=np.uint32) for course in self._courses
        ]
        return Stretch(
            torch.from_numpy(np.stack(positions, axis=1)),
            torch.from_numpy(np.stack(rates, axis=1)).to(self._dtype),
            torch.from_numpy(np.stack(keys, axis=2).view(np.int32)),
        )

    def load(self, stretch: Stretch) -> None:
        """Make ready for these iterations."""
        self._at.zero_()
        if self._now is None:
            self._now = stretch.to(self.device)
        else:
            self._now.overwrite(stretch)

    def step(self) -> None:
        """One iteration of every network."""
        assert self._now is not None, "load comes first"
        x, labels = self._inputs.batch(self._next(self._now.positions))
        k, keys = len(labels), iter(self._next(self._now.keys).unbind())
        with torch.no_grad():
            how = Pass(k, self._convolve, keys, frozen=True)
            x = self._net.forward(x, self._frozen, how, self._enter, self._start)
        logits = self._forward(x, self._moving, Pass(k, self._convolve, keys), self._start)
        gradients = torch.autograd.grad(
            objective(logits, labels, self._class_weights), self._learned
        )
        rate = self._next(self._now.rates)
        by_kind = rate, rate * self._recipe.bias_rate
        rates = [
            by_kind[bias].view(-1, *[1] * (weight.dim() - 1))
            for weight, bias in zip(self._learned, self._biases, strict=True)
        ]
        with torch.no_grad():
            self._update(
                self._learned,
                self._velocities,
                gradients,
                rates,
                self._recipe.momentum,
                self._recipe.weight_decay,
            )
            self._at.add_(1)

    def _next(self, rows: Tensor) -> Tensor:
        return rows.index_select(0, self._at).squeeze(0)

    def end(self) -> None:
        """The weights are learned no longer."""
        for weight in self._learned:
            weight.requires_grad_(False)


def _class_weights(courses: Sequence[Course], classes: int, like: Tensor) -> Tensor | None:
    """(K, classes), or None where every network weighs all alike."""
    if all(course.class_weights is None for course in courses):
        return None
    ones = np.ones(classes)
    rows = [ones if c.class_weights is None else c.class_weights for c in courses]
    return torch.from_numpy(np.stack(rows)).to(like)


def finite(weights: Weights) -> Tensor:
    """Which of the K networks are finite throughout."""
    flat = [weight.flatten(1).isfinite().all(1) for layer in weights for weight in layer]
    return torch.stack(flat).all(0)
