"""The machine that was raced on, as far as a reader of the figures needs to know it."""

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """What is not there, or cannot be found out, is empty or 0.

    product_one, product_all: GFLOP/s of a float32 matrix product, on one thread and on the whole
    device, the best of the rounds; filled in, as the revision is, by the command.
    """

    cpu: str
    cores: int
    memory_gb: float
    gpu: str
    gpu_memory_gb: float
    driver: str
    system: str
    python: str
    torch: str
    torchvision: str
    ray: str
    revision: str = ""
    product_one: float = 0.0
    product_all: float = 0.0


def describe(device: str) -> Machine:
    """The machine that this runs on; its card where that takes part."""
    gpu, memory, driver = _card() if device == "cuda" else ("", 0.0, "")
    return Machine(
        cpu=_cpu(),
        cores=cores(),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        gpu=gpu,
        gpu_memory_gb=memory,
        driver=driver,
        system=platform.platform(),
        python=platform.python_version(),
        torch=_version("torch"),
        torchvision=_version("torchvision"),
        ray=_version("ray"),
    )


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _card() -> tuple[str, float, str]:
    """The first visible card's name, its GB and its driver, without touching it."""
    card = (os.environ.get("CUDA_VISIBLE_DEVICES") or "0").split(",")[0]
    query = "--query-gpu=name,memory.total,driver_version"
    line = _said("nvidia-smi", "-i", card, query, "--format=csv,noheader,nounits")
    name, memory, driver = [*line.split(", "), "", "", ""][:3]
    return name, round(float(memory) / 1024, 1) if memory.isdecimal() else 0.0, driver


def _said(*command: str) -> str:
    """What a command prints; nothing where it cannot be had."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
