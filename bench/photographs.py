"""Photographs of noise: JPEG files that cost what ImageNet's cost to read, laid out as it is."""

from pathlib import Path

import numpy as np
from PIL import Image

FILES = 256
"""Different ones; a class has one of them, so that most are in several classes."""

CLASSES = 1000

SIDES = {
    (500, 375): 13,
    (375, 500): 3,
    (500, 333): 3,
    (333, 500): 1,
    (500, 500): 1,
    (320, 240): 2,
    (640, 480): 1,
    (1024, 768): 1,
}
"""Width and height, and how many in 25; about the mixture in ILSVRC-2012."""

QUALITY = 90

CONTRAST, COLOUR = 52.0, 15.0
"""Standard deviations, in grey levels, of the light and of what each colour adds to it."""

FALL = 1.15
"""How a photograph's amplitudes fall with the frequency; more, and files are smaller."""


def write(folder: Path, number: int = FILES, seed: int = 0) -> None:
    """The training and the validation images of ILSVRC-2012 below `folder`, one a class in each."""
    files = folder / "files"
    files.mkdir(parents=True)
    rng, sides = np.random.default_rng(seed), list(SIDES)
    shares = np.array(list(SIDES.values())) / sum(SIDES.values())
    for place, kind in enumerate(rng.choice(len(sides), number, p=shares)):
        width, height = sides[int(kind)]
        picture = Image.fromarray(photograph(width, height, rng))
        picture.save(files / f"{place}.JPEG", quality=QUALITY)
    for part in ("train", "val"):
        for label in range(CLASSES):
            own = folder / "imagenet" / part / f"n{label:08}"
            own.mkdir(parents=True)
            (own / f"{label}.JPEG").hardlink_to(files / f"{label % number}.JPEG")


def photograph(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Pixels (height, width, 3) in which large forms are strong and detail is weak, as in nature:
    what an image costs to decode is its detail.
    """
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    noise = rng.standard_normal((4, height, width), np.float32)
    waves = np.fft.irfft2(np.fft.rfft2(noise) * frequency**-FALL, (height, width))
    light, *colours = waves / waves.std(axis=(1, 2), keepdims=True)
    levels = 118 + CONTRAST * light + COLOUR * np.stack(colours)
    return np.clip(levels, 0, 255).astype(np.uint8).transpose(1, 2, 0)
