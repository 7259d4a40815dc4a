"""The watchdog: ends a job at its time limit, with its process, or here by an exception."""

import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from study.limits import over

GRACE = 15.0
"""Seconds between the end that says where the job hung, and the one that needs no Python."""

STDERR = 2


class Overtime(BaseException):
    """A job has reached its time limit. No Exception: code that goes on after any must not."""


@contextmanager
def watched(seconds: float, tell: Callable[[str], object]) -> Iterator[None]:
    """Within, this process ends after so many seconds; `tell` is then given every thread's stack.

    A process that holds Python's lock cannot tell, and is ended a little later.
    """

    def end() -> None:
        with suppress(Exception):
            tell(stacks())
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.name = "watchdog"
    timer.start()
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=STDERR)
    try:
        yield
    finally:
        timer.cancel()
        faulthandler.cancel_dump_traceback_later()


def stacks() -> str:
    """Where every thread of this process but the calling one is, the main thread last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main, own = threading.main_thread().ident, threading.get_ident()
    others = {ident: frame for ident, frame in sys._current_frames().items() if ident != own}
    told = []
    for ident, frame in sorted(others.items(), key=lambda one: one[0] == main):
        told.append(f"Thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}")
    return "\n".join(told)


@contextmanager
def alarmed(seconds: float) -> Iterator[None]:
    """Within, Overtime is raised in the main thread after so many seconds; elsewhere never."""
    here = threading.current_thread() is threading.main_thread()
    if not here or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(signum: int, frame: FrameType | None) -> NoReturn:
        raise Overtime(over(seconds))

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
