"""The networks of a job, trained pack by pack: full trainings first, then their second phases."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from study import seeds
from study.data import Dataset
from study.engine import machine
from study.engine.formulations import FORMULATIONS
from study.engine.forward import outputs
from study.engine.inputs import Features, Images, IndexStream, Inputs
from study.engine.losses import LOSSES
from study.engine.means import Means
from study.engine.rehearsal import choose, room
from study.engine.train import Course, finite, fit
from study.grid import Case, Grid
from study.nets import NETS, Weights
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
    """A network's logits on the test set and on its case's own images, whether its weights are
    finite, what it cost and how it was computed.
    """

    test: Tensor
    train: Tensor
    finite: bool
    seconds: float
    pack: int
    formulation: str


@dataclass(frozen=True)
class Sources:
    """Where the networks of a pack read: each its own places, to learn from and to be tested on."""

    train: Inputs
    places: Sequence[np.ndarray]
    test: Inputs
    tested: Sequence[np.ndarray]


class Trainer:
    """Trains the networks of a job on one device."""

    def __init__(self, grid: Grid, dataset: Dataset, means: Means, say: Callable[[str], None]):
        self._means, self._say = means, say
        self._net, self._recipe = NETS[grid.model](grid.form), grid.recipe
        self._batch = max(128, self._recipe.batch)  # images an evaluation takes at once
        self._labels, self._test_labels = dataset.pool.labels, dataset.test.labels
        self._pool = Images(dataset.pool, dataset.scale, means.device)
        self._test = Images(dataset.test, dataset.scale, means.device)

    def fit(self, networks: Sequence[Network]) -> Iterator[tuple[Network, Fitted]]:
        """Every network, fitted once; those with a parent go on from its end.

        Where a pack does not fit into the device's memory, packs are halved from there on.
        """
        left = [n for n in networks if n.training.parent is None]
        children = [n for n in networks if n.training.parent is not None]
        images = len(self._test_labels) + max(len(n.members) for n in networks)
        size = even(len(left), room(self._net, self._recipe, self._means, images))
        while left:
            done = self._attempt(left[:size], size, children)
            if done is None:
                machine.release(self._means.device)
                self._say(f"out of memory with packs of {size} networks; going on with {size // 2}")
                size //= 2
                continue
            yield from done
            left = left[size:]

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
        keep = sorted(set(parents)) if net.still else []
        rngs = [seeds.initial_weights(n.case.id, n.training.run) for n in pad(pack, size)]
        weights = [tuple(w.to(self._means.device) for w in layer) for layer in net.initial(rngs)]
        fitted, *features = self._phase(pack, size, weights, self._images(pack, size), keep=keep)
        yield from zip(pack, fitted, strict=True)
        size = even(len(children), size)
        for begin in range(0, len(children), size or 1):
            some, own = children[begin : begin + size], parents[begin : begin + size]
            chosen = torch.tensor(pad(own, size), device=self._means.device)
            tuned = [tuple(channels_last(w[chosen]) for w in layer) for layer in weights]
            if net.still:
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
        begin = perf_counter()
        formulation, own = FORMULATIONS[how], weights[enter:]
        places = zip(pad(pack, size), sources.places, strict=True)
        courses = [self._course(network, at) for network, at in places]
        recipe, convolve = self._recipe, formulation.convolve
        fit(self._net, own, sources.train, courses, recipe, formulation, enter, start)

        def evaluated(inputs: Inputs, places: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
            at = torch.from_numpy(rectangle(places)).to(self._means.device)
            return outputs(self._net, own, inputs, at, self._batch, convolve, enter, keep)

        test, test_features = evaluated(sources.test, sources.tested)
        train, features = evaluated(sources.train, sources.places)
        alive = finite(weights).tolist()
        seconds = (perf_counter() - begin) / len(pack)
        fitted = [
            Fitted(test[i], train[i, : len(network.members)], alive[i], seconds, size, how)
            for i, network in enumerate(pack)
        ]
        return fitted, test_features, features

    def _course(self, network: Network, places: np.ndarray) -> Course:
        """What a network goes through, reading its case's images at these places."""
        training, labels = network.training, self._labels[network.members]
        rng = seeds.resampling(network.case.id, training.sampling)
        chosen = SAMPLINGS[training.sampling](labels, rng)
        factor = 1.0 if training.parent is None else self._recipe.second_phase_rate
        counts = np.bincount(labels[chosen], minlength=self._net.form.classes)
        order = seeds.batch_order(training.id, training.run)
        return Course(
            order=IndexStream(places[chosen], self._recipe.batch, order),
            rate=self._recipe.rate.times(factor),
            class_weights=LOSSES[training.loss](counts),
            noise=seeds.dropout(training.id, training.run),
        )

    def _images(self, pack: Sequence[Network], size: int) -> Sources:
        """The images themselves, which all networks share."""
        tested = [np.arange(len(self._test_labels))] * size
        return Sources(self._pool, [n.members for n in pad(pack, size)], self._test, tested)

    def _features(
        self, held: Sequence[Network], rows: Sequence[int], test: Tensor, train: Tensor
    ) -> Sources:
        """The features of `held` networks; for each network of a pack, its parent's row in them."""
        labels = rectangle([self._labels[network.members] for network in held])
        test_labels = np.tile(self._test_labels, len(held))
        return Sources(
            _below_one_another(train, labels.ravel()),
            [row * train.shape[1] + np.arange(len(held[row].members)) for row in rows],
            _below_one_another(test, test_labels),
            [row * test.shape[1] + np.arange(test.shape[1]) for row in rows],
        )


def _below_one_another(features: Tensor, labels: np.ndarray) -> Features:
    return Features(features.flatten(0, 1), torch.from_numpy(labels).to(features.device))


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
