"""Measurements in processes of their own, so that no setting of one is another's."""

import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Barrier
from typing import Any, TypeVar

from bench.child import reason
from bench.processes import PATIENCE

T = TypeVar("T")
K = TypeVar("K")

Measure = Callable[[K, Callable[[], object]], T]
"""(task, ready) -> what was found; it calls `ready` between its warm-up and its start."""

BROKEN = "BrokenBarrierError"


class MeasureError(Exception):
    """Nothing was measured; the message says why."""


def apart(measure: Measure[K, T], task: K, processes: int = 1) -> list[T]:
    """What each of so many fresh processes finds; they start when all are ready."""
    context = get_context("spawn")
    barrier = context.Barrier(processes, timeout=PATIENCE)
    pipes = [context.Pipe(duplex=False) for _ in range(processes)]
    children = [
        context.Process(target=_answer, args=(answer, barrier, measure, task))
        for _, answer in pipes
    ]
    try:
        for child, (_, answer) in zip(children, pipes, strict=True):
            child.start()
            answer.close()  # what the child holds is then the last of it: it ends with the child
        found = [_hear(question) for question, _ in pipes]
    finally:
        for child in children:
            if child.pid is not None:
                child.terminate()
                child.join()
    failures = sorted(
        (one for one in found if isinstance(one, MeasureError)), key=lambda one: str(one) == BROKEN
    )
    if failures:
        raise failures[0]  # the first that failed for a reason of its own
    return found


def _hear(question: Connection) -> Any:
    try:
        return question.recv()
    except EOFError:
        return MeasureError("its process ended without a word, perhaps for want of memory")


def _answer(answer: Connection, barrier: Barrier, measure: Measure[K, T], task: K) -> None:
    """In the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends this one
    try:
        answer.send(measure(task, barrier.wait))
    except Exception as error:
        barrier.abort()
        answer.send(MeasureError(reason(error)))
