"""The convolution of K networks at once as Triton kernels, for NVIDIA GPUs.

Each network's convolution is a matrix product whose left side, the patches of its images, is never
written out. Tiles and the order of every sum hang on one network's layer and batch alone, so that
its numbers have the same bits in every run and in every pack.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor
from torch.autograd.function import once_differentiable

PARTS, ROWS = 128, 512
"""The most programs that share one network's gradient of a weight; the fewest rows of each."""


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """F.conv2d of K networks: (B, K x C, H, W) to (B, K x O, H', W'), both channels last.

    `weight` is (K, O, C, h, h), `bias` (K, O). Obeys autocast, but keeps sums, biases and the
    gradients of float32 weights in float32. Raises TypeError for other types than float32 and
    bfloat16. The first call with a shape compiles, which a CUDA graph cannot capture: warm up.
    """
    dtype, device = x.dtype, x.device.type
    if torch.is_autocast_enabled(device) and dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
    elif weight.dtype != dtype:
        raise TypeError(f"images are {dtype} but weights {weight.dtype}")
    k, outputs, channels, kernel, width = weight.shape
    if kernel != width or x.shape[1] != k * channels:
        raise ValueError(f"weights {tuple(weight.shape)} do not fit images {tuple(x.shape)}")
    size = channels, x.shape[2], x.shape[3], outputs, kernel, stride, padding
    conv = _Convolution(*size, bias is not None, dtype, *_numbers(dtype, device))
    return _Convolve.apply(x, weight, bias, conv)


@dataclass(frozen=True)
class _Convolution:
    """One network's, for which the kernels are compiled; K and the batch may vary."""

    channels: int
    height: int
    width: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    biased: bool
    stored: torch.dtype
    factor: tl.dtype
    total: tl.dtype
    precision: str

    @property
    def out_height(self) -> int:
        return (self.height + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        return (self.width + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def patch(self) -> int:
        """Elements of a patch; they go by row, column, channel."""
        return self.kernel * self.kernel * self.channels

    @property
    def learned(self) -> int:
        """Weights of an output: a patch's, and the bias as that of an element always 1."""
        return self.patch + self.biased


def _numbers(dtype: torch.dtype, device: str) -> tuple[tl.dtype, tl.dtype, str]:
    """The types of factors and sums, and how float32 is multiplied."""
    if dtype == torch.float32:
        return tl.float32, tl.float32, "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"
    if dtype == torch.bfloat16:
        # a CPU means the interpreter, which would multiply the bits of bfloat16 as integers
        return tl.float32 if device == "cpu" else tl.bfloat16, tl.float32, "ieee"
    if dtype == torch.float64 and device == "cpu":
        return tl.float64, tl.float64, "ieee"
    raise TypeError(f"convolve computes in float32 or bfloat16, not in {dtype}")


@dataclass(frozen=True)
class _Tile:
    """What a program computes, rows x columns, from `depth` products at a time."""

    rows: int
    columns: int
    depth: int

    def count(self, rows: int, columns: int) -> int:
        return ceil(rows / self.rows) * ceil(columns / self.columns)


def _tile(columns: int, depth: int, conv: _Convolution, rows: int = 128) -> _Tile:
    """Fixed by shape and type, never by a stopwatch: a choice by timing would change the bits."""
    tensor_cores = conv.factor == tl.bfloat16 or conv.precision == "tf32"
    most, deepest = (128, 64 if conv.factor == tl.bfloat16 else 32) if tensor_cores else (64, 16)
    if depth % 8:
        deepest //= 2  # what is fetched in small pieces takes a register for the address of each
    width = most
    while width > 16 and ceil(columns / width) * 2 > ceil(columns / (width // 2)):
        width //= 2  # half of it would waste less
    power = triton.next_power_of_2
    return _Tile(min(most, max(16, power(rows))), width, max(16, min(deepest, power(depth))))


def _launch(kernel: Any, programs: int, tile: _Tile, *arguments: Any) -> None:
    warps = 8 if tile.rows * tile.columns > 8192 else 4
    kernel[(programs,)](*arguments, tile, num_warps=warps, num_stages=3, enable_fp_fusion=True)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, conv: _Convolution
    ) -> Tensor:
        images = x.to(conv.stored).contiguous(memory_format=torch.channels_last)
        filters = weight.to(conv.stored).permute(0, 1, 3, 4, 2).contiguous()
        bias = None if bias is None else bias.contiguous()
        ctx.save_for_backward(images, filters)
        ctx.conv, given = conv, (x, weight, bias)
        ctx.types = [None if tensor is None else tensor.dtype for tensor in given]
        k, shape = len(filters), (conv.out_height, conv.out_width)
        out = images.new_empty(len(images), *shape, k * conv.outputs).permute(0, 3, 1, 2)
        rows, tile = out[:, 0].numel(), _tile(conv.outputs, conv.patch, conv)
        programs = k * tile.count(rows, conv.outputs)
        _launch(_forward, programs, tile, images, filters, bias, out, k, rows, conv)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        (images, filters), conv = ctx.saved_tensors, ctx.conv
        slope = slope.contiguous(memory_format=torch.channels_last)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = torch.empty_like(images, dtype=ctx.types[0], memory_format=torch.channels_last)
            _of_images(slope, filters, of_x, conv)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            of_weight = torch.empty_like(filters, dtype=ctx.types[1])
            if conv.biased:
                of_bias = filters.new_empty(filters.shape[:2], dtype=ctx.types[2])
            _of_weights(images, slope, of_weight, of_bias, conv)
            of_weight = of_weight.permute(0, 1, 4, 2, 3)
        return of_x, of_weight, of_bias, None


def _of_images(slope: Tensor, filters: Tensor, of_x: Tensor, conv: _Convolution) -> None:
    k, batch, stride = len(filters), len(of_x), conv.stride
    tile = _tile(conv.channels, ceil(conv.kernel / stride) ** 2 * conv.outputs, conv)
    rows = batch * ceil(conv.height / stride) * ceil(conv.width / stride)
    programs = k * stride * stride * tile.count(rows, conv.channels)
    _launch(_backward, programs, tile, slope, filters, of_x, k, batch, conv)


def _of_weights(
    images: Tensor, slope: Tensor, of_weight: Tensor, of_bias: Tensor | None, conv: _Convolution
) -> None:
    k, rows = len(of_weight), slope[:, 0].numel()
    tile = _tile(conv.outputs, rows, conv, rows=conv.learned)
    tiles = tile.count(conv.learned, conv.outputs)
    parts = max(1, min(PARTS // tiles, rows // ROWS))
    each = ceil(rows / parts / tile.depth) * tile.depth
    parts = ceil(rows / each)
    total = torch.promote_types(conv.stored, torch.float32)
    sums = images.new_empty((k, parts, conv.outputs, conv.learned), dtype=total)
    programs = k * parts * tiles
    _launch(_partial, programs, tile, images, slope, sums, k, rows, each, parts, conv)
    tile = _Tile(16, 256, 1)
    programs = k * tile.count(1, conv.outputs * conv.learned)
    _launch(_whole, programs, tile, sums, of_weight, of_bias, parts, conv)


# The kernels. K is the innermost of the programs, because what all networks need of one pixel lies
# together in memory; it is not specialized, because that could reorder a sum from pack to pack.


@triton.jit
def _patches(images, network, networks, row, rows, element, conv: tl.constexpr):  # type: ignore[no-untyped-def]
    """[row, element]: a row is a pixel of the output, its elements those of the patch it sees."""
    top = row // conv.out_width % conv.out_height * conv.stride - conv.padding
    left = row % conv.out_width * conv.stride - conv.padding
    image = (row // (conv.out_height * conv.out_width)).to(tl.int64)
    down = element // (conv.kernel * conv.channels)
    right = element // conv.channels % conv.kernel
    inside = (row < rows)[:, None] & (element < conv.patch)[None, :]
    if conv.padding > 0:
        y, x = top[:, None] + down[None, :], left[:, None] + right[None, :]
        inside &= (y >= 0) & (y < conv.height) & (x >= 0) & (x < conv.width)
    pixel = networks * conv.channels
    corner = ((image * conv.height + top) * conv.width + left) * pixel + network * conv.channels
    at = (down * conv.width + right) * pixel + element % conv.channels
    return tl.load(images + corner[:, None] + at[None, :], inside, other=0)


@triton.jit
def _add(total, left, right, conv: tl.constexpr):  # type: ignore[no-untyped-def]
    """The product of two tiles added to the total."""
    left, right = left.to(conv.factor), right.to(conv.factor)
    return tl.dot(left, right, total, input_precision=conv.precision)


@triton.jit(do_not_specialize=["networks", "rows"])
def _forward(  # type: ignore[no-untyped-def]
    images, filters, bias, out, networks, rows, conv: tl.constexpr, tile: tl.constexpr
):
    """out[row, output] = bias + the sum over the elements of patch x filter."""
    network = (tl.program_id(0) % networks).to(tl.int64)
    place = tl.program_id(0) // networks
    across = (conv.outputs + tile.columns - 1) // tile.columns
    row = place // across * tile.rows + tl.arange(0, tile.rows)
    output = place % across * tile.columns + tl.arange(0, tile.columns)
    known = output < conv.outputs
    filter_ = filters + (network * conv.outputs + output)[None, :] * conv.patch
    total = tl.zeros((tile.rows, tile.columns), conv.total)
    for done in range(0, conv.patch, tile.depth):
        element = done + tl.arange(0, tile.depth)
        patch = _patches(images, network, networks, row, rows, element, conv)
        inside = (element < conv.patch)[:, None] & known[None, :]
        weight = tl.load(filter_ + element[:, None], inside, other=0)
        total = _add(total, patch, weight, conv)
    if bias is not None:
        added = tl.load(bias + network * conv.outputs + output, known, other=0)
        total += added.to(conv.total)[None, :]
    at = (row.to(tl.int64) * networks + network)[:, None] * conv.outputs + output[None, :]
    tl.store(out + at, total.to(out.dtype.element_ty), (row < rows)[:, None] & known[None, :])


@triton.jit(do_not_specialize=["networks", "batch"])
def _backward(  # type: ignore[no-untyped-def]
    slope, filters, of_x, networks, batch, conv: tl.constexpr, tile: tl.constexpr
):
    """of_x[pixel, channel] = the sum of slope x filter over the outputs that saw the pixel.

    Of a filter only every stride-th row and column saw a given pixel, and they are the same for
    every stride-th pixel. A program's pixels are of one such class: it tries no tap in vain.
    """
    network = (tl.program_id(0) % networks).to(tl.int64)
    place = tl.program_id(0) // networks
    across = (conv.channels + tile.columns - 1) // tile.columns
    channel = place % across * tile.columns + tl.arange(0, tile.columns)
    first_down = place // across % conv.stride
    first_right = place // (across * conv.stride) % conv.stride
    place = place // (across * conv.stride * conv.stride)
    row = place * tile.rows + tl.arange(0, tile.rows)
    high = (conv.height + conv.stride - 1) // conv.stride
    wide = (conv.width + conv.stride - 1) // conv.stride
    # the first pixel that is `first_down` below the padded image's edge, give or take strides
    lag = (conv.stride - 1) * conv.padding
    y = row // wide % high * conv.stride + (first_down + lag) % conv.stride
    x = row % wide * conv.stride + (first_right + lag) % conv.stride
    image = (row // (high * wide)).to(tl.int64)
    downs = (conv.kernel - first_down + conv.stride - 1) // conv.stride
    rights = (conv.kernel - first_right + conv.stride - 1) // conv.stride
    lowest, rightmost = (y + conv.padding) // conv.stride, (x + conv.padding) // conv.stride
    pixel = networks * conv.outputs
    corner = ((image * conv.out_height + lowest) * conv.out_width + rightmost) * pixel
    corner += network * conv.outputs
    filter_ = filters + network * conv.outputs * conv.patch + channel[None, :]
    total = tl.zeros((tile.rows, tile.columns), conv.total)
    for done in range(0, downs * rights * conv.outputs, tile.depth):
        step = done + tl.arange(0, tile.depth)
        output = step % conv.outputs
        down, right = step // conv.outputs // rights, step // conv.outputs % rights
        above, left = lowest[:, None] - down[None, :], rightmost[:, None] - right[None, :]
        inside = (image < batch)[:, None] & (down < downs)[None, :]
        inside &= (above >= 0) & (above < conv.out_height) & (left >= 0) & (left < conv.out_width)
        at = output - (down * conv.out_width + right) * pixel
        change = tl.load(slope + corner[:, None] + at[None, :], inside, other=0)
        down, right = first_down + down * conv.stride, first_right + right * conv.stride
        at = output * conv.patch + (down * conv.kernel + right) * conv.channels
        inside = (down < conv.kernel)[:, None] & (channel < conv.channels)[None, :]
        total = _add(total, change, tl.load(filter_ + at[:, None], inside, other=0), conv)
    inside = (image < batch) & (y < conv.height) & (x < conv.width)
    inside = inside[:, None] & (channel < conv.channels)[None, :]
    at = ((image * conv.height + y) * conv.width + x) * networks + network
    at = at[:, None] * conv.channels + channel[None, :]
    tl.store(of_x + at, total.to(of_x.dtype.element_ty), inside)


@triton.jit(do_not_specialize=["networks", "rows", "each", "parts"])
def _partial(  # type: ignore[no-untyped-def]
    images, slope, sums, networks, rows, each, parts, conv: tl.constexpr, tile: tl.constexpr
):
    """sums[part, output, element] = the sum over the part's rows of patch x slope."""
    network = (tl.program_id(0) % networks).to(tl.int64)
    place = tl.program_id(0) // networks
    across = (conv.outputs + tile.columns - 1) // tile.columns
    along = (conv.learned + tile.rows - 1) // tile.rows
    output = place % across * tile.columns + tl.arange(0, tile.columns)
    element = place // across % along * tile.rows + tl.arange(0, tile.rows)
    part = place // (across * along)
    known = (output < conv.outputs)[None, :]
    total = tl.zeros((tile.rows, tile.columns), conv.total)
    for done in range(part * each, min(part * each + each, rows), tile.depth):
        row = done + tl.arange(0, tile.depth)
        patch = _patches(images, network, networks, row, rows, element, conv)
        if conv.biased:
            patch = tl.where((element == conv.patch)[None, :], 1, patch)
        at = (row.to(tl.int64) * networks + network)[:, None] * conv.outputs + output[None, :]
        change = tl.load(slope + at, (row < rows)[:, None] & known, other=0)
        total = _add(total, tl.trans(patch), change, conv)
    at = ((network * parts + part) * conv.outputs + output[None, :]) * conv.learned
    at = at + element[:, None]
    tl.store(sums + at, total, (element < conv.learned)[:, None] & known)


@triton.jit(do_not_specialize=["parts"])
def _whole(  # type: ignore[no-untyped-def]
    sums, of_weight, of_bias, parts, conv: tl.constexpr, tile: tl.constexpr
):
    """The parts of each element added up."""
    across = (conv.outputs * conv.learned + tile.columns - 1) // tile.columns
    network = (tl.program_id(0) // across).to(tl.int64)
    place = tl.program_id(0) % across * tile.columns + tl.arange(0, tile.columns)
    known = place < conv.outputs * conv.learned
    total = tl.zeros((tile.columns,), conv.total)
    for done in range(0, parts, tile.rows):
        part = done + tl.arange(0, tile.rows)
        at = (network * parts + part)[:, None] * (conv.outputs * conv.learned) + place[None, :]
        inside = (part < parts)[:, None] & known[None, :]
        total += tl.sum(tl.load(sums + at, inside, other=0), 0)
    filter_, element = network * conv.outputs + place // conv.learned, place % conv.learned
    at, inside = of_weight + filter_ * conv.patch + element, known & (element < conv.patch)
    tl.store(at, total.to(of_weight.dtype.element_ty), inside)
    if of_bias is not None:
        inside = known & (element == conv.patch)
        tl.store(of_bias + filter_, total.to(of_bias.dtype.element_ty), inside)
