"""How fast the machine multiplies matrices in float32: the floor below every training."""

import torch
from torch import Tensor

from bench.learner import Advance, Start, each
from bench.work import SIDE


def square(start: Start) -> Advance:
    """A step is one product of two square matrices; TF32 off, as it is in the harness."""
    torch.backends.cuda.matmul.allow_tf32 = False
    left, right = torch.rand(2, SIDE, SIDE, device=start.device)
    product = torch.empty_like(left)

    def step() -> Tensor:
        torch.mm(left, right, out=product)
        return product[0, 0]

    return lambda steps: each(steps, step)
