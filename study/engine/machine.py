"""How a process must be set before it trains: threads, denormals, memory, precision, graphs."""

import ctypes
import gc
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal

import torch

THREADS = 1

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3

Precision = Literal["strict", "tf32", "bf16"]


def settle() -> None:
    """Set this thread and process for training. Costs microseconds, so every job calls it.

    Denormals and the number of threads belong to the calling thread, not to the process.
    """
    torch.set_num_threads(THREADS)
    torch.set_flush_denormal(True)
    _allow_tf32(False)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if sys.platform == "linux":
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let glibc reuse the loop's buffers instead of mapping and clearing new pages every step.

    A fifth of a LeNet step went there.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


@contextmanager
def precision(name: Precision, device: str) -> Iterator[None]:
    """Products within are rounded as `name` says; weights, updates and losses stay float32.

    strict: float32 throughout. tf32: CUDA's tensor cores round factors to 10 bits. bf16: factors
    and what travels between layers are bfloat16.
    """
    _allow_tf32(name == "tf32")
    try:
        with torch.autocast(device, torch.bfloat16, name == "bf16", cache_enabled=False):
            yield
    finally:
        _allow_tf32(False)


def _allow_tf32(allowed: bool) -> None:
    """Both switches: one governs products, the other convolutions, and their defaults differ."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


@contextmanager
def aside(device: torch.device) -> Iterator[None]:
    """On CUDA, a stream of its own for what is within, as a graph wants before it is recorded."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        torch.cuda.current_stream().wait_stream(stream)


def recorded(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The step as one launch, on CUDA; elsewhere as it is. Recording takes no step."""
    if device.type != "cuda":
        return step
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def out_of_memory(error: RuntimeError) -> bool:
    """Whether it is memory that failed, whichever library says so."""
    words = ("out of memory", "ALLOC_FAILED", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def release(device: str) -> None:
    """Give back what a failed attempt held."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def pick_device(name: str) -> str:
    """`auto` is CUDA where there is a device, else the CPU."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def describe(device: str) -> str:
    """The device in a word: cpu, or the card's name."""
    return torch.cuda.get_device_name() if device == "cuda" else device


@cache
def processor() -> str:
    """The processor's model, and what instructions torch uses of it: two that agree in these
    compute the same bits. Empty where nothing tells.
    """
    try:
        used = torch.backends.cpu.get_cpu_capability()
        return " ".join(f"{_model()} {used}".split())
    except Exception:  # a name, for the record, is not worth a training
        return ""


def _model() -> str:
    """The model by the system's own words; by the numbers of the cpuid too: clouds hide names."""
    if sys.platform == "darwin":
        words = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(words, capture_output=True, text=True, timeout=10).stdout
    told: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            told.setdefault(key.strip(), value.strip())
    names = ("model name", "CPU implementer", "CPU part", "cpu family", "model")
    found = [f"{LABELS.get(name, '')} {told[name]}" for name in names if told.get(name)]
    return " ".join(found) or platform.processor() or platform.machine()


LABELS = {
    "CPU implementer": "implementer",
    "CPU part": "part",
    "cpu family": "family",
    "model": "model",
}
"""What a number of /proc/cpuinfo is called."""


def devices() -> int:
    """How many CUDA devices there are."""
    return torch.cuda.device_count()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
