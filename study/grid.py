"""The grid: one YAML file read, checked key by key, and expanded into cases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, SerializeAsAny, Strict

from study import seeds
from study.data import Source
from study.engine.recipe import Recipe
from study.form import Form
from study.identity import digest
from study.imbalance import PROFILES, Cell, Profile, Roles, draw
from study.methods import METHODS
from study.section import Index, OneOrMore, Section, Whole


@dataclass(frozen=True)
class Case:
    """One imbalanced training set: a data set, a cell of the plane, a replicate."""

    dataset: dict[str, Any] = field(repr=False)
    seed: int
    cell: Cell
    replicate: int
    subset: int
    n_max: int | None

    @cached_property
    def id(self) -> str:
        """What names the case wherever it is met."""
        return digest(
            {
                "dataset": self.dataset,
                "seed": self.seed,
                "imbalance": self.cell.identity(),
                "replicate": self.replicate,
                "subset": self.subset,
            }
        )

    @property
    def _place(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "seed": self.seed, **self.cell.place()}

    def roles(self, pool: Sequence[int]) -> Roles:
        """The class counts, and which classes are minority, of a pool with these counts."""
        rng = seeds.class_roles(self._place, self.replicate)
        return PROFILES[self.cell.kind].roles(self.cell, pool, self.n_max, rng)

    def draw(self, labels: np.ndarray, roles: Roles) -> np.ndarray:
        """The positions in the pool of the images that the case holds."""
        return draw(labels, roles.counts, seeds.subset(self._place, self.replicate, self.subset))

    def __str__(self) -> str:
        return f"{self.id} ({self.cell}, replicate {self.replicate})"


def _all_methods(value: Any) -> Any:
    return tuple(METHODS) if value == "all" else value


class Grid(Section):
    """The full scientific description of an experiment."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
    title: str = ""
    dataset: SerializeAsAny[Source]
    imbalance: SerializeAsAny[Profile]
    methods: Annotated[tuple[str, ...], OneOrMore, BeforeValidator(_all_methods)] = tuple(METHODS)
    replicates: Whole
    model: str
    recipe: Recipe
    seed: Index = 0
    predictions: Annotated[bool, Strict()] = False

    @property
    def form(self) -> Form:
        """The form of the images."""
        return self.dataset.form

    def cases(self) -> Iterator[Case]:
        """Every case, cell by cell, its replicates together."""
        dataset = self.dataset.identity()
        for cell in self.imbalance.cells():
            for replicate in range(self.replicates):
                yield Case(
                    dataset, self.seed, cell, replicate, replicate, self.dataset.train_per_class
                )

    @property
    def hash(self) -> str:
        """What names the resolved grid; its name and title play no part."""
        fields = self.resolved()
        return digest({k: v for k, v in fields.items() if k not in ("name", "title")})
