"""The training loop: K networks of one net, each over its own stream of batches."""

from collections.abc import Sequence

import torch

from study.engine.inputs import IndexStream, Inputs, lockstep
from study.engine.losses import LOSSES
from study.engine.recipe import Recipe
from study.engine.updates import UPDATES
from study.nets import Net, Weights

STRIDE = 100
"""Iterations whose indices go over at once; then a look at whether any network still lives."""


def fit(
    net: Net,
    weights: Weights,
    inputs: Inputs,
    orders: Sequence[IndexStream],
    recipe: Recipe,
    loss: str,
    start: int = 0,
    rate_factor: float = 1.0,
) -> None:
    """Move `weights`, those of the layers from `start` on, in place.

    A network whose weights are no longer finite stays so; the loop ends when all have come to that.
    """
    learned = [weight.requires_grad_() for layer in weights for weight in layer]
    factors = [
        recipe.bias_rate if parameter.bias else 1.0
        for layer in net.parameters[start:]
        for parameter in layer
    ]
    velocities = [torch.zeros_like(weight) for weight in learned]
    objective, update = LOSSES[loss], UPDATES[recipe.update]
    device = str(learned[0].device)
    for begin in range(0, recipe.iterations, STRIDE):
        steps = range(begin, min(begin + STRIDE, recipe.iterations))
        for iteration, positions in zip(steps, lockstep(orders, len(steps), device), strict=True):
            x, labels = inputs.batch(positions)
            gradients = torch.autograd.grad(
                objective(net.forward(x, weights, start), labels), learned
            )
            rate = recipe.rate.at(iteration) * rate_factor
            with torch.no_grad():
                for w, v, g, factor in zip(learned, velocities, gradients, factors, strict=True):
                    update(w, v, g, rate * factor, recipe.momentum, recipe.weight_decay)
        if not finite(weights):
            break
    for weight in learned:
        weight.requires_grad_(False)


def finite(weights: Weights) -> bool:
    """Whether any of the K networks is finite throughout."""
    flat = (weight.flatten(1).isfinite().all(1) for layer in weights for weight in layer)
    return bool(torch.stack(list(flat)).all(0).any())
