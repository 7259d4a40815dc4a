"""synthetic: images drawn by code, of any size, number of channels and classes, and difficulty."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from pydantic import Strict

from study import seeds
from study.data.source import Source, Split
from study.form import Form
from study.section import Whole

Side = Annotated[int, Strict(), Ge(1), Le(512)]


class Synthetic(Source):
    """Each class is a pattern of smooth waves; an image is its pattern, moved, under noise.

    `difficulty` is the noise's share of the image: at 0 there is none, at 1 nothing else.
    """

    name: Literal["synthetic"]
    size: Side = 28
    channels: Annotated[int, Strict(), Ge(1), Le(16)] = 1
    classes: Annotated[int, Strict(), Ge(2), Le(1000)] = 10
    difficulty: Annotated[float, Strict(), Ge(0), Le(1)] = 0.5
    train_images: Whole = 1000
    test_images: Whole = 200

    @property
    def form(self) -> Form:
        return Form(self.size, self.size, self.channels, self.classes)

    def load(self, folder: Path) -> tuple[Split, Split]:
        """`train_images` and `test_images` of every class; drawn anew each time."""
        rng = seeds.images(self.origin())
        patterns = self._patterns(rng)
        return self._draw(patterns, self.train_images, rng), self._draw(
            patterns, self.test_images, rng
        )

    def _patterns(self, rng: np.random.Generator) -> np.ndarray:
        """(classes, size, size, channels) in [-1, 1]: three waves for each class and channel."""
        y, x = np.mgrid[0 : self.size, 0 : self.size] * (2 * np.pi / self.size)
        shape = (3, self.classes, 1, 1, self.channels)
        down, across = rng.integers(-3, 4, shape), rng.integers(-3, 4, shape)
        phase = rng.uniform(0, 2 * np.pi, shape)
        waves = np.cos(down * y[..., None] + across * x[..., None] + phase)
        return waves.mean(axis=0)

    def _draw(self, patterns: np.ndarray, per_class: int, rng: np.random.Generator) -> Split:
        labels = rng.permutation(np.repeat(np.arange(self.classes), per_class))
        images = np.empty((len(labels), *self.form.image), np.uint8)
        moves = rng.integers(-1, 2, (len(labels), 2))
        for place, (label, move) in enumerate(zip(labels, moves, strict=True)):
            signal = np.roll(patterns[label], move, axis=(0, 1))
            noise = rng.standard_normal(self.form.image)
            mixed = (1 - self.difficulty) * signal + self.difficulty * noise
            images[place] = np.clip(128 + 64 * mixed, 0, 255)
        return Split(images, labels)
