"""The networks of a job, trained pack by pack: full trainings first, then their second phases."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import isfinite
from time import perf_counter
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from study import seeds
from study.checkpoints import Checkpoints, packed, unpacked
from study.data import Dataset
from study.engine import machine
from study.engine.formulations import FORMULATIONS
from study.engine.forward import outputs
from study.engine.inputs import Features, IndexStream, Inputs
from study.engine.losses import LOSSES
from study.engine.means import Means
from study.engine.rehearsal import choose, room
from study.engine.stream import Stream, reader
from study.engine.train import Course, Lockstep, finite
from study.errors import DataError
from study.grid import Case, Grid
from study.metrics import Point, accuracy, cross_entropy
from study.named import lookup
from study.nets import Weights
from study.nets.net import channels_last
from study.plan import Training
from study.sampling import SAMPLINGS


@dataclass(frozen=True)
class Network:
    """A training to be done, and the images of its case by their places in the pool."""

    case: Case
    training: Training
    members: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """A network's logits on the images that it is judged on and on its case's own, whether its
    weights are finite, how it fared on the way, what it cost and how it was computed.
    """

    judged: Tensor
    train: Tensor
    finite: bool
    curve: list[Point]
    seconds: float
    pack: int
    formulation: str


@dataclass(frozen=True)
class Sources:
    """Where the networks of a pack read, each its own places: to learn from (`shown` shows the same
    images uncropped), and to be judged on.
    """

    train: Inputs
    shown: Inputs
    places: Sequence[np.ndarray]
    judged: Inputs
    judged_places: Sequence[np.ndarray]


class Trainer:
    """Trains the networks of a job on one device."""

    def __init__(
        self,
        grid: Grid,
        dataset: Dataset,
        means: Means,
        checkpoints: Checkpoints,
        say: Callable[[str], None],
    ):
        self._means, self._checkpoints, self._say = means, checkpoints, say
        self._net, self._recipe, self._every = grid.net, grid.recipe, grid.curve
        self._decisions = {choice.method.decision for choice in grid.methods}
        self._batch = max(128, self._recipe.batch)  # images an evaluation takes at once
        self._labels, judged = dataset.pool.labels, dataset.test.then(dataset.validation)
        self._judged_labels, self._tests = judged.labels, len(dataset.test)
        self._pool = reader(dataset.pool, dataset.scale, means)
        self._judged = reader(judged, dataset.scale, means)
        streamed = isinstance(self._pool, Stream)
        self._shown = reader(dataset.pool, dataset.scale, means) if streamed else self._pool
        self._still = self._net.still and not self._pool.crops
        self._most = (means.pack or 1) if streamed else None

    def close(self) -> None:
        """Let go of what reads images."""
        for inputs in (self._pool, self._shown, self._judged):
            if isinstance(inputs, Stream):
                inputs.close()

    def fit(self, networks: Sequence[Network]) -> Iterator[tuple[Network, Fitted]]:
        """Every network, fitted once; those with a parent go on from its end.

        Where a pack does not fit into the device's memory, packs are halved from there on.
        """
        self._check(networks)
        left = [n for n in networks if n.training.parent is None]
        children = [n for n in networks if n.training.parent is not None]
        images = len(self._judged_labels) + max(len(n.members) for n in networks)
        most = self._most or room(self._net, self._recipe, self._means, images)
        size = even(len(left), most)
        while left:
            done = self._attempt(left[:size], size, children)
            if done is None:
                machine.release(self._means.device)
                self._say(f"out of memory with packs of {size} networks; going on with {size // 2}")
                size //= 2
                continue
            yield from done
            left = left[size:]

    def _check(self, networks: Sequence[Network]) -> None:
        """Refuse what cannot be read before days are spent on the rest."""
        if isinstance(self._pool, Stream):
            self._pool.check(np.unique(np.concatenate([n.members for n in networks])))
        if isinstance(self._judged, Stream):
            self._judged.check(np.arange(len(self._judged_labels)))

    def _attempt(
        self, pack: Sequence[Network], size: int, children: Sequence[Network]
    ) -> list[tuple[Network, Fitted]] | None:
        """The pack and the children of its networks; None where they do not fit into memory."""
        try:
            return list(self._family(pack, size, children))
        except RuntimeError as error:
            if size == 1 or not machine.out_of_memory(error):
                raise
        return None  # out here, where no traceback holds the tensors any more

    def _family(
        self, pack: Sequence[Network], size: int, children: Sequence[Network]
    ) -> Iterator[tuple[Network, Fitted]]:
        """Train a pack from fresh weights and then its children.

        Where an image has the same features below the head each time, they are computed once for
        the evaluation of a network, its second phases and their evaluation.
        """
        net, number = self._net, {network.training: i for i, network in enumerate(pack)}
        children = [child for child in children if child.training.parent in number]
        parents = [number[child.training.parent] for child in children if child.training.parent]
        keep = sorted(set(parents)) if self._still else []
        rngs = [seeds.initial_weights(n.case.id, n.training.run) for n in pad(pack, size)]
        weights = [tuple(w.to(self._means.device) for w in layer) for layer in net.initial(rngs)]
        fitted, *features = self._phase(pack, size, weights, self._images(pack, size), keep=keep)
        yield from zip(pack, fitted, strict=True)
        size = even(len(children), size)
        for begin in range(0, len(children), size or 1):
            some, own = children[begin : begin + size], parents[begin : begin + size]
            chosen = torch.tensor(pad(own, size), device=self._means.device)
            tuned = [tuple(channels_last(w[chosen]) for w in layer) for layer in weights]
            if self._still:
                held, rows = [pack[i] for i in keep], [keep.index(i) for i in pad(own, size)]
                sources, enter = self._features(held, rows, *features), net.head
            else:
                sources, enter = self._images(some, size), 0
            fitted, *_ = self._phase(some, size, tuned, sources, enter, net.head)
            yield from zip(some, fitted, strict=True)

    def _phase(
        self,
        pack: Sequence[Network],
        size: int,
        weights: Weights,
        sources: Sources,
        enter: int = 0,
        start: int = 0,
        keep: Sequence[int] = (),
    ) -> tuple[list[Fitted], Tensor, Tensor]:
        """Fit the layers from `start` on, reading what enters layer `enter`: the networks fitted,
        and the features of those to keep, of the test set and of the cases' images.
        """
        how = choose(self._net, self._recipe, self._means, size)
        formulation, own = FORMULATIONS[how], weights[enter:]

        def evaluated(
            inputs: Inputs, places: Sequence[np.ndarray], keep: Sequence[int] = ()
        ) -> tuple[Tensor, Tensor]:
            at = torch.from_numpy(rectangle(places)).to(self._means.device)
            convolve = formulation.convolve
            return outputs(self._net, own, inputs, at, self._batch, convolve, enter, keep)

        def points(iteration: int) -> list[Point]:
            judged, _ = evaluated(sources.judged, sources.judged_places)
            train, _ = evaluated(sources.shown, sources.places)
            return [
                self._point(iteration, network, judged[i], train[i])
                for i, network in enumerate(pack)
            ]

        padded = pad(pack, size)
        courses = [
            self._course(network, at) for network, at in zip(padded, sources.places, strict=True)
        ]
        lockstep = Lockstep(
            self._net, own, sources.train, courses, self._recipe, formulation, enter, start
        )
        measured = [self._every, sorted(self._decisions)]
        key = self._checkpoints.key([n.training.id for n in padded], how, measured)
        begin = perf_counter()
        curves, before = self._train(lockstep, key, points)
        judged, judged_features = evaluated(sources.judged, sources.judged_places, keep)
        train, features = evaluated(sources.shown, sources.places, keep)
        alive = finite(weights).tolist()
        seconds = (before + perf_counter() - begin) / len(pack)
        fitted = [
            Fitted(
                judged[i], train[i, : len(network.members)], alive[i],
                until_lost([points[i] for points in curves]), seconds, size, how,
            )
            for i, network in enumerate(pack)
        ]  # fmt: skip
        return fitted, judged_features, features

    def _train(
        self, lockstep: Lockstep, key: str, measured: Callable[[int], list[Point]]
    ) -> tuple[list[list[Point]], float]:
        """Take the steps, from a checkpoint where there is one: the points of the curves on the
        way, and the seconds that went before.
        """
        curves: list[list[Point]] = []
        before, begin = 0.0, perf_counter()
        if kept := self._checkpoints.find(key):
            state, curves, before = unpacked(kept)
            lockstep.resume(state)

        def keep() -> None:
            seconds = before + perf_counter() - begin
            self._checkpoints.keep(key, packed(lockstep.state(), curves, seconds))

        for done in lockstep.run(self._every):
            if self._every and done % self._every == 0:
                curves.append(measured(done))
            if self._checkpoints.due():
                keep()
        if self._checkpoints.due(perf_counter() - begin):
            keep()
        return curves, before

    def _point(self, iteration: int, network: Network, judged: Tensor, train: Tensor) -> Point:
        """How a network fares after so many iterations, by every way of deciding."""
        labels = torch.from_numpy(self._labels[network.members]).to(train.device)
        test_labels = torch.from_numpy(self._judged_labels[: self._tests]).to(train.device)
        train, test = train[: len(labels)], judged[: self._tests]
        counts = labels.bincount(minlength=self._net.form.classes).double()
        return Point(
            iteration,
            cross_entropy(train, labels),
            {name: accuracy(train, labels, counts, name) for name in self._decisions},
            cross_entropy(test, test_labels),
            {name: accuracy(test, test_labels, counts, name) for name in self._decisions},
        )

    def _course(self, network: Network, places: np.ndarray) -> Course:
        """What a network goes through, reading its case's images at these places."""
        training, labels = network.training, self._labels[network.members]
        rng = seeds.resampling(network.case.id, training.sampling)
        chosen = lookup(SAMPLINGS, training.sampling)(labels, rng, training.to)
        if not len(chosen):
            raise DataError(
                f"sampling {training.sampling}: it keeps no image of case {network.case}"
            )
        factor = 1.0 if training.parent is None else self._recipe.second_phase_rate
        counts = np.bincount(labels[chosen], minlength=self._net.form.classes)
        order = seeds.batch_order(training.id, training.run)
        return Course(
            order=IndexStream(places[chosen], self._recipe.batch, order),
            base=training.base * factor,
            class_weights=lookup(LOSSES, training.loss)(counts),
            noise=seeds.dropout(training.id, training.run),
            crops=seeds.crops(training.id, training.run),
        )

    def _images(self, pack: Sequence[Network], size: int) -> Sources:
        """The images themselves, which all networks share."""
        judged = [np.arange(len(self._judged_labels))] * size
        members = [n.members for n in pad(pack, size)]
        return Sources(self._pool, self._shown, members, self._judged, judged)

    def _features(
        self, held: Sequence[Network], rows: Sequence[int], judged: Tensor, train: Tensor
    ) -> Sources:
        """The features of `held` networks; for each network of a pack, its parent's row in them."""
        labels = rectangle([self._labels[network.members] for network in held])
        judged_labels = np.tile(self._judged_labels, len(held))
        own = _below_one_another(train, labels.ravel())
        return Sources(
            own,
            own,
            [row * train.shape[1] + np.arange(len(held[row].members)) for row in rows],
            _below_one_another(judged, judged_labels),
            [row * judged.shape[1] + np.arange(judged.shape[1]) for row in rows],
        )


def _below_one_another(features: Tensor, labels: np.ndarray) -> Features:
    return Features(features.flatten(0, 1), torch.from_numpy(labels).to(features.device))


def until_lost(curve: Sequence[Point]) -> list[Point]:
    """The points of a network while its outputs were finite; its pack-mates may go on."""
    return list(takewhile(lambda point: isfinite(point.train_loss + point.test_loss), curve))


T = TypeVar("T")


def even(number: int, most: int) -> int:
    """The size of packs that hold `number` networks evenly, `most` at most in each."""
    return -(-number // -(-number // most)) if number else 0


def pad(pack: Sequence[T], size: int) -> list[T]:
    """The pack, its last network repeated: packs of one size are computed alike."""
    return [*pack, *[pack[-1]] * (size - len(pack))]


def rectangle(rows: Sequence[np.ndarray]) -> np.ndarray:
    """The rows below one another, made as long as the longest by repeating their first number."""
    longest = max(map(len, rows))
    return np.stack([np.pad(row, (0, longest - len(row)), constant_values=row[0]) for row in rows])
