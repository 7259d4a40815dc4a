"""How a contender is run: alone in one process, or in several that start together."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from threading import Barrier, BrokenBarrierError
from typing import Any

import torch

from bench.clock import count
from bench.contenders import A_CORE, Contender
from bench.learner import Advance, Start
from bench.machine import cores

PATIENCE = 300.0
"""Seconds that a process waits for the others to be ready."""


@dataclass(frozen=True)
class Tally:
    """Steps done by all processes in `seconds`; `rate` is the sum of the processes' own.

    threads, conv_tf32 and matmul_tf32 are those of each process, as it left them.
    """

    steps: int
    seconds: float
    rate: float
    threads: int
    processes: int = 1
    conv_tf32: bool = False
    matmul_tf32: bool = False
    note: str = ""


def load(path: str) -> Any:
    """What module:name stands for."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def prepared(contender: Contender, start: Start) -> Advance:
    """The contender, built in this process with its number of threads."""
    if contender.threads is not None:
        torch.set_num_threads(contender.threads)
    advance: Advance = load(contender.build)(start)
    return advance


def alone(contender: Contender, start: Start, seconds: float) -> Tally:
    """In this process."""
    return _tally(*count(prepared(contender, start), seconds, start.device))


def together(contender: Contender, start: Start, seconds: float) -> Tally:
    """In fresh processes; each warms up, waits for the others, and runs for the same time."""
    number = cores() if contender.processes == A_CORE else contender.processes
    context = get_context("spawn")
    barrier = context.Barrier(number, timeout=PATIENCE)
    with ProcessPoolExecutor(number, context, _meet_at, (barrier,)) as pool:
        futures = [pool.submit(_one, contender, start, seconds) for _ in range(number)]
        errors = [error for future in futures if (error := future.exception())]
        for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):
            raise error  # the first that failed for a reason of its own
        tallies = [future.result() for future in futures]
    return Tally(
        sum(tally.steps for tally in tallies),
        max(tally.seconds for tally in tallies),
        sum(tally.rate for tally in tallies),
        tallies[0].threads,
        number,
        tallies[0].conv_tf32,
        tallies[0].matmul_tf32,
    )


_barrier: Barrier


def _meet_at(barrier: Barrier) -> None:
    """A barrier reaches a process only while that starts."""
    global _barrier
    _barrier = barrier


def _one(contender: Contender, start: Start, seconds: float) -> Tally:
    try:
        advance = prepared(contender, start)
        return _tally(*count(advance, seconds, start.device, _barrier.wait))
    except BaseException:
        _barrier.abort()
        raise


def _tally(steps: int, seconds: float) -> Tally:
    """That of this process alone."""
    backends: Any = torch.backends
    return Tally(
        steps,
        seconds,
        steps / seconds,
        torch.get_num_threads(),
        conv_tf32=backends.cudnn.conv.fp32_precision == "tf32",
        matmul_tf32=backends.cuda.matmul.fp32_precision == "tf32",
    )
