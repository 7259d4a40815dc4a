"""Rate policies: the learning rate of each iteration."""

from typing import Literal

import numpy as np

from study.section import NonNegative, Positive, Section


class Rate(Section):
    """A policy; `base` is the rate that a second phase scales."""

    policy: str
    base: Positive

    def at(self, iterations: np.ndarray) -> np.ndarray:
        """The rates of these iterations, counted from 0."""
        raise TypeError(f"{type(self).__name__} gives no rate")

    def times(self, factor: float) -> "Rate":
        """The same policy from another base."""
        return self.model_copy(update={"base": self.base * factor})


class Inverse(Rate):
    """base x (1 + gamma t) ^ -power: Caffe's `inv`."""

    policy: Literal["inv"]
    gamma: NonNegative
    power: NonNegative

    def at(self, iterations: np.ndarray) -> np.ndarray:
        return self.base * (1 + self.gamma * iterations) ** -self.power


class Fixed(Rate):
    """The same rate throughout."""

    policy: Literal["fixed"]

    def at(self, iterations: np.ndarray) -> np.ndarray:
        return np.full(len(iterations), self.base)


RATES: dict[str, type[Rate]] = {"inv": Inverse, "fixed": Fixed}
