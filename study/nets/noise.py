"""Random numbers of K networks from a key each: a hash of the key and the place in the batch.

No state, no order: the same bits on every device, in every pack.
"""

import torch
from torch import Tensor


def keep(shape: torch.Size, keys: Tensor, share: float) -> Tensor:
    """(K, batch, ...) of bool, each true with probability `share`, for keys (K) of 32 bits.

    Places are counted in the order in which images lie in memory: row, column, channel.
    """
    k, batch, *rest = shape
    number = torch.arange(shape[1:].numel(), dtype=torch.int32, device=keys.device)
    if len(rest) == 3:
        channels, height, width = rest
        number = number.view(batch, height, width, channels).permute(0, 3, 1, 2)
    else:
        number = number.view(batch, *rest)
    hashed = _mix(_mix(number) ^ keys.view(k, *[1] * (len(rest) + 1)))
    return hashed < min(round((share - 0.5) * 2**32), 2**31 - 1)


def _mix(x: Tensor) -> Tensor:
    """Murmur3's finaliser: a bijection of 32 bits of which each moves about half of the others."""
    x = (x ^ _right(x, 16)) * -0x7A143595  # 0x85ebca6b
    x = (x ^ _right(x, 13)) * -0x3D4D51CB  # 0xc2b2ae35
    return x ^ _right(x, 16)


def _right(x: Tensor, bits: int) -> Tensor:
    """A shift to the right that fills with zeros; that of a signed number copies its sign."""
    return (x >> bits) & ((1 << (32 - bits)) - 1)
