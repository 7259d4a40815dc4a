"""The race: rounds of contenders, each in a process of its own, one after another."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bench.contenders import Contender
from bench.measurement import Measurement

ROOT = Path(__file__).parent.parent

START_UP, PER_SECOND = 300.0, 10.0
"""A contender may take so long to start, to compile, to warm up, and for each second asked for."""

LISTEN = 1.0
"""Seconds between two contenders in which the machine is watched."""

GRACE = 3.0
"""Seconds between asking a contender's processes to end and ending them."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that would make of torch's default threads something else."""


def race(
    contenders: Sequence[Contender],
    folder: Path,
    device: str,
    seconds: float,
    rounds: int,
    tell: Callable[[Measurement], None],
) -> list[Measurement]:
    """Every contender in every round, so that a slow spell of the machine falls on all alike.

    One that failed is not tried again.
    """
    measured: list[Measurement] = []
    failed: set[str] = set()
    before = busy_cores()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch:
        for turn in range(1, rounds + 1):
            for contender in (each for each in contenders if each.name not in failed):
                one = measure(contender, folder, device, seconds, Path(scratch))
                after = busy_cores()
                one = replace(one, round=turn, others=round(max(before, after), 2))
                before = after
                if one.failure:
                    failed.add(contender.name)
                measured.append(one)
                tell(one)
    return measured


def busy_cores() -> float:
    """Cores that are busy while nothing is raced: what others take from the contenders.

    Where there is no /proc/stat, 0.
    """

    def ticks() -> float:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        user, nice, system, _idle, _waiting, irq, softirq, stolen = map(float, fields)
        return user + nice + system + irq + softirq + stolen

    try:
        first = ticks()
        time.sleep(LISTEN)
        return (ticks() - first) / os.sysconf("SC_CLK_TCK") / LISTEN
    except (OSError, ValueError):
        return 0.0


def measure(
    contender: Contender, folder: Path, device: str, seconds: float, scratch: Path
) -> Measurement:
    """One contender, once, in a fresh process; what that started ends with it.

    What it leaves on disk is left in `scratch`, but for Ray's own: its sockets need a short path.
    """
    words = [contender.name, "--folder", str(folder), "--device", device, "--seconds", str(seconds)]
    limit = START_UP + PER_SECOND * seconds
    environment = {k: v for k, v in os.environ.items() if k not in THREADS}
    environment.setdefault("RAY_TMPDIR", tempfile.gettempdir())
    environment["TMPDIR"] = str(scratch)
    failure = Measurement(contender.name, device, contender.unit, contender.ours)
    # Files, not pipes: a pipe is open for as long as anything that the contender left behind.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.child", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            return replace(failure, failure=f"not done after {limit:.0f} s")
        finally:
            _end(process)
        out.seek(0)
        err.seek(0)
        answer, words_left = out.read().decode().strip(), err.read().decode(errors="replace")
    if not answer:
        last = (words_left.strip().splitlines() or ["no word"])[-1]
        return replace(failure, failure=f"ended with code {process.returncode}: {last}")
    return Measurement(**json.loads(answer))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and every one that it started and left; Ctrl-C waits until that is done."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if process.poll() is None:
            _signal(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        _signal(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left in it
        os.killpg(group, number)
