"""Ways to compute the convolutions of K networks. One number, several speeds."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Convolve = Callable[[Tensor, Tensor, Tensor | None, int, int], Tensor]
"""(x (batch, K x in, H, W), weight (K, out, in, h, w), bias (K, out), stride, padding) ->
(batch, K x out, H', W')."""


def grouped(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """One grouped convolution, channels innermost; of one network an ordinary convolution."""
    flat = None if bias is None else bias.flatten()
    return F.conv2d(x, weight.flatten(0, 1), flat, stride, padding, groups=len(weight))


def planes(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """One grouped convolution over whole planes, PyTorch's default layout."""
    return grouped(x.contiguous(), weight.contiguous(), bias, stride, padding)


def im2col(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """The windows as rows of a matrix a network, and one batched product."""
    k, _, _, height, width = weight.shape
    high = (x.shape[2] + 2 * padding - height) // stride + 1
    windows = F.unfold(x, (height, width), padding=padding, stride=stride)
    rows = windows.unflatten(1, (k, -1)).permute(1, 0, 3, 2).flatten(1, 2)
    columns = weight.flatten(2).transpose(1, 2)
    if bias is None:
        product = torch.bmm(rows, columns)
    else:
        product = torch.baddbmm(bias.unsqueeze(1), rows, columns)
    apart = product.unflatten(1, (len(x), high, -1))  # K, batch, H', W', out
    return apart.permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)


def triton(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """Kernels of our own, for CUDA."""
    from study.nets.triton import convolve

    return convolve(x, weight, bias, stride, padding)


CONVOLUTIONS: dict[str, Convolve] = {
    "grouped": grouped,
    "planes": planes,
    "im2col": im2col,
    "triton": triton,
}
