"""What a store of many parts takes to come back to: planning, resuming and loading it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.napping import FIRST, SUBTRACTED
from bench.naps import drawn
from bench.race import ROOT
from study.errors import UserError
from study.execute.writer import FOLD
from study.grid import Grid
from study.parts import find_parts
from study.plan import Due, Job
from study.store import Store

PATIENCE = 3600.0
"""Seconds that a command may take."""

GRACE = 60.0
"""Seconds in which a command that was asked to stop has to."""

ASLEEP = 86_400
"""Seconds that a job sleeps where none is to end."""

LOAD = """
import sys, time
from pathlib import Path
from analysis.records import load
start = time.perf_counter()
load(Path(sys.argv[1]))
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Times:
    """Seconds: of the whole `study.run --plan`; of `study.run` from its start until what is done is
    subtracted, and until the first job is begun; of analysis.load.
    """

    plan: float
    subtracted: float
    begun: float
    load: float


@dataclass(frozen=True)
class Kept:
    """A store. cold: nothing that the files hold is in memory before each of the commands."""

    files: int
    bytes: int
    on_disk: int
    cold: Times
    warm: Times


def fill(store: Store, grid: Grid, dues: Sequence[Due]) -> None:
    """Write the parts that jobs of these cases, one each, would leave."""
    store.open(grid)
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda due: store.write(drawn(Job((due,)), grid)), dues):
            pass


def fold(store: Store) -> None:
    """Put each thousand parts into one, as the writer of a run does while they come."""
    parts = find_parts(store.folder)
    for end in range(FOLD, len(parts) + 1, FOLD):
        store.fold(parts[end - FOLD : end])


def come_back(store: Path, words: Sequence[str]) -> Kept:
    """Measure it, with these words for study.run."""
    states = [path.stat() for path in store.rglob("*") if path.is_file()]
    cold, warm = (_times(store, words, cold) for cold in (True, False))
    sizes = (sum(state.st_size for state in states), sum(512 * state.st_blocks for state in states))
    return Kept(len(states), *sizes, cold, warm)


def _times(store: Path, words: Sequence[str], cold: bool) -> Times:
    found = []
    for measure in (
        lambda: [planned(words)],
        lambda: resumed(words),
        lambda: [float(said("-c", LOAD, str(store)))],
    ):
        if cold:
            chill(store)
        found += measure()
    return Times(*found)


def planned(words: Sequence[str]) -> float:
    """Seconds that the plan takes."""
    start = time.perf_counter()
    said("-m", "study.run", *words, "--plan", "--json")
    return time.perf_counter() - start


def resumed(words: Sequence[str]) -> list[float]:
    """Seconds until what is done is subtracted, and until the first job is begun."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        notes, start = Path(folder), time.time()
        with (notes / "said").open("w+") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.napping", folder, f"{ASLEEP}", *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=ROOT,
                start_new_session=True,
            )
            try:
                while not (notes / FIRST).exists():
                    if process.poll() is not None or time.time() - start > PATIENCE:
                        said.seek(0)
                        raise UserError(f"study.run: no job was begun: {_last(said.read())}")
                    time.sleep(0.01)
            finally:
                _stop(process)
        return [float((notes / name).read_text()) - start for name in (SUBTRACTED, FIRST)]


def said(*words: str) -> str:
    """What a Python command prints."""
    ended = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE
    )
    if ended.returncode:
        command = " ".join(words[:2])
        raise UserError(f"python {command}: ended with {ended.returncode}: {_last(ended.stderr)}")
    return ended.stdout


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no word"])[-1]


def chill(folder: Path) -> None:
    """Drop from memory what the files hold, as far as the system does as it is told."""
    if not hasattr(os, "posix_fadvise"):
        raise UserError("python -m bench.scale: needs posix_fadvise, as Linux has it")
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a command as Ctrl-C does, and with force where that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
