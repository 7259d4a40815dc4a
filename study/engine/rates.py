"""Rate policies: the learning rate of each iteration."""

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, field_serializer

from study.section import NonNegative, OneOrMore, Positive, Section, Whole


class Rate(Section):
    """A policy. `base` are the rates it may begin from: one, or candidates that are all tried."""

    policy: str
    base: Annotated[tuple[Positive, ...], OneOrMore]

    @field_serializer("base")
    def _one_or_more(self, base: tuple[float, ...]) -> float | list[float]:
        return list(base) if len(base) > 1 else base[0]

    def at(self, base: float, iterations: np.ndarray, of: int) -> np.ndarray:
        """The rates of these iterations, counted from 0, `of` so many."""
        raise TypeError(f"{type(self).__name__} gives no rate")


class Inverse(Rate):
    """base x (1 + gamma t) ^ -power: Caffe's `inv`."""

    policy: Literal["inv"]
    gamma: NonNegative
    power: NonNegative

    def at(self, base: float, iterations: np.ndarray, of: int) -> np.ndarray:
        return base * (1 + self.gamma * iterations) ** -self.power


class Fixed(Rate):
    """The same rate throughout."""

    policy: Literal["fixed"]

    def at(self, base: float, iterations: np.ndarray, of: int) -> np.ndarray:
        return np.full(len(iterations), base)


def _ascending(value: tuple[int, ...]) -> tuple[int, ...]:
    if any(first >= then for first, then in pairwise(value)):
        raise ValueError("needed: numbers of iterations, each larger than the one before")
    return value


class Step(Rate):
    """base x factor ^ k once as many iterations are done as the k-th of `after` says."""

    policy: Literal["step"]
    factor: Positive
    after: Annotated[tuple[Whole, ...], OneOrMore, AfterValidator(_ascending)]

    def at(self, base: float, iterations: np.ndarray, of: int) -> np.ndarray:
        return base * self.factor ** np.searchsorted(self.after, iterations, side="right")


class Linear(Rate):
    """From the base down to 0 at the end, by as much each time."""

    policy: Literal["linear"]

    def at(self, base: float, iterations: np.ndarray, of: int) -> np.ndarray:
        return base * (1 - iterations / of)


RATES: dict[str, type[Rate]] = {"inv": Inverse, "fixed": Fixed, "step": Step, "linear": Linear}
