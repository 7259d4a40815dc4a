"""Class-count profiles and the draw of a subset: pure functions of counts and a seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator

from study.errors import nearest, shorten
from study.section import OneOrMore, Positive, Section

Ratio = Positive


@dataclass(frozen=True)
class Cell:
    """One point of the imbalance plane.

    `order` says which classes go short first: a rule (random, lowest, ascending) or the labels.
    """

    kind: str
    rho: float | None = None
    mu: float | None = None
    order: str | tuple[int, ...] = "random"

    def place(self) -> dict[str, Any]:
        """The point itself, without the rule: what the random streams of its cases hang on."""
        return {"kind": self.kind, "rho": self.rho, "mu": self.mu}

    def identity(self) -> dict[str, Any]:
        """What names the point in a hash."""
        order = self.order if isinstance(self.order, str) else list(self.order)
        return {**self.place(), "order": order}

    def __str__(self) -> str:
        parts = [self.kind]
        parts += [f"rho {self.rho:g}"] if self.rho is not None else []
        parts += [f"mu {self.mu:g}"] if self.mu is not None else []
        return " ".join(parts)


@dataclass(frozen=True)
class Roles:
    """What each class is in one case: how many images it holds, and whether it is minority."""

    counts: tuple[int, ...]
    minority: tuple[int, ...]


class Profile(Section):
    """An imbalance section: a kind, and the cells that its parameters span."""

    kind: str
    needs_n_max: ClassVar[bool] = True

    def cells(self) -> Iterator[Cell]:
        """Every point of this profile, in the order of the file."""
        raise TypeError(f"{type(self).__name__} defines no cells")

    def problem(self, classes: int, n_max: int | None) -> tuple[str, str, str] | None:
        """(key, value found, the arithmetic of why not) of the first impossible request."""
        raise TypeError(f"{type(self).__name__} checks nothing")

    @staticmethod
    def roles(
        cell: Cell, pool: Sequence[int], n_max: int | None, rng: np.random.Generator
    ) -> Roles:
        """The class counts of one draw from a pool with these counts."""
        raise TypeError("a profile defines the roles of its classes")


class Order:
    """Reads `random`, the named rule, or a list of labels."""

    def __init__(self, rule: str):
        self.rule = rule

    def __call__(self, value: Any) -> Any:
        if value in ("random", self.rule):
            return value
        if isinstance(value, list | tuple):
            labels = as_labels(value)
            if labels is not None:
                return labels
        near = nearest(value, ("random", self.rule))
        raise ValueError(f"allowed: random, {self.rule}, or a list of different labels{near}")


def as_labels(value: Sequence[Any]) -> tuple[int, ...] | None:
    """The labels as a tuple, or None where they are no different whole numbers from 0 up."""
    whole = all(type(v) is int and v >= 0 for v in value)
    return tuple(value) if value and whole and len(set(value)) == len(value) else None


class Step(Profile):
    """A fraction mu of the classes is minority and holds n_max / rho images, the rest n_max."""

    kind: Literal["step"]
    rho: Annotated[tuple[Ratio, ...], OneOrMore]
    mu: Annotated[tuple[Ratio, ...], OneOrMore]
    minority: Annotated[str | tuple[int, ...], BeforeValidator(Order("lowest"))] = "random"

    def cells(self) -> Iterator[Cell]:
        for rho in self.rho:
            for mu in self.mu:
                yield Cell("step", rho, mu, self.minority)

    def problem(self, classes: int, n_max: int | None) -> tuple[str, str, str] | None:
        for mu in self.mu:
            part = exact(mu) * classes
            if not 1 <= minority_classes(mu, classes) < classes:
                allowed = shorten(", ".join(f"{i / classes:g}" for i in range(1, classes)))
                return (
                    "mu",
                    f"{mu:g}",
                    f"{mu:g} x {classes} classes = {float(part):g} minority classes, which must be "
                    f"a whole number from 1 to {classes - 1}; allowed: {allowed}",
                )
        if not isinstance(self.minority, str):
            most = minority_classes(max(self.mu), classes)
            if max(self.minority) >= classes:
                return "minority", str(list(self.minority)), f"allowed: labels 0 to {classes - 1}"
            if len(self.minority) != most:
                return (
                    "minority",
                    str(list(self.minority)),
                    f"the largest mu, {max(self.mu):g} x {classes} classes, needs a list of "
                    f"{most} labels (smaller ones take its beginning), not {len(self.minority)}",
                )
        return ratio_problem(self.rho, n_max)

    @staticmethod
    def roles(
        cell: Cell, pool: Sequence[int], n_max: int | None, rng: np.random.Generator
    ) -> Roles:
        assert cell.rho is not None
        assert cell.mu is not None
        assert n_max is not None
        number = minority_classes(cell.mu, len(pool))
        minority = class_order(cell.order, len(pool), rng)[:number]
        return Roles(step_counts(len(pool), n_max, cell.rho, minority), tuple(sorted(minority)))


class Linear(Profile):
    """Class sizes fall by a constant step from n_max to n_max / rho."""

    kind: Literal["linear"]
    rho: Annotated[tuple[Ratio, ...], OneOrMore]
    order: Annotated[str | tuple[int, ...], BeforeValidator(Order("ascending"))] = "random"

    def cells(self) -> Iterator[Cell]:
        for rho in self.rho:
            yield Cell("linear", rho, None, self.order)

    def problem(self, classes: int, n_max: int | None) -> tuple[str, str, str] | None:
        if not isinstance(self.order, str) and sorted(self.order) != list(range(classes)):
            return "order", str(list(self.order)), f"needed: each label 0 to {classes - 1} once"
        return ratio_problem(self.rho, n_max)

    @staticmethod
    def roles(
        cell: Cell, pool: Sequence[int], n_max: int | None, rng: np.random.Generator
    ) -> Roles:
        assert cell.rho is not None
        assert n_max is not None
        order = class_order(cell.order, len(pool), rng)
        return Roles(linear_counts(n_max, cell.rho, order), ())


class Natural(Profile):
    """The training set as published: its own counts, nothing left out."""

    kind: Literal["natural"]
    needs_n_max: ClassVar[bool] = False

    def cells(self) -> Iterator[Cell]:
        yield Cell("natural")

    def problem(self, classes: int, n_max: int | None) -> tuple[str, str, str] | None:
        return None

    @staticmethod
    def roles(
        cell: Cell, pool: Sequence[int], n_max: int | None, rng: np.random.Generator
    ) -> Roles:
        return Roles(tuple(int(n) for n in pool), ())


PROFILES: dict[str, type[Profile]] = {"step": Step, "linear": Linear, "natural": Natural}


def step_counts(classes: int, n_max: int, rho: float, minority: Sequence[int]) -> tuple[int, ...]:
    """n_max / rho images in the minority classes, n_max in the others."""
    few = at_least_one(n_max / exact(rho))
    return tuple(few if label in minority else n_max for label in range(classes))


def linear_counts(n_max: int, rho: float, order: Sequence[int]) -> tuple[int, ...]:
    """Evenly spaced counts from n_max / rho for the first class in `order` up to n_max."""
    least = n_max / exact(rho)
    step = (n_max - least) / max(len(order) - 1, 1)
    counts = {label: at_least_one(least + rank * step) for rank, label in enumerate(order)}
    return tuple(counts[label] for label in range(len(order)))


def class_order(
    rule: str | Sequence[int], classes: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """The classes from the one that goes shortest on: drawn, by label, or as listed."""
    if rule == "random":
        return tuple(int(label) for label in rng.permutation(classes))
    if isinstance(rule, str):  # lowest and ascending: the label is the rank
        return tuple(range(classes))
    return tuple(rule)


def draw(labels: np.ndarray, counts: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Positions of a random subset with these class counts, ascending; without replacement."""
    chosen = []
    for label, count in enumerate(counts):
        places = np.flatnonzero(labels == label)
        if count > len(places):
            raise ValueError(f"class {label} holds {len(places)} images, {count} are needed")
        chosen.append(rng.choice(places, count, replace=False))
    return np.sort(np.concatenate(chosen))


def shortage(counts: Sequence[int], pool: Sequence[int]) -> str | None:
    """The arithmetic of the first class that cannot give what is asked, or None."""
    for label, (needed, available) in enumerate(zip(counts, pool, strict=True)):
        if not needed:
            return f"class {label} has no training image; every class needs one"
        if needed > available:
            return (
                f"class {label} needs {needed:,} training images, but {available:,} are left of "
                f"it once the test set is taken"
            )
    return None


def minority_classes(mu: float, classes: int) -> int:
    """The number of minority classes; 0 where mu is, to six digits, no whole number of classes."""
    number = round(exact(mu) * classes)
    return number if f"{mu:.6g}" == f"{number / classes:.6g}" else 0


def at_least_one(value: Fraction) -> int:
    """To the nearest integer, halves up, never below 1."""
    return max(1, floor(value + Fraction(1, 2)))


def exact(number: float) -> Fraction:
    """The decimal number that was written in the file (0.3 is 3/10)."""
    return Fraction(repr(float(number)))


def ratio_problem(rhos: Sequence[float], n_max: int | None) -> tuple[str, str, str] | None:
    """Why one of these ratios cannot be had from classes of n_max images, or None."""
    for rho in rhos:
        if rho < 1:
            return "rho", f"{rho:g}", "allowed: 1 (balanced) or more"
        if n_max is not None and rho > n_max:
            return (
                "rho",
                f"{rho:g}",
                f"{n_max:,} / {rho:g} = {n_max / rho:.3g} images in the smallest class, which must "
                f"be at least 1; allowed: 1 to {n_max:,} (dataset.train_per_class)",
            )
    return None
