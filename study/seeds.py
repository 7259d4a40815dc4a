"""Every random stream of the study, by name.

A stream is a stable hash of its name and of the scientific fields written in its function, and of
nothing else: not of the order of the work, the worker, the pack or the clock. The fields decide
what is paired: methods of one case share its draws and its initial weights, cells share nothing.
"""

import hashlib
from typing import Any

import numpy as np

from study.identity import canonical

Fields = dict[str, Any]


def test_split(dataset: Fields, seed: int) -> np.random.Generator:
    """Which images of the set are held back for testing."""
    return _stream("test split", dataset=dataset, seed=seed)


def resplit(dataset: Fields, seed: int, split: int) -> np.random.Generator:
    """Which images are test images where a set is shuffled anew, for the split of that number."""
    return _stream("resplit", dataset=dataset, seed=seed, split=split)


def validation_split(dataset: Fields, seed: int, split: int | None) -> np.random.Generator:
    """Which training images are held back to choose candidates by."""
    return _stream("validation split", dataset=dataset, seed=seed, split=split)


def class_roles(place: Fields, replicate: int) -> np.random.Generator:
    """Which classes are minority (step), or which class stands where (linear)."""
    return _stream("class roles", place=place, replicate=replicate)


def subset(place: Fields, replicate: int, subset: int) -> np.random.Generator:
    """Which images of each class the case holds."""
    return _stream("subset", place=place, replicate=replicate, subset=subset)


def resampling(case: str, sampling: str) -> np.random.Generator:
    """Which images oversampling repeats and undersampling keeps, whatever the ratio they go to."""
    return _stream("resampling", case=case, sampling=sampling)


def initial_weights(case: str, run: int) -> np.random.Generator:
    """The weights that every method of a case starts from."""
    return _stream("initial weights", case=case, run=run)


def batch_order(training: str, run: int) -> np.random.Generator:
    """The order of the images in a training; a second phase is a training of its own."""
    return _stream("batch order", training=training, run=run)


def dropout(training: str, run: int) -> np.random.Generator:
    """What dropout leaves out in a training."""
    return _stream("dropout", training=training, run=run)


def crops(training: str, run: int) -> np.random.Generator:
    """Where the images of a training are cropped, and which are mirrored."""
    return _stream("crops", training=training, run=run)


def images(dataset: Fields) -> np.random.Generator:
    """The pixels of a set that is drawn by code."""
    return _stream("images", dataset=dataset)


def _stream(name: str, **fields: Any) -> np.random.Generator:
    key = hashlib.sha256(canonical({"stream": name, **fields}).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "big")))
