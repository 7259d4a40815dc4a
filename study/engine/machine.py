"""How a process must be set before it trains: threads, denormals, memory, precision."""

import ctypes
import os
import sys

import torch

THREADS = 1

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def settle() -> None:
    """Set this thread and process for training. Costs microseconds, so every job calls it.

    Denormals and the number of threads belong to the calling thread, not to the process.
    """
    torch.set_num_threads(THREADS)
    torch.set_flush_denormal(True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
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


def pick_device(name: str) -> str:
    """`auto` is CUDA where there is a device, else the CPU."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def describe(device: str) -> str:
    """The device in a word: cpu, or the card's name."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def devices() -> int:
    """How many CUDA devices there are."""
    return torch.cuda.device_count()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
