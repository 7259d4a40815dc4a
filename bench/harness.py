"""The harness in the race: the only module here that knows the engine's own interface.

On a CPU a process a core takes steps on the images of the race. On a card packs are rehearsed, as
the harness itself does to choose a formulation.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bench import images
from bench.contenders import Contender
from bench.learner import Advance, Start, lenet5
from bench.measurement import IMAGE, SECOND_STEP, WIDE_STEP
from bench.processes import Tally, load
from bench.work import (
    BATCH,
    CASE_IMAGES,
    DECAY,
    GAMMA,
    MOMENTUM,
    PASS,
    POWER,
    RATE,
    SECOND_PHASE_RATE,
    WIDE_BATCH,
)
from study.data import Split
from study.engine import machine
from study.engine.formulations import FORMULATIONS, PLAIN
from study.engine.forward import outputs
from study.engine.inputs import Features, Images, IndexStream
from study.engine.rates import Inverse
from study.engine.recipe import Recipe
from study.engine.rehearsal import LAPS, Rehearsal
from study.engine.train import Course, fit
from study.form import Form
from study.nets import NETS, Net, Weights


def training(start: Start) -> Advance:
    """Full trainings; every call is a `fit` of so many steps."""
    net, weights, pool, labels = _prepared(start)
    courses = _courses([np.arange(len(labels))] * start.networks, RATE)

    def advance(steps: int) -> None:
        fit(net, weights, pool, courses, _recipe(steps), FORMULATIONS[PLAIN])

    return advance


def second_phase(start: Start) -> Advance:
    """Second phases on features that are there already; noise will do for them."""
    net, weights, _, labels = _prepared(start)
    number, head = min(CASE_IMAGES, len(labels)), net.head
    rows = torch.rand(start.networks * number, *net.shapes[head])
    targets = torch.from_numpy(labels[:number]).repeat(start.networks)
    features = Features(rows.to(start.device), targets.to(start.device))
    own = np.arange(len(rows)).reshape(start.networks, number)
    courses = _courses(list(own), SECOND_PHASE_RATE)

    def advance(steps: int) -> None:
        plain = FORMULATIONS[PLAIN]
        fit(net, weights[head:], features, courses, _recipe(steps), plain, enter=head, start=head)

    return advance


def evaluation(start: Start) -> Advance:
    """Logits of images; a step is one pass."""
    net, weights, pool, labels = _prepared(start)
    places = torch.arange(len(labels), device=start.device)

    def advance(steps: int) -> None:
        some = torch.arange(steps * PASS, device=start.device) % len(places)
        positions = places[some].expand(start.networks, -1)
        outputs(net, weights, pool, positions, PASS, FORMULATIONS[PLAIN].convolve)

    return advance


def rehearsed(contender: Contender, start: Start, seconds: float) -> Tally:
    """A pack on noise: for so many steps as the seconds hold, graphs and compilers apart."""
    machine.settle()
    wide = contender.unit == WIDE_STEP
    net = load(contender.build)(Form(32, 32, 3, 10) if wide else Form(28, 28, 1, 10))
    recipe = _recipe(1).model_copy(update={"batch": WIDE_BATCH if wide else BATCH})
    pack = Rehearsal(net, recipe, start.device, start.networks)
    paces = {SECOND_STEP: pack.second_pace, IMAGE: pack.evaluation_pace}
    pace = paces.get(contender.unit, pack.pace)
    laps = max(LAPS, int(seconds / pace(contender.way)))
    each = pace(contender.way, laps)
    return Tally(laps, laps * each, 1 / each, torch.get_num_threads())


def _prepared(start: Start) -> tuple[Net, Weights, Images, np.ndarray]:
    """The process settled, and the net, its weights, the images and their labels in place."""
    machine.settle()
    pixels, labels = images.read(start.folder)
    net = NETS["lenet5"](Form(28, 28, 1, 10))
    pool = Images(Split(pixels[..., None], labels), 1 / 255, start.device)
    weights = [tuple(w.to(start.device) for w in layer) for layer in _weights(net, start.networks)]
    return net, weights, pool, labels


def _weights(net: Net, networks: int) -> Weights:
    """Those of the plain modules of the same seeds, in the harness's order and layout."""
    weights = net.initial([np.random.default_rng(seed) for seed in range(networks)])
    learned = [weight for layer in weights for weight in layer]
    for place in range(networks):
        for ours, theirs in zip(learned, lenet5(place).parameters(), strict=True):
            ours[place].copy_(_rows_columns_channels(theirs.detach()))
    return weights


def _rows_columns_channels(weight: Tensor) -> Tensor:
    """A plain module flattens channel, row, column; the harness row, column, channel."""
    if weight.shape == (500, 800):
        return weight.view(500, 50, 4, 4).permute(0, 2, 3, 1).flatten(1)
    return weight


def _courses(places: Sequence[np.ndarray], rate: float) -> list[Course]:
    """One network's over each of these sets of positions."""
    rngs = [np.random.default_rng(seed) for seed in range(len(places))]
    return [
        Course(IndexStream(own, BATCH, rng), rate, None, rng, rng)
        for own, rng in zip(places, rngs, strict=True)
    ]


def _recipe(steps: int) -> Recipe:
    """That of the MNIST grids; but biases learn as fast as weights, as they do with the peers."""
    return Recipe(
        iterations=steps,
        batch=BATCH,
        rate=Inverse(policy="inv", base=(RATE,), gamma=GAMMA, power=POWER),
        momentum=MOMENTUM,
        weight_decay=DECAY,
        bias_rate=1.0,
    )
