"""What a grid costs by arithmetic: its networks, their work, and how jobs share it out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Literal

from bench import netcost
from bench.card import Card
from study.engine.machine import Precision
from study.engine.means import MOST
from study.engine.rehearsal import SHARE
from study.grid import Case, Grid
from study.nets import Net
from study.plan import Due, Job, gather, plan

Bound = Literal["computing", "moving", "reading"]


@dataclass(frozen=True)
class Published:
    """How many images a set has to train on and to be judged on.

    streamed: they stay on disk, and training sees another crop of them each time.
    """

    train: int
    test: int
    streamed: bool = False


SETS = {
    "digits": Published(1_797, 0),
    "mnist": Published(60_000, 10_000),
    "fashion_mnist": Published(60_000, 10_000),
    "cifar10": Published(50_000, 10_000),
    "imagenet": Published(1_281_167, 50_000, streamed=True),
}


@dataclass(frozen=True)
class Kind:
    """A full training or a second phase: operations and numbers moved for an image that is learned
    from and for one that is shown, and how often a step moves a number of the weights, added up.
    """

    flop: int
    numbers: int
    weights: int
    shown_flop: int
    shown_numbers: int


@dataclass(frozen=True)
class Work:
    """What a network comes to; `images` of either kind are learned from, or shown."""

    kind: Kind
    steps: int
    images: int
    shown: int
    streamed: bool

    @property
    def flop(self) -> int:
        """Operations of its training."""
        return self.images * self.kind.flop

    @property
    def shown_flop(self) -> int:
        """Operations of its evaluation."""
        return self.shown * self.kind.shown_flop

    @property
    def read(self) -> int:
        """Images read from files."""
        return self.images + self.shown if self.streamed else 0

    def seconds(self, card: Card, precision: Precision) -> tuple[float, Bound]:
        """How long it takes, and what bounds it. What is shown is computed in float32."""
        numbers, weights = self.images * self.kind.numbers, self.steps * self.kind.weights
        parts: dict[Bound, float] = {
            "computing": card.computing(self.flop, precision)
            + card.computing(self.shown_flop, "strict"),
            "moving": card.moving(numbers, weights, precision)
            + card.moving(self.shown * self.kind.shown_numbers, 0, "strict"),
            "reading": card.reading(self.read),
        }
        bound = max(parts, key=parts.__getitem__)
        return parts[bound], bound


@dataclass(frozen=True)
class Memory:
    """Bytes: of a network its state, what it keeps of a batch for the backward pass, and features
    that its second phases read; of all networks the images.
    """

    state: int
    kept: int
    features: int
    images: int

    @property
    def network(self) -> int:
        """Of one network."""
        return self.state + self.kept + self.features

    def fit(self, card: Card) -> int:
        """Networks in the share of a card's memory that the harness uses, beside the images."""
        return int(max(0.0, SHARE * (card.memory * 1e9 - self.images)) // self.network)


class GridCost:
    """The cost of a grid. Raises LookupError where arithmetic alone does not tell it."""

    def __init__(self, grid: Grid):
        if grid.dataset.name not in SETS:
            raise LookupError(
                f"how many images {grid.dataset.name} has shows only in its files; known: "
                f"{', '.join(SETS)}"
            )
        self.grid, self.net, self.dues = grid, grid.net, plan(grid)
        self.published = SETS[grid.dataset.name]
        self.judged, self.pool = _parts(grid, self.published)
        self._sizes: dict[str, int] = {}
        cached = self.net.still and not self.published.streamed
        self._full, self._second = _full(self.net), _second(self.net, cached)
        self.memory = self._memory(cached)

    def works(self, due: Due) -> Iterator[tuple[Work, bool]]:
        """What each network of a case comes to, and whether it is a second phase."""
        recipe, curve = self.grid.recipe, self.grid.curve
        learned = recipe.iterations * recipe.batch
        times = 1 + (recipe.iterations // curve if curve else 0)
        shown = times * (self.judged + self.held(due.case))
        for training in due.trainings:
            second = training.parent is not None
            kind = self._second if second else self._full
            yield Work(kind, recipe.iterations, learned, shown, self.published.streamed), second

    def jobs(self, cards: int) -> list[list[Job]]:
        """The jobs on so many cards, those of a split of the data set together."""
        splits = groupby(self.dues, key=lambda due: due.case.split)
        return [gather(list(dues), MOST, cards) for _, dues in splits]

    def duration(self, card: Card, precision: Precision, cards: int) -> tuple[float, Bound]:
        """Seconds on so many cards, each of which takes the next job when it is free, split after
        split; and what bounds most of the work.
        """
        total, bounds = 0.0, Counter[Bound]()
        for jobs in self.jobs(cards):
            ends = [0.0] * cards
            for job in jobs:
                ends.sort()
                for seconds, bound in self.lasting(job, card, precision):
                    ends[0] += seconds
                    bounds[bound] += seconds  # type: ignore[assignment]
            total += max(ends)
        return total, max(bounds, key=bounds.__getitem__)

    def lasting(self, job: Job, card: Card, precision: Precision) -> Iterator[tuple[float, Bound]]:
        """Of each network of a job; and of files, which are all read once before."""
        if self.published.streamed:
            cases = {due.case.id: due.case for due in job.dues}
            files = self.judged + sum(self.held(case) for case in cases.values())
            yield card.reading(files), "reading"
        for due in job.dues:
            for work, _ in self.works(due):
                yield work.seconds(card, precision)

    def held(self, case: Case) -> int:
        """How many images a case holds."""
        if case.id not in self._sizes:
            self._sizes[case.id] = sum(case.roles(self.pool).counts)
        return self._sizes[case.id]

    def _memory(self, cached: bool) -> Memory:
        published, net, source = self.published, self.net, self.grid.dataset
        pixel = netcost.NUMBER if source.preprocess == "gcn_zca" else 1
        images = (published.train + published.test) * prod(self.grid.form.image) * pixel
        most = self.judged + max(self.held(due.case) for due in self.dues)
        features = netcost.NUMBER * most * prod(net.shapes[net.head])
        return Memory(
            netcost.state_bytes(net),
            netcost.kept_bytes(net) * self.grid.recipe.batch,
            features if cached else 0,
            0 if published.streamed else images,
        )


def _parts(grid: Grid, published: Published) -> tuple[int, list[int]]:
    """Images that networks are judged on, and those of each class that cases are drawn from, as
    far as it can be told without the files: classes of one size.
    """
    source, classes = grid.dataset, grid.form.classes
    whole = published.train + published.test
    test = published.test
    if source.test_per_class is not None:
        test = source.test_per_class * classes
    elif source.test_share is not None:
        test = round(source.test_share * whole)
    validation = (source.validation_per_class or 0) * classes
    pool = min(whole if source.splits else published.train, whole - test) - validation
    return test + validation, [(pool + label) // classes for label in range(classes)]


def _full(net: Net) -> Kind:
    return Kind(
        netcost.learned_flop(net),
        netcost.learned_numbers(net),
        netcost.WEIGHT_MOVES * netcost.weights(net),
        netcost.shown_flop(net),
        netcost.shown_numbers(net),
    )


def _second(net: Net, cached: bool) -> Kind:
    """On features that are there already, or on images, of which each is shown to the layers below
    the head.
    """
    head = net.head
    flop, numbers = netcost.learned_flop(net, head), netcost.learned_numbers(net, head)
    if not cached:
        flop += netcost.shown_flop(net, 0, head)
        numbers += netcost.shown_numbers(net, 0, head)
    weights = netcost.WEIGHT_MOVES * netcost.weights(net, head)
    start = head if cached else 0
    shown = netcost.shown_flop(net, start), netcost.shown_numbers(net, start)
    return Kind(flop, numbers, weights, *shown)


@dataclass(frozen=True)
class Total:
    """Operations of full trainings, of second phases and of evaluations, and images read."""

    full: int
    second: int
    shown: int
    read: int


def total(cost: GridCost) -> Total:
    """Of all networks of a grid."""
    works = [each for due in cost.dues for each in cost.works(due)]
    return Total(
        sum(work.flop for work, second in works if not second),
        sum(work.flop for work, second in works if second),
        sum(work.shown_flop for work, _ in works),
        sum(work.read for work, _ in works),
    )
