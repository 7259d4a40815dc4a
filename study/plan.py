"""From a grid to work: cases x methods -> trainings, each done once -> the records due -> jobs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from study.grid import Case, Grid
from study.identity import digest, digests
from study.methods import Method


@dataclass(frozen=True)
class Training:
    """One network to be fitted: from fresh weights, or on from another's end (`parent`).

    to: the imbalance ratio that its sampling goes to. base: the rate that its policy begins from.
    """

    id: str
    sampling: str
    to: float
    loss: str
    base: float
    run: int
    parent: "Training | None" = None


@dataclass(frozen=True)
class Row:
    """A record due: a method's verdict on the network of a training."""

    id: str
    method: Method
    training: Training


@dataclass(frozen=True)
class Due:
    """What is not done yet of one case.

    `rows` are the records still due, `predictions` the trainings whose outputs are.
    """

    case: Case
    rows: tuple[Row, ...]
    predictions: tuple[Training, ...] = ()

    def __len__(self) -> int:
        return len(self.rows) + len(self.predictions)

    @property
    def trainings(self) -> tuple[Training, ...]:
        """Every network to be fitted, once each, a parent before its second phase."""
        wanted = [row.training for row in self.rows] + list(self.predictions)
        parents = [t.parent for t in wanted if t.parent]
        firsts = [t for t in wanted if not t.parent]
        seconds = [t for t in wanted if t.parent]
        return tuple(dict.fromkeys([*firsts, *parents, *seconds]))

    @property
    def full(self) -> tuple[Training, ...]:
        """The trainings from fresh weights."""
        return tuple(t for t in self.trainings if t.parent is None)

    @property
    def second(self) -> tuple[Training, ...]:
        """The second phases."""
        return tuple(t for t in self.trainings if t.parent is not None)


@dataclass(frozen=True)
class Job:
    """Cases done together in one process: what Ray schedules."""

    dues: tuple[Due, ...]

    @property
    def id(self) -> str:
        """What names the part that the job leaves in the store."""
        rows = [row.id for due in self.dues for row in due.rows]
        return digest([rows, [t.id for due in self.dues for t in due.predictions]])

    def __str__(self) -> str:
        others = f" and {len(self.dues) - 1} more" if self.dues[1:] else ""
        return f"case {self.dues[0].case}{others}"


@dataclass(frozen=True)
class Count:
    """What a list of cases amounts to."""

    cases: int
    networks: int
    full: int
    second: int
    records: int


class Maker:
    """Makes the record of one method for case after case; what all of them share is hashed once.

    What was added to a training later is left out of its hash while it has its first value.
    """

    def __init__(
        self, method: Method, model: str, recipe: dict[str, object], base: float, run: int
    ):
        self._method, self._base, self._run = method, base, run
        fields = {"model": model, "recipe": recipe, "loss": method.loss, "run": run}
        alone = {key: value for key, value in recipe.items() if key != "second_phase_rate"}
        to = {} if method.to == 1 else {"to": method.to}
        first = fields | {"recipe": alone, "sampling": method.sampling, "parent": None} | to
        self._first = digests(first, "case")
        self._second = digests(fields | {"sampling": method.second_phase}, "case", "parent")
        self._record = digests({"method": method.id, "decision": method.decision}, "training")

    def row(self, case: Case, fitted: dict[str, Training]) -> Row:
        """The record due, and with it the training that it shares with others of its case."""
        method, of = self._method, (self._method.loss, self._base, self._run)
        id = self._first(case=case.id)
        if id not in fitted:
            fitted[id] = Training(id, method.sampling, method.to, *of)
        training = fitted[id]
        if method.second_phase is not None:
            id = self._second(case=case.id, parent=training.id)
            if id not in fitted:
                fitted[id] = Training(id, method.second_phase, 1.0, *of, training)
            training = fitted[id]
        return Row(self._record(training=training.id), method, training)


def plan(grid: Grid) -> list[Due]:
    """Every case, with every record that the grid asks for."""
    methods = [choice.method for choice in grid.methods]
    recipes = [
        (base, grid.recipe.identity() | {"rate": {**grid.recipe.rate.identity(), "base": base}})
        for base in grid.recipe.rate.base
    ]
    makers = [
        Maker(method, grid.model, recipe, base, run)
        for base, recipe in recipes
        for run in range(grid.runs)
        for method in methods
    ]
    dues = []
    for case in grid.cases():
        fitted: dict[str, Training] = {}
        rows = tuple(maker.row(case, fitted) for maker in makers)
        kept = tuple(dict.fromkeys(row.training for row in rows)) if grid.predictions else ()
        dues.append(Due(case, rows, kept))
    return dues


def remaining(
    dues: Sequence[Due],
    records: Collection[str],
    predictions: Mapping[int | None, Collection[str]],
) -> list[Due]:
    """The cases cut down to what is neither among the records nor, by split, the predictions
    stored.
    """
    left = []
    for due in dues:
        rows = tuple(row for row in due.rows if row.id not in records)
        kept = tuple(t for t in due.predictions if t.id not in predictions[due.case.split])
        if rows or kept:
            left.append(Due(due.case, rows, kept))
    return left


FEW = 4
"""Cases a worker that can be dealt out evenly enough."""


def gather(dues: Sequence[Due], pack: int, workers: int) -> list[Job]:
    """Jobs of as many cases as a pack has networks, so that their first trainings fill packs; of
    fewer where workers would stand idle. Where cases are too few to be dealt out evenly, they come
    in parts that share no network.
    """
    if workers > 1 and len(dues) < FEW * workers:
        dues = [part for due in dues for part in families(due)]
    size = max(1, min(pack, -(-len(dues) // workers)))
    return [Job(merged(dues[i : i + size])) for i in range(0, len(dues), size)]


def merged(parts: Sequence[Due]) -> tuple[Due, ...]:
    """What is due of each case, its parts put together."""
    cases: dict[str, Due] = {}
    for part in parts:
        case = part.case
        before = cases.get(case.id, Due(case, ()))
        rows, kept = before.rows + part.rows, before.predictions + part.predictions
        cases[case.id] = Due(case, rows, kept)
    return tuple(cases.values())


def families(due: Due) -> list[Due]:
    """The case in parts, one for each training from fresh weights and those that go on from it."""
    return [
        Due(
            due.case,
            tuple(row for row in due.rows if first in (row.training, row.training.parent)),
            tuple(t for t in due.predictions if first in (t, t.parent)),
        )
        for first in dict.fromkeys(t.parent or t for t in due.trainings)
    ]


def count(dues: Sequence[Due]) -> Count:
    """Networks as the paper counts them (one for each method that trains), and what is trained."""
    return Count(
        cases=len(dues),
        networks=sum(len({row.training.id for row in due.rows}) for due in dues),
        full=sum(len(due.full) for due in dues),
        second=sum(len(due.second) for due in dues),
        records=sum(len(due.rows) for due in dues),
    )
