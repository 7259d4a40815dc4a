"""Checkpoints: where a training stands, kept now and then, so that it can be gone on with."""

import json
from collections.abc import Callable
from dataclasses import asdict
from time import monotonic
from typing import Any, Protocol

import numpy as np

from study.engine.train import State
from study.identity import digest
from study.metrics import Point

Arrays = dict[str, np.ndarray]

FINISHED = 0.1
"""A training that took this share of the time between checkpoints is kept when it has ended."""


class Keeper(Protocol):
    """Keeps arrays by key until they are dropped."""

    def keep(self, key: str, arrays: Arrays) -> None:
        """Put these in the place of what was kept under the key."""

    def kept(self, key: str) -> Arrays | None:
        """What is kept under the key, or None."""


def packed(state: State, curves: list[list[Point]], seconds: float) -> Arrays:
    """Where networks stand, the points of their curves so far and the time gone by, as arrays."""
    points = json.dumps([[asdict(point) for point in one] for one in curves]).encode()
    told = {"iteration": np.array(state.iteration), "seconds": np.array(seconds)}
    tensors = {f"tensor{i}": tensor for i, tensor in enumerate(state.tensors)}
    return {**told, "points": np.frombuffer(points, np.uint8), **tensors}


def unpacked(arrays: Arrays) -> tuple[State, list[list[Point]], float]:
    """The inverse of `packed`."""
    number = sum(name.startswith("tensor") for name in arrays)
    state = State(int(arrays["iteration"]), [arrays[f"tensor{i}"] for i in range(number)])
    points = json.loads(arrays["points"].tobytes())
    return state, [[Point(**one) for one in some] for some in points], float(arrays["seconds"])


class Nowhere:
    """Keeps nothing."""

    def keep(self, key: str, arrays: Arrays) -> None:
        """Nothing."""

    def kept(self, key: str) -> Arrays | None:
        return None


class Checkpoints:
    """Those of one job: kept when `seconds` have passed since the last. `place`: what computes; by
    another device, processor, version or code a training is not gone on with, but begun anew.
    """

    def __init__(self, keeper: Keeper, seconds: float, say: Callable[[str], None], place: str = ""):
        self._keeper, self._seconds, self._say, self._place = keeper, seconds, say, place
        self._last = monotonic()
        self.keys: list[str] = []

    def key(self, *fields: Any) -> str:
        """The key of what these fields tell, computed here."""
        return digest([*fields, self._place])

    def find(self, key: str) -> Arrays | None:
        """What an earlier attempt at this job has left under the key."""
        self.keys.append(key)
        return self._keeper.kept(key)

    def due(self, took: float | None = None) -> bool:
        """Whether it is time: of a training that has ended and `took` so long, or one under way."""
        if took is not None:
            return took >= FINISHED * self._seconds
        return monotonic() - self._last >= self._seconds

    def keep(self, key: str, arrays: Arrays) -> None:
        """Keep where the training of that key stands; what cannot be kept stops no training."""
        try:
            self._keeper.keep(key, arrays)
        except OSError as error:
            self._say(f"a checkpoint could not be written ({error.strerror or error})")
        self._last = monotonic()
