"""The training loop: K networks of one net in lockstep, each through a course of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from study.engine import machine
from study.engine.formulations import Formulation
from study.engine.inputs import IndexStream, Inputs
from study.engine.losses import objective
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
    """What one network goes through: its batches, the rate that its policy begins from, its class
    weights, the noise of its dropout and where its images are cropped.
    """

    order: IndexStream
    base: float
    class_weights: np.ndarray | None
    noise: np.random.Generator
    crops: np.random.Generator


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

    def room(self, steps: int, device: torch.device) -> "Stretch":
        """Place on a device for so many iterations of this kind."""
        parts = self.positions, self.rates, self.keys
        return Stretch(*(part.new_zeros(steps, *part.shape[1:], device=device) for part in parts))

    def overwrite(self, other: "Stretch") -> None:
        """Put another, that is no longer, into the place of this one."""
        self.positions[: len(other)].copy_(other.positions)
        self.rates[: len(other)].copy_(other.rates)
        self.keys[: len(other)].copy_(other.keys)


@dataclass(frozen=True)
class State:
    """Where K networks stand: iterations done, and every tensor that the next ones depend on.

    What they draw is drawn anew from the start on the way there, so it need not be kept.
    """

    iteration: int
    tensors: list[np.ndarray]


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
    """Take every step of the recipe, from the first to the last."""
    lockstep = Lockstep(net, weights, inputs, courses, recipe, formulation, enter, start)
    for _ in lockstep.run():
        pass


class Lockstep:
    """K networks that take the same step at the same time.

    It moves `weights`, those of the layers from `enter` on, in place. The inputs are what enters
    layer `enter`; what lies below `start` is frozen. What changes from one step to the next is read
    out of tensors that stay where they are, at a number that the step itself counts up: recorded
    once, it can be replayed as it is.
    """

    def __init__(
        self,
        net: Net,
        weights: Weights,
        inputs: Inputs,
        courses: Sequence[Course],
        recipe: Recipe,
        formulation: Formulation,
        enter: int = 0,
        start: int = 0,
    ):
        self._net, self._inputs, self._courses, self._recipe = net, inputs, courses, recipe
        self._enter, self._start, self._weights = enter, start, weights
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
        self._done = 0

    def run(self, every: int | None = None) -> Iterator[int]:
        """Take the steps that are left, and pause now and then: how many are done by then.

        It pauses whenever another `every` are done, and where it likes. A network whose weights
        are no longer finite stays so; the loop ends when all have come to that.
        """
        precision = self._recipe.precision, self.device.type
        take, warm = self.step, self._done + WARM_UP
        self._inputs.forget()
        stretch = self._stretch(self._done, every)
        while len(stretch) and finite(self._weights).any():
            with machine.precision(*precision), machine.aside(self.device):
                begin = self._done
                self._load(stretch, min(STRETCH, every or STRETCH))
                for iteration in range(begin, begin + len(stretch)):
                    if iteration == warm:
                        take = machine.recorded(self.step, self.device)
                    if iteration == begin + len(stretch) // 2:  # while a card is still at work
                        following = self._stretch(begin + len(stretch), every)
                    self._inputs.advance()
                    take()
            self._done, stretch = begin + len(stretch), following
            yield self._done
        for weight in self._learned:
            weight.requires_grad_(False)

    def state(self) -> State:
        """Where the networks stand, at a pause; the steps that follow leave it as it is."""
        copies = [tensor.detach().to("cpu", copy=True) for tensor in self._tensors()]
        return State(self._done, [copy.numpy() for copy in copies])

    def resume(self, state: State) -> None:
        """Go on from where networks stood that began as these."""
        with torch.no_grad():
            for tensor, kept in zip(self._tensors(), state.tensors, strict=True):
                tensor.copy_(torch.from_numpy(kept))
        while self._done < state.iteration:
            steps = range(self._done, min(self._done + STRETCH, state.iteration))
            self._draw(steps)
            self._done = steps.stop

    def _tensors(self) -> list[Tensor]:
        return [weight for layer in self._weights for weight in layer] + self._velocities

    def _stretch(self, begin: int, every: int | None) -> Stretch:
        """The iterations from `begin` to the next pause; none after the last."""
        pauses = [self._recipe.iterations, begin - begin % STRETCH + STRETCH]
        if every is not None:
            pauses.append(begin - begin % every + every)
        stretch, crops = self._draw(range(begin, min(pauses)))
        self._inputs.expect(stretch.positions, crops)
        return stretch

    def _draw(self, steps: range) -> tuple[Stretch, np.ndarray | None]:
        """What these iterations need, drawn from each network's own streams."""
        draws, of = (len(steps), self._net.draws), self._recipe.iterations
        policy, numbers = self._recipe.rate, np.array(steps)
        positions = [course.order.take(len(steps)) for course in self._courses]
        rates = [policy.at(course.base, numbers, of) for course in self._courses]
        keys = [
            course.noise.integers(2**32, size=draws, dtype=np.uint32) for course in self._courses
        ]
        crops = [
            course.crops.integers(2**63, size=(len(steps), self._recipe.batch))
            for course in self._courses
            if self._inputs.crops
        ]
        stretch = Stretch(
            torch.from_numpy(np.stack(positions, axis=1)),
            torch.from_numpy(np.stack(rates, axis=1)).to(self._dtype),
            torch.from_numpy(np.stack(keys, axis=2).view(np.int32)),
        )
        return stretch, np.stack(crops, axis=1) if crops else None

    def _load(self, stretch: Stretch, most: int) -> None:
        """Make ready for these iterations; later ones are `most` at a time."""
        self._at.zero_()
        if self._now is None:
            self._now = stretch.room(most, self.device)
        self._now.overwrite(stretch)

    def step(self) -> None:
        """One iteration of every network."""
        assert self._now is not None, "a stretch is loaded first"
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
