"""The cluster that a run uses: one of its own, or one that is there, to which the code is sent."""

import json
import os
import re
import shutil
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants, services
from ray._private import worker as ray_worker
from ray._raylet import GcsClient  # type: ignore[attr-defined]

from study.errors import UserError
from study.execute import CLUSTERS, Place
from study.execute.needs import Machine
from study.grid import Grid

QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}

OWN_NAME = re.compile(r"([A-Za-z_]\w*)(\.\w+)*:[A-Za-z_]\w*")
"""An import path of a grid's own; the first group is the package that it begins with."""


def connect(place: Place, grid: Grid) -> None:
    """Join the cluster at `address`, else start one here with a core a worker."""
    if place.address is None:
        with _loopback(), _apart():
            ray.init("local", num_cpus=place.workers, include_dashboard=False, **QUIET)
        return
    with tempfile.TemporaryDirectory(prefix="study-code-") as folder:
        try:
            ray.init(place.address, runtime_env=luggage(grid, Path(folder)), **QUIET)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"--address {place.address}: no Ray cluster answers there, or it refuses the token "
                f"(RAY_AUTH_MODE, RAY_AUTH_TOKEN) ({error}); {CLUSTERS}"
            ) from None
    _be_brief()


def _be_brief() -> None:
    """Of what the cluster has to say, the first line: of a lost node it also prints log files."""
    tell = ray_worker.print_to_stdstream

    def brief(data: dict[str, Any], ignore_prefix: bool) -> None:
        lines = [text.strip().partition("\n")[0] for text in data["lines"]]
        tell(data | {"lines": lines}, ignore_prefix)

    ray_worker.print_to_stdstream = brief


@contextmanager
def _apart() -> Iterator[None]:
    """Ray's own processes that are started within get sessions of their own: a scheduler's SIGTERM
    goes to a whole group, and a driver whose cluster ends first is ended by Ray, in no order.
    """
    before = services.ConsolePopen
    services.ConsolePopen = partial(before, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = before


@contextmanager
def _loopback() -> Iterator[None]:
    """A cluster made within listens on this machine alone: Ray makes 127.0.0.1 as a node's address
    into that of the network, save where it believes that there can be no other node.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def reach(address: str) -> None:
    """Refuse at once an address where nothing listens, or where the token is refused; Ray would
    try for minutes.
    """
    wrong = f"--address {address}: nothing answers there"
    try:
        found = services.canonicalize_bootstrap_address(address) if address == "auto" else address
        host, _, port = (found or "").removeprefix("ray://").rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        if not address.startswith("ray://"):
            GcsClient(address=found)
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"{wrong} ({error}); {CLUSTERS}") from None
    except ray.exceptions.AuthenticationError:
        raise UserError(
            f"--address {address}: the cluster refuses the token; export the RAY_AUTH_MODE and the "
            f"RAY_AUTH_TOKEN that it was started with"
        ) from None
    except ray.exceptions.RayError as error:
        raise UserError(f"{wrong} as a Ray cluster does ({error}); {CLUSTERS}") from None


def luggage(grid: Grid, folder: Path) -> dict[str, Any]:
    """Put into the folder what workers are to import, and give the environment that holds it: this
    code and that of the grid's own, so that every node runs the same. A job that was submitted
    with a working directory has it there already.

    A working directory, and no py_modules: without one Ray lets the driver's, as another node has
    it at that path, go first.
    """
    held = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    submitted = "working_dir" in (held.get("runtime_env") or {})
    sources = list(_sources(grid))
    if submitted and all(source.is_relative_to(Path.cwd()) for source in sources):
        return {}
    if submitted:
        away = next(source for source in sources if not source.is_relative_to(Path.cwd()))
        raise UserError(
            f"--working-dir: the job's working directory has no {away.name}, which is used from "
            f"{away.parent}; submit the job from the folder that holds it, or without one"
        )
    for source in sources:
        if source.is_dir():
            shutil.copytree(
                source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__", ".*")
            )
        else:
            shutil.copy(source, folder)
    return {"working_dir": str(folder)}


def _sources(grid: Grid) -> Iterator[Path]:
    """The package `study`, the modules that the grid names, and what was imported from beside
    these: folders and files.
    """
    yield Path(__file__).parent.parent.resolve()
    text = json.dumps([grid.resolved(), [asdict(choice.method) for choice in grid.methods]])
    named = {match[1] for match in OWN_NAME.finditer(text)} - {"study"}
    beside = {place.parent for name in named if (place := _place(name))}
    for name in sorted(name for name in sys.modules if "." not in name and name != "study"):
        place = _place(name)
        if place and place.parent in beside:
            yield place


def _place(name: str) -> Path | None:
    """Where a module of the user's own lies; None of one that is built in or installed."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    found = [*(spec.submodule_search_locations or ()), spec.origin] if spec else [None]
    if found[0] is None:
        return None
    place = Path(found[0]).resolve()
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    return None if any(place.is_relative_to(path) for path in installed) else place


def device(name: str) -> str:
    """The device that the cluster gives: it may have cards where the driver has none."""
    gpus = ray.cluster_resources().get("GPU", 0)
    if name == "cuda" and not gpus:
        raise UserError("--device cuda: the Ray cluster has no GPU; allowed: auto, cpu")
    return ("cuda" if gpus else "cpu") if name == "auto" else name


def machines() -> list[Machine]:
    """The nodes of the cluster."""
    return [Machine(node["NodeID"], node["Resources"]) for node in ray.nodes() if node["Alive"]]
