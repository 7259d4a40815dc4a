"""Profiles of imbalance: the cells they span, and what each class holds in one of them; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator

from study.counts import (
    class_order,
    exact,
    linear_counts,
    minority_classes,
    ratio_problem,
    step_counts,
)
from study.errors import nearest, shorten, shown
from study.section import NoneOrMore, OneOrMore, Positive, Section, Whole, twice


@dataclass(frozen=True)
class Cell:
    """One point of the imbalance plane.

    order: which classes go short first: a rule (random, lowest, ascending) or the labels.
    more: what else names the point, where a profile has other parameters: values of JSON by name.
    replicates: how often it is drawn, where not as often as the grid says.
    """

    kind: str
    rho: float | None = None
    mu: float | None = None
    order: str | tuple[int, ...] = "random"
    more: Mapping[str, Any] = field(default_factory=dict)
    replicates: int | None = field(default=None, compare=False)

    def place(self) -> dict[str, Any]:
        """The point itself, without the rule: what the random streams of its cases hang on."""
        more = {"more": dict(self.more)} if self.more else {}
        return {"kind": self.kind, "rho": self.rho, "mu": self.mu, **more}

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
    """Whether the data set's `train_per_class` says how many images the largest class holds."""

    def points(self) -> Iterator[Cell]:
        """Every point of this profile, in the order of the file."""
        raise TypeError(f"{type(self).__name__} defines no points")

    def problem(self, classes: int, n_max: int | None) -> tuple[str, str, str] | None:
        """(key, value found, why not) of the first impossible request, or None."""
        return None

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


class StepCell(Section):
    """One point of a grid that lists them."""

    rho: Positive
    mu: Positive
    replicates: Whole | None = None


class Step(Profile):
    """A fraction mu of the classes is minority and holds n_max / rho images, the rest n_max.

    Every rho with every mu, or the `cells` listed. Where the minority is random, classes with
    fewer than n_max images are always part of it.
    """

    kind: Literal["step"]
    rho: Annotated[tuple[Positive, ...] | None, NoneOrMore] = None
    mu: Annotated[tuple[Positive, ...] | None, NoneOrMore] = None
    cells: Annotated[tuple[StepCell, ...] | None, NoneOrMore] = None
    minority: Annotated[str | tuple[int, ...], BeforeValidator(Order("lowest"))] = "random"

    def points(self) -> Iterator[Cell]:
        for rho in self.rho or ():
            for mu in self.mu or ():
                yield Cell("step", rho, mu, self.minority)
        for cell in self.cells or ():
            yield Cell("step", cell.rho, cell.mu, self.minority, replicates=cell.replicates)

    def problem(self, classes: int, n_max: int | None) -> tuple[str, str, str] | None:
        for key, given in (("rho", self.rho), ("mu", self.mu)):
            if self.cells and given:
                return (
                    key,
                    shown(list(given)),
                    "cells stand there too; needed: rho and mu, or cells",
                )
            if not self.cells and not given:
                return key, "nothing", "this key is needed (or cells: a list of {rho, mu})"
        points = list(self.points())
        mus = list(dict.fromkeys(cell.mu for cell in points if cell.mu is not None))
        for mu in mus:
            part = exact(mu) * classes
            if not 1 <= minority_classes(mu, classes) < classes:
                allowed = shorten(", ".join(f"{i / classes:g}" for i in range(1, classes)))
                return (
                    "cells" if self.cells else "mu",
                    f"{mu:g}",
                    f"{mu:g} x {classes} classes = {float(part):g} minority classes, which must be "
                    f"a whole number from 1 to {classes - 1}; allowed: {allowed}",
                )
        if (place := twice((cell.rho, cell.mu) for cell in points)) is not None:
            return "cells", str(points[place]), "it stands there twice"
        if not isinstance(self.minority, str):
            most = minority_classes(max(mus), classes)
            if max(self.minority) >= classes:
                return "minority", str(list(self.minority)), f"allowed: labels 0 to {classes - 1}"
            if len(self.minority) != most:
                return (
                    "minority",
                    str(list(self.minority)),
                    f"the largest mu, {max(mus):g} x {classes} classes, needs a list of "
                    f"{most} labels (smaller ones take its beginning), not {len(self.minority)}",
                )
        rhos = [cell.rho for cell in points if cell.rho is not None]
        return ratio_problem(rhos, n_max, "cells" if self.cells else "rho")

    @staticmethod
    def roles(
        cell: Cell, pool: Sequence[int], n_max: int | None, rng: np.random.Generator
    ) -> Roles:
        assert cell.rho is not None
        assert cell.mu is not None
        assert n_max is not None
        number = minority_classes(cell.mu, len(pool))
        order = class_order(cell.order, len(pool), rng)
        if cell.order == "random":  # a stable sort: short classes first, the rest as drawn
            order = tuple(sorted(order, key=lambda label: pool[label] >= n_max))
        minority = order[:number]
        return Roles(step_counts(len(pool), n_max, cell.rho, minority), tuple(sorted(minority)))


class Linear(Profile):
    """Class sizes fall by a constant step from n_max to n_max / rho."""

    kind: Literal["linear"]
    rho: Annotated[tuple[Positive, ...], OneOrMore]
    order: Annotated[str | tuple[int, ...], BeforeValidator(Order("ascending"))] = "random"

    def points(self) -> Iterator[Cell]:
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

    def points(self) -> Iterator[Cell]:
        yield Cell("natural")

    @staticmethod
    def roles(
        cell: Cell, pool: Sequence[int], n_max: int | None, rng: np.random.Generator
    ) -> Roles:
        return Roles(tuple(int(n) for n in pool), ())


class Balanced(Profile):
    """Every class holds n_max images: what imbalance is measured against."""

    kind: Literal["balanced"]

    def points(self) -> Iterator[Cell]:
        yield Cell("balanced", rho=1.0)

    @staticmethod
    def roles(
        cell: Cell, pool: Sequence[int], n_max: int | None, rng: np.random.Generator
    ) -> Roles:
        assert n_max is not None
        return Roles((n_max,) * len(pool), ())


class Counts(Profile):
    """As many images of each class as listed, by label."""

    kind: Literal["counts"]
    counts: tuple[Whole, ...]
    needs_n_max: ClassVar[bool] = False

    def points(self) -> Iterator[Cell]:
        rho = max(self.counts) / min(self.counts)
        yield Cell("counts", rho, order="listed", more={"counts": list(self.counts)})

    def problem(self, classes: int, n_max: int | None) -> tuple[str, str, str] | None:
        if len(self.counts) == classes:
            return None
        return "counts", f"{len(self.counts)} numbers", f"needed: one for each of {classes} classes"

    @staticmethod
    def roles(
        cell: Cell, pool: Sequence[int], n_max: int | None, rng: np.random.Generator
    ) -> Roles:
        return Roles(tuple(cell.more["counts"]), ())


PROFILES: dict[str, type[Profile]] = {
    "step": Step,
    "linear": Linear,
    "natural": Natural,
    "balanced": Balanced,
    "counts": Counts,
}
