"""The grid: one YAML file read, checked key by key, and expanded into cases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, SerializeAsAny, Strict

from study import seeds
from study.counts import draw
from study.data import Source
from study.engine.recipe import Recipe
from study.form import Form
from study.identity import digest
from study.imbalance import PROFILES, Cell, Profile, Roles
from study.methods import METHODS, Choice, choices
from study.named import lookup
from study.nets import NETS, Net
from study.section import Index, Section, Whole


@dataclass(frozen=True)
class Case:
    """One imbalanced training set: a data set, a cell of the plane, a replicate, a subset.

    crossed: its replicate has several subsets, or may get them.
    """

    dataset: dict[str, Any] = field(repr=False)
    seed: int
    cell: Cell
    replicate: int
    subset: int
    n_max: int | None
    split: int | None = None
    crossed: bool = field(default=False, compare=False)

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
    def profile(self) -> type[Profile]:
        """The profile that knows what its classes hold."""
        return lookup(PROFILES, self.cell.kind)

    @property
    def _place(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "seed": self.seed, **self.cell.place()}

    def roles(self, pool: Sequence[int]) -> Roles:
        """The class counts, and which classes are minority, of a pool with these counts."""
        rng = seeds.class_roles(self._place, self.replicate)
        return self.profile.roles(self.cell, pool, self.n_max, rng)

    def draw(self, labels: np.ndarray, roles: Roles) -> np.ndarray:
        """The positions in the pool of the images that the case holds."""
        return draw(labels, roles.counts, seeds.subset(self._place, self.replicate, self.subset))

    def __str__(self) -> str:
        parts = [str(self.cell), f"replicate {self.replicate}"]
        parts += [f"subset {self.subset}"] if self.crossed else []
        parts += [f"split {self.split}"] if self.split is not None else []
        return f"{self.id} ({', '.join(parts)})"


class Grid(Section):
    """The full scientific description of an experiment.

    replicates: how often each cell is drawn.
    subsets: how often the images of a replicate are drawn, its minority classes or order kept;
        their numbers begin at 0. null: once, and the subset has the replicate's number.
    runs: how often each of its networks is trained.
    curve: after every so many iterations accuracy and loss are measured.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
    title: str = ""
    dataset: SerializeAsAny[Source]
    imbalance: SerializeAsAny[Profile]
    methods: Annotated[tuple[Choice, ...], BeforeValidator(choices)] = tuple(
        Choice(name=name) for name in METHODS
    )
    replicates: Whole
    subsets: Whole | None = None
    model: str
    recipe: Recipe
    runs: Whole = 1
    seed: Index = 0
    curve: Whole | None = None
    predictions: Annotated[bool, Strict()] = False

    @property
    def form(self) -> Form:
        """The form of the images."""
        return self.dataset.form

    @property
    def net(self) -> Net:
        """The net for those images."""
        return lookup(NETS, self.model)(self.form)

    def cases(self) -> Iterator[Case]:
        """Every case: split by split, cell by cell, its replicates together, the subsets of each
        one after another.
        """
        n_max, crossed = self.dataset.train_per_class, self.subsets is not None
        for split, dataset in self.dataset.identities():
            for cell in self.imbalance.points():
                for replicate in range(cell.replicates or self.replicates):
                    for subset in range(self.subsets) if self.subsets else (replicate,):
                        drawn = cell, replicate, subset
                        yield Case(dataset, self.seed, *drawn, n_max, split, crossed)

    @property
    def hash(self) -> str:
        """What names the grid, however much of it is written out; name and title play no part."""
        fields = self.identity()
        return digest({k: v for k, v in fields.items() if k not in ("name", "title")})
