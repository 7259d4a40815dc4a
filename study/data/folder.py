"""folder: pictures of a user's own, a folder for each class."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Strict, ValidationInfo, field_validator

from study.data.own import Below, Classes, Side, locate
from study.data.pictures import MODES, Pictures, View
from study.data.source import Source, Split
from study.data.tree import listing, one, two
from study.engine.machine import cores
from study.form import Form

MOST_IN_MEMORY = 4 << 30
"""Bytes of pixels that are decoded once and kept; more are decoded whenever they are needed."""

PARTS = ("train", "test")


def _grey_or_colour(value: int) -> int:
    if value not in MODES:
        raise ValueError("allowed: 1 (grey), 3 (colour)")
    return value


class Folder(Source):
    """Pictures in `path`/train/<class>/... and `path`/test/<class>/..., or in `path`/<class>/...

    In the second layout the set has no test split of its own. Classes are numbered in the order of
    their names. Each picture's short side is brought to `short_side` (if not given, `size`), and
    its middle, size x size, is kept; with crop_mirror training sees random crops and mirror images.
    Further folders beside train and test are left alone.
    """

    name: Literal["folder"]
    path: Below
    classes: Classes
    size: Side
    channels: Annotated[int, Strict(), AfterValidator(_grey_or_colour)] = 3
    short_side: Side | None = None
    augment: Literal["none", "crop_mirror"] = "none"

    @field_validator("short_side")
    @classmethod
    def _covers(cls, value: int | None, keys: ValidationInfo) -> int | None:
        if value is not None and value < keys.data.get("size", 0):
            raise ValueError(f"needed: at least size, which is {keys.data['size']}")
        return value

    @property
    def form(self) -> Form:
        return Form(self.size, self.size, self.channels, self.classes)

    @property
    def view(self) -> View:
        """How a file becomes an image."""
        short = self.short_side or self.size
        return View(short, self.size, self.channels, self.augment == "crop_mirror")

    def load(self, folder: Path) -> tuple[Split, Split]:
        """The splits, in memory where that is enough and every epoch sees the same pixels."""
        root = locate(folder, self.path)
        apart = not set(PARTS).isdisjoint(listing(root)[0])
        trees = two(root, PARTS, self.classes) if apart else (one(root, self.classes),)
        files = [Pictures(root, tree.names, self.view) for tree in trees]
        pixels = sum(math.prod(pictures.shape) for pictures in files)
        held = pixels <= MOST_IN_MEMORY and not self.view.augment
        splits = [
            Split(pictures.read_all(cores()) if held else pictures, tree.labels)
            for pictures, tree in zip(files, trees, strict=True)
        ]
        return splits[0], splits[1] if apart else splits[0].at(splits[0].labels[:0])
