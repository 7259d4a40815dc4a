"""Formulations: how a step of K networks is computed. The same numbers up to rounding."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from study.nets import Net
from study.nets.convolve import CONVOLUTIONS, Convolve


@dataclass(frozen=True)
class Formulation:
    """A way to convolve, and what of a step is compiled into kernels of its own."""

    convolution: str
    compiled_forward: bool = False
    compiled_update: bool = False

    @property
    def convolve(self) -> Convolve:
        """The convolution of K networks."""
        return CONVOLUTIONS[self.convolution]

    def forward(self, net: Net) -> Callable[..., torch.Tensor]:
        """The net's forward pass, to be differentiated."""
        return _compiled_forward(net) if self.compiled_forward else net.forward

    def update(self, rule: Callable[..., None]) -> Callable[..., None]:
        """The update rule."""
        return _compiled(rule) if self.compiled_update else rule


@cache
def _compiled_forward(net: Net) -> Callable[..., torch.Tensor]:
    """One for nets that are equal, whichever job made them."""
    return _compiled(net.forward)


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled anew for every shape that it meets: nets, batches and sizes of packs are few."""
    torch._dynamo.config.recompile_limit = 64
    compiled: Callable[..., Any] = torch.compile(function, dynamic=False)
    return compiled


PLAIN = "plain"
"""The reference, and the way of a CPU: no compiler, one call of the library for each layer."""

FORMULATIONS: dict[str, Formulation] = {
    PLAIN: Formulation("grouped"),
    "grouped": Formulation("grouped", compiled_update=True),
    "planes": Formulation("planes", compiled_update=True),
    "im2col": Formulation("im2col", compiled_update=True),
    "triton": Formulation("triton", compiled_update=True),
    "compiled": Formulation("im2col", compiled_forward=True, compiled_update=True),
}
