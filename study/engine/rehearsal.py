"""Rehearsals on noise: how fast a device trains a net, how many fit on it, which way is fastest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from time import perf_counter

import numpy as np
import torch

from study.data import Split
from study.engine import machine
from study.engine.formulations import FORMULATIONS, PLAIN
from study.engine.forward import outputs
from study.engine.inputs import Features, Images, IndexStream, Inputs
from study.engine.means import Means
from study.engine.rates import Fixed
from study.engine.recipe import Recipe
from study.engine.train import WARM_UP, Course, finite, fit
from study.nets import Net, Weights

SHARE = 0.8
"""Of a card's free memory that a pack may take."""

TOLERANCE = {"strict": 5e-3, "tf32": 2e-2, "bf16": 1e-1}
"""How far a gradient may lie from the exact one, as a share of its size; if the plain formulation
itself lies further off, MARGIN times as far as that one."""

MARGIN = 10

LAPS, MOST_LAPS = 20, 20_000
"""Steps that are timed, and as many as are where time is short of CLEAR."""

CLEAR = 2e-3
"""Seconds by which a longer run must take longer, or others' noise is what was timed."""


@dataclass(frozen=True)
class Rehearsal:
    """K networks of a net about to train on one batch of noise."""

    net: Net
    recipe: Recipe
    device: str
    k: int = 1

    dtype: torch.dtype = torch.float32

    def start(self) -> Weights:
        """Fresh weights, the same each time."""
        rngs = [np.random.default_rng(number) for number in range(self.k)]
        fresh = self.net.initial(rngs)
        return [tuple(w.to(self.device, self.dtype) for w in layer) for layer in fresh]

    def images(self) -> Images:
        """The noise."""
        rng = np.random.default_rng(0)
        shape = (self.recipe.batch, *self.net.form.image)
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        return Images(Split(pixels, self._labels()), 1 / 256, self.device, self.dtype)

    def trained(self, steps: int, formulation: str = PLAIN) -> Weights:
        """The weights after so many steps."""
        weights = self.start()
        self._fit(weights, self.images(), steps, formulation)
        return weights

    def pace(self, formulation: str = PLAIN, laps: int = LAPS) -> float:
        """Seconds a step of all K networks."""
        weights, images = self.start(), self.images()
        return _pace(lambda steps: self._fit(weights, images, steps, formulation), laps)

    def second_pace(self, formulation: str = PLAIN, laps: int = LAPS) -> float:
        """Seconds a step of a second phase of all K networks."""
        weights, head = self.start(), self.net.head
        enter = head if self.net.still else 0
        inputs: Inputs = self.images()
        if self.net.still:
            rows = torch.rand(self.recipe.batch, *self.net.shapes[head], device=self.device)
            inputs = Features(rows, torch.from_numpy(self._labels()).to(self.device))
        own = weights[enter:]
        return _pace(lambda steps: self._fit(own, inputs, steps, formulation, enter, head), laps)

    def evaluation_pace(self, formulation: str = PLAIN, laps: int = LAPS) -> float:
        """Seconds an image of all K networks, without learning."""
        weights, images = self.start(), self.images()
        convolve, batch = FORMULATIONS[formulation].convolve, self.recipe.batch
        once = torch.arange(batch, device=self.device).expand(self.k, -1)

        def run(times: int) -> None:
            many = once.repeat(1, times)
            logits, _ = outputs(self.net, weights, images, many, batch, convolve)
            logits.sum().item()  # a card has then done it

        return _pace(run, laps) / batch

    def _labels(self) -> np.ndarray:
        return np.arange(self.recipe.batch) % self.net.form.classes

    def _fit(
        self,
        weights: Weights,
        inputs: Inputs,
        steps: int,
        formulation: str,
        enter: int = 0,
        start: int = 0,
    ) -> None:
        places, batch, base = np.arange(self.recipe.batch), self.recipe.batch, self.recipe.rate.base
        rngs = [np.random.default_rng(number) for number in range(self.k)]
        courses = [
            Course(IndexStream(places, batch, rng), min(base), None, rng, rng) for rng in rngs
        ]
        recipe = self.recipe.model_copy(update={"iterations": steps})
        fit(self.net, weights, inputs, courses, recipe, FORMULATIONS[formulation], enter, start)


def _pace(run: Callable[[int], None], laps: int) -> float:
    """Seconds a step: the difference of a long and a short run, so that what is done once, such as
    a graph recorded, is in neither. Where other programs take more than that, of a longer one.
    """

    def seconds(steps: int) -> float:
        begin = perf_counter()
        run(steps)
        return perf_counter() - begin

    seconds(WARM_UP + 1)  # libraries load, compilers compile
    short = WARM_UP + 2
    while (gone := seconds(short + laps) - seconds(short)) < CLEAR and laps < MOST_LAPS:
        laps *= 2
    return max(gone, 1e-9) / laps


@dataclass(frozen=True)
class Lap:
    """A formulation's seconds a step of a pack; without them, why it is out of the race."""

    formulation: str
    seconds: float | None
    reason: str = ""


def race(rehearsal: Rehearsal, formulations: Sequence[str], laps: int = LAPS) -> list[Lap]:
    """Every formulation timed, the fastest first; one that fails or computes something else last.

    The judge is the gradient of a few networks in float64.
    """
    judge = _Judge(rehearsal)
    results = []
    for name in formulations:
        try:
            if not judge.isolates(name):
                reason = "a network that diverges takes its pack-mates with it"
                results.append(Lap(name, None, reason))
                continue
            if not (error := judge.error(name)) <= 1:
                reason = f"its gradient is {error:.1f} times as far off as is tolerated"
                results.append(Lap(name, None, reason))
                continue
            results.append(Lap(name, rehearsal.pace(name, laps)))
        except Exception as failure:  # a compiler's, a driver's, a kernel's: any of them rules out
            first, *_ = [*str(failure).strip().splitlines(), ""]
            results.append(Lap(name, None, f"{type(failure).__name__}: {first}"))
        machine.release(rehearsal.device)
    return sorted(results, key=lambda lap: float("inf") if lap.seconds is None else lap.seconds)


class _Judge:
    """Knows the exact gradient of a net on noise: where a step at rate one takes it in float64.

    Of two networks and few images, that it needs little memory.
    """

    def __init__(self, rehearsal: Rehearsal):
        given, one = rehearsal.recipe, Fixed(policy="fixed", base=(1.0,))
        recipe = given.model_copy(update={"rate": one, "batch": min(given.batch, 32)})
        self._one = replace(rehearsal, recipe=recipe, k=min(rehearsal.k, 2))
        strict = recipe.model_copy(update={"precision": "strict"})
        exact = replace(self._one, recipe=strict, dtype=torch.float64)
        self._start, self._exact = exact.start(), exact.trained(1)
        self._tolerated = (MARGIN * self._errors(PLAIN)).clamp(min=TOLERANCE[recipe.precision])

    def error(self, formulation: str) -> float:
        """The error of a formulation, as a share of what is tolerated."""
        return float((self._errors(formulation) / self._tolerated).max())

    def isolates(self, formulation: str) -> bool:
        """Whether a network stays finite beside one that has diverged."""
        pair = replace(self._one, k=2)
        weights = pair.start()
        for layer in weights:
            for weight in layer:
                weight[0] = float("nan")
        pair._fit(weights, pair.images(), 2, formulation)
        return bool(finite(weights)[1])

    def _errors(self, formulation: str) -> torch.Tensor:
        """Of each tensor of weights the median error, as a share of its median step.

        Medians: a maximum that is all but tied may fall either way, and moves a few far. A bias
        before a batch-norm has no gradient: no share is taken of a step so small beside others.
        """
        errors, steps = [], []
        for layers in zip(self._one.trained(1, formulation), self._exact, self._start, strict=True):
            for w, exact, start in zip(*layers, strict=True):
                errors.append((w - exact).abs().median())
                steps.append((exact - start).abs().median())
        sizes = torch.stack(steps)
        return torch.stack(errors) / sizes.clamp(min=0.01 * sizes.max())


def choose(net: Net, recipe: Recipe, means: Means, k: int) -> str:
    """The formulation for packs of K networks: the one asked for, else on a CPU the plain one,
    else the winner of a race, run once a process for packs of about this size, never a larger one.

    A CPU's library lets a NaN of one network into its mates where it groups bfloat16.
    """
    if means.formulation is not None:
        return means.formulation
    if means.device != "cuda":
        return "im2col" if k > 1 and recipe.precision == "bf16" else PLAIN
    timing = recipe.model_copy(update={"iterations": 1})
    return _winner(Rehearsal(net, timing, means.device, 1 << (k.bit_length() - 1)))


@cache
def _winner(rehearsal: Rehearsal) -> str:
    best = race(rehearsal, tuple(FORMULATIONS))[0]
    return PLAIN if best.seconds is None else best.formulation


def room(net: Net, recipe: Recipe, means: Means, images: int) -> int:
    """How many networks go into a pack: as many as are asked for; on CUDA, where nothing is asked,
    as many as the free memory holds, each with the features of so many `images`.
    """
    if means.pack or means.device != "cuda":
        return means.most
    timing = recipe.model_copy(update={"iterations": 1})
    each = _memory_a_network(Rehearsal(net, timing, means.device))
    if net.still:
        each += images * prod(net.shapes[net.head]) * 4
    machine.release(means.device)  # what an earlier job has freed counts as free
    free, _ = torch.cuda.mem_get_info()
    return max(1, min(means.most, int(SHARE * free) // each))


@cache
def _memory_a_network(rehearsal: Rehearsal) -> int:
    """Bytes that one network more takes in a pack."""

    def peak(k: int) -> int:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        Rehearsal(rehearsal.net, rehearsal.recipe, rehearsal.device, k).trained(WARM_UP + 1)
        return torch.cuda.max_memory_reserved()

    more = peak(4) - peak(2)
    torch.cuda.empty_cache()
    return max(1, more // 2)
