"""The clock: how much of a contender's work is done in so many seconds, warm-up excluded."""

from collections.abc import Callable
from time import perf_counter

import torch

from bench.learner import Advance

WARM_UP = 1.0
"""Seconds of the same work before the clock starts, at least."""

LOOK = 0.5
"""Seconds of work between two looks at the clock: a CUDA device is waited for at each."""


def count(
    advance: Advance, seconds: float, device: str, ready: Callable[[], object] = lambda: None
) -> tuple[int, float]:
    """Steps done, and the seconds they took, which are `seconds` or a little more.

    `ready` is called between the warm-up and the start.
    """
    stride = _warm_up(advance, device)
    ready()
    steps, begin = 0, perf_counter()
    while True:
        advance(stride)
        wait(device)
        steps += stride
        passed = perf_counter() - begin
        if passed >= seconds:
            return steps, passed


def wait(device: str) -> None:
    """Until the device has done what it was told to."""
    if device == "cuda":
        torch.cuda.synchronize()


def _warm_up(advance: Advance, device: str) -> int:
    """How many steps make a stride; found by taking more and more of them."""
    begin = perf_counter()
    steps = 1
    while True:
        before = perf_counter()
        advance(steps)
        wait(device)
        now = perf_counter()
        if now - begin >= WARM_UP and (now - before) * 4 >= LOOK:
            return max(1, round(steps * LOOK / (now - before)))
        if now - before < LOOK:
            steps *= 2
