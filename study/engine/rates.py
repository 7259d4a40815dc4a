"""Rate policies: the learning rate of each iteration."""

from typing import Literal

from study.section import NonNegative, Positive, Section


class Rate(Section):
    """A policy; `base` is the rate that a second phase scales."""

    policy: str
    base: Positive

    def at(self, iteration: int) -> float:
        """The rate of an iteration, counted from 0."""
        raise TypeError(f"{type(self).__name__} gives no rate")


class Inverse(Rate):
    """base x (1 + gamma t) ^ -power: Caffe's `inv`."""

    policy: Literal["inv"]
    gamma: NonNegative
    power: NonNegative

    def at(self, iteration: int) -> float:
        return float(self.base * (1 + self.gamma * iteration) ** -self.power)


class Fixed(Rate):
    """The same rate throughout."""

    policy: Literal["fixed"]

    def at(self, iteration: int) -> float:
        return self.base


RATES: dict[str, type[Rate]] = {"inv": Inverse, "fixed": Fixed}
