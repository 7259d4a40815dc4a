"""Peers that advance many networks at once: HFTA's formulation, and torch.func's vmap."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.optim.lr_scheduler import LambdaLR

from bench import images
from bench.learner import Advance, Start, batches, decline, each, lenet5
from bench.resident import as_floats
from bench.work import DECAY, MOMENTUM, RATE

Weights = dict[str, Tensor]
"""By the module's names, every tensor with the networks in front."""

Learn = Callable[[Weights, Tensor, Tensor], Tensor]
"""(weights, images (K, batch, 1, 28, 28), labels (K, batch)) -> the losses (K,).

Leaves each weight's gradient in its `grad`.
"""


def grouped(start: Start) -> Advance:
    """HFTA's: K convolutions as a grouped one in the default layout, K products as a batched one.

    HFTA itself wants a PyTorch of years ago; these are its operations.
    """

    def learn(weights: Weights, x: Tensor, labels: Tensor) -> Tensor:
        for weight in weights.values():
            weight.grad = None
        losses = F.cross_entropy(
            _grouped_logits(weights, x).flatten(0, 1), labels.flatten(), reduction="none"
        )
        losses = losses.view(labels.shape).mean(1)
        losses.sum().backward()
        return losses.detach()

    return _pack(start, learn)


def vmapped(start: Start) -> Advance:
    """vmap over the gradient of one network's loss."""
    return _pack(start, _learn_by(_gradients()))


def vmapped_compiled(start: Start) -> Advance:
    """The same, compiled from outside: vmap of a compiled function is not supported."""
    return _pack(start, _learn_by(torch.compile(_gradients())))


def _pack(start: Start, learn: Learn) -> Advance:
    """A loop over K networks. The optimiser's state is that of the stacked weights."""
    pixels, labels = as_floats(*images.read(start.folder))
    pixels, labels = pixels.to(start.device), labels.to(start.device)
    modules = [lenet5(seed).to(start.device) for seed in range(start.networks)]
    weights = {
        name: weight.detach().clone().requires_grad_()
        for name, weight in stack_module_state(modules)[0].items()
    }
    optimizer = torch.optim.SGD(
        list(weights.values()), RATE, MOMENTUM, weight_decay=DECAY, fused=True
    )
    schedule = LambdaLR(optimizer, decline)
    stream = batches(len(labels), start.networks, start.device)

    def step() -> Tensor:
        chosen = next(stream)
        losses = learn(weights, pixels[chosen], labels[chosen])
        optimizer.step()
        schedule.step()
        return losses

    return lambda steps: each(steps, step)


def _grouped_logits(weights: Weights, x: Tensor) -> Tensor:
    """(K, batch, classes)."""
    networks, size = x.shape[:2]

    def conv(x: Tensor, name: str) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        x = F.conv2d(x, weight.flatten(0, 1), bias.flatten(), groups=networks)
        return F.max_pool2d(x, 2)

    def linear(x: Tensor, name: str) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    x = x.transpose(0, 1).flatten(1, 2)
    x = conv(conv(x, "0"), "2").view(size, networks, -1).transpose(0, 1)
    return linear(F.relu(linear(x, "5")), "7")


def _gradients() -> Callable[..., Any]:
    skeleton = lenet5().to("meta")

    def loss(weights: Weights, x: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(skeleton, weights, (x,)), labels)

    return vmap(grad_and_value(loss))


def _learn_by(gradients: Callable[..., Any]) -> Learn:
    def learn(weights: Weights, x: Tensor, labels: Tensor) -> Tensor:
        found, losses = gradients({n: w.detach() for n, w in weights.items()}, x, labels)
        for name, weight in weights.items():
            weight.grad = found[name]
        return losses.detach()

    return learn
