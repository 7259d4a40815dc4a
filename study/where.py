"""Where a run computes, and who else is told of it, as the command line says."""

import argparse
import os
from importlib.util import find_spec
from pathlib import Path

from study.command import place
from study.engine import machine
from study.engine.formulations import FORMULATIONS
from study.engine.means import Means
from study.errors import UserError
from study.execute import CLUSTERS, LOGGERS, Place
from study.grid import Grid
from study.remote import Remote, Shelf

LARGEST_PACK = 4096


def choose_place(options: argparse.Namespace, grid: Grid) -> Place:
    """Device, workers and cluster: in process one worker, on this machine one a core or a card.

    A cluster that is already there decides for itself what `auto` and no --workers stand for.
    """
    here = options.executor == "inprocess"
    if here and (options.workers not in (None, 1) or options.address):
        raise UserError(
            "--executor inprocess runs one job at a time, here; --workers and --address are "
            "for --executor ray"
        )
    address = None if here else cluster_address(options.address)
    beside = job_seconds(options), loggers(options, address)
    if address:
        return Place(choose_means(options, options.device), options.workers, address, *beside)
    device = choose_device(options.device)
    means = choose_means(options, device)
    means.check(grid.recipe.precision, str(options.grid))
    if here:
        return Place(means, 1, None, *beside)
    free = machine.devices() if device == "cuda" else machine.cores()
    return Place(means, options.workers or free, None, *beside)


def cluster_address(typed: str | None) -> str | None:
    """The cluster that is named, if one is, by the option or else by the environment."""
    origin, text, set_ = "--address", typed, os.environ.get("RAY_ADDRESS", "").strip()
    if text is None or (text == "auto" and set_):  # which is what Ray takes auto for
        origin, text = "RAY_ADDRESS", set_
    host, _, port = text.removeprefix("ray://").rpartition(":")
    known = port.isdecimal() and 0 < int(port) < 65_536 and host.strip("[]") and "/" not in host
    if text and text != "auto" and not known:
        raise UserError(f"{origin}: found {text!r}; {CLUSTERS}, with a port from 1 to 65535")
    return text or None


def job_seconds(options: argparse.Namespace) -> float | None:
    """The time that a job may take, where it is said."""
    return 60 * options.job_minutes if options.job_minutes else None


def loggers(options: argparse.Namespace, address: str | None) -> tuple[str, ...]:
    """The loggers, each once; one that could not be told of this run is refused."""
    names = tuple(dict.fromkeys(options.log))
    for name in names:
        if options.executor == "inprocess":
            raise UserError(f"--log {name}: loggers are Ray Tune's; needed: --executor ray")
        if address and address.startswith("ray://"):
            raise UserError(
                f"--log {name}: not with --address {address}, as loggers work where Tune does; run "
                f"the command on the cluster, by ray job submit"
            )
        if isinstance(options.results, Remote) and name != "mlflow":
            raise UserError(
                f"--log {name}: writes files beside the records; needed: --results on a disk"
            )
        package = find_spec(LOGGERS[name])
        if package is None or package.origin is None:  # a mere folder of that name
            raise UserError(
                f"--log {name}: needs the package {LOGGERS[name]}; to install it: "
                f"pip install 'imbalance-study[{name}]'"
            )
    return names


def choose_means(options: argparse.Namespace, device: str) -> Means:
    """The device with what the options say of packs and formulation; None leaves it to it."""
    formulation = None if options.formulation == "auto" else options.formulation
    return Means(device, options.pack, formulation, options.loaders, 60 * options.checkpoint)


def pack_size(text: str) -> int | None:
    """An argument that sizes packs, or leaves it to the device."""
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_PACK:
        raise argparse.ArgumentTypeError(
            f"found {text!r}; needed: auto, or a whole number from 1 to {LARGEST_PACK}"
        )
    return int(text)


def choose_device(name: str) -> str:
    """The device that `auto` stands for here, or an error where CUDA is not to be had."""
    device = machine.pick_device(name)
    if device == "cuda" and machine.devices() == 0:
        raise UserError("--device cuda: no CUDA device on this machine; allowed: auto, cpu")
    return device


def add_means(p: argparse.ArgumentParser) -> None:
    """Where the data lie, and by what they are computed on: none of it changes a result."""
    p.add_argument(
        "--data",
        type=place,
        default=Path(os.environ.get("STUDY_DATA") or "data"),
        metavar="DIR",
        help="where data sets lie or are put (default: STUDY_DATA, else data)",
    )
    p.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where the nets live (default: auto: CUDA where there is any)",
    )
    p.add_argument(
        "--pack",
        type=pack_size,
        metavar="N",
        help="networks trained in lockstep, or auto (default: one on a CPU; on a card as many as "
        "its memory holds)",
    )
    p.add_argument(
        "--formulation",
        choices=("auto", *FORMULATIONS),
        default="auto",
        help="how packs are computed (default: auto: plain on a CPU, on a card the fastest)",
    )


def fleeting(results: Shelf) -> bool:
    """Whether records would go to where Ray keeps what a job was submitted with."""
    copied = any(part.startswith("_ray_pkg_") for part in Path.cwd().parts)
    return isinstance(results, Path) and not results.is_absolute() and copied
