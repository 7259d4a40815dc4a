"""npz and pt: images and labels of a user's own that lie in one file as arrays."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Annotated, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.lib import format as npy
from pydantic import Strict

from study.data.own import Below, Classes, Side, locate, memory, reason, some
from study.data.source import Source, Split
from study.errors import DataError, shorten
from study.form import Form

TRAIN, TEST, WHOLE = (
    ("train_images", "train_labels"),
    ("test_images", "test_labels"),
    ("images", "labels"),
)
LAYOUTS = ((TRAIN,), (TRAIN, TEST), (WHOLE,))
KEYS = frozenset(TRAIN + TEST + WHOLE)


@dataclass(frozen=True)
class Pixels:
    """Kinds of numbers that a file may hold, what they are kept as, and the scale to a net."""

    found: tuple[str, ...]
    kept: type[np.generic]
    scale: float


PIXELS = {
    "bytes": Pixels(("uint8",), np.uint8, 1 / 256),
    "numbers": Pixels(("float32", "float64"), np.float32, 1.0),
}


class Arrays(Source):
    """A file at `path` with train_images and train_labels, and a test split or none.

    The test split is test_images and test_labels; a set of one part may also call it images and
    labels. Whatever else lies in the file is left alone. Images are (n, height, width), with one
    more axis for the channels behind or before height and width; labels (n,) or (n, 1), whole
    numbers from 0. With `pixels: bytes` images are uint8, from black 0 to white 255; with
    `pixels: numbers` they are float32 or float64 and reach the net as they are, in float32.
    """

    path: Below
    height: Side
    width: Side
    channels: Annotated[int, Strict(), Ge(1), Le(16)]
    classes: Classes
    pixels: Literal["bytes", "numbers"] = "bytes"
    channels_last: ClassVar[bool]
    """How images are read that may be read either way."""

    @property
    def form(self) -> Form:
        return Form(self.height, self.width, self.channels, self.classes)

    @property
    def scale(self) -> float:
        return PIXELS[self.pixels].scale

    def load(self, folder: Path) -> tuple[Split, Split]:
        path = locate(folder, self.path)
        names, arrays = self._read(path)
        layout = next((pairs for pairs in LAYOUTS if set(sum(pairs, ())) == arrays.keys()), None)
        if layout is None:
            raise DataError(
                f"{path}: found the keys {some(names, 12)}; needed: {' and '.join(TRAIN)}, with "
                f"{' and '.join(TEST)} or without, or {' and '.join(WHOLE)} alone"
            )
        splits = [self._split(path, pair, arrays) for pair in layout]
        return splits[0], splits[1] if len(splits) == 2 else splits[0].at(np.arange(0))

    def _read(self, path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
        """The names of all that the file holds, and the arrays that a split may be made of."""
        raise TypeError(f"{type(self).__name__} reads no file")

    def _expect(self, what: str, key: str, shape: tuple[int, ...], kind: np.dtype) -> None:
        """Refuse an array by what it says of itself, before it takes any memory."""
        if key.endswith("labels"):
            self._row(what, shape, kind)
        else:
            self._axes(what, shape, kind)
        if (size := prod(shape) * kind.itemsize) > memory():
            raise DataError(f"{what}: {size:,} bytes; this machine has {memory():,} of memory")

    def _split(self, path: Path, pair: tuple[str, str], arrays: dict[str, np.ndarray]) -> Split:
        images_key, labels_key = pair
        images = self._images(f"{path}: {images_key}", arrays[images_key])
        labels = self._labels(f"{path}: {labels_key}", arrays[labels_key])
        if len(images) != len(labels):
            raise DataError(
                f"{path}: found {len(images):,} {images_key} and {len(labels):,} {labels_key}; "
                f"needed: a label for each image"
            )
        return Split(images, labels)

    def _axes(self, what: str, shape: tuple[int, ...], kind: np.dtype) -> tuple[int, ...] | None:
        """The order in which axes of images become channels last; None: channels are missing."""
        height, width, channels = self.form.image
        orders = [((channels, height, width), (0, 2, 3, 1)), (self.form.image, (0, 1, 2, 3))]
        if not self.channels_last:
            orders.reverse()
        ways: dict[tuple[int, ...], tuple[int, ...]] = dict(orders)  # of two alike, the last one's
        plain = [(height, width)] if channels == 1 else []
        if shape[1:] not in [*plain, *ways]:
            allowed = " or ".join(f"(n, {str(way)[1:]}" for way in [*reversed(ways), *plain])
            raise DataError(f"{what}: found the shape {_told(shape)}; needed: {allowed}")
        if not shape[0]:
            raise DataError(f"{what}: found no image; needed: at least one")
        if kind.name not in PIXELS[self.pixels].found:
            allowed = ", ".join(f"{key} for {' or '.join(k.found)}" for key, k in PIXELS.items())
            raise DataError(
                f"{what}: found {kind.name}, not what dataset.pixels says: {self.pixels}; "
                f"allowed: {allowed}"
            )
        return None if shape[1:] in plain else ways[shape[1:]]

    def _images(self, what: str, images: np.ndarray) -> np.ndarray:
        axes = self._axes(what, images.shape, images.dtype)
        images = images[..., None] if axes is None else images.transpose(axes)
        with np.errstate(over="ignore"):
            images = np.ascontiguousarray(images, PIXELS[self.pixels].kept)
        finite = np.isfinite(images).all(axis=(1, 2, 3))
        if not finite.all():
            raise DataError(
                f"{what}: found numbers that are not finite in float32 in {np.sum(~finite):,} "
                f"images, the first of them number {np.argmin(finite):,}; needed: finite numbers"
            )
        return images

    def _row(self, what: str, shape: tuple[int, ...], kind: np.dtype) -> None:
        """Refuse what is no row of labels, and no column."""
        if len(shape) != 1 and (len(shape) != 2 or shape[1] != 1):
            raise DataError(f"{what}: found the shape {_told(shape)}; needed: (n,) or (n, 1)")
        if kind.kind not in "biuf":
            raise DataError(f"{what}: found {kind.name}; needed: whole numbers")

    def _labels(self, what: str, labels: np.ndarray) -> np.ndarray:
        self._row(what, labels.shape, labels.dtype)
        labels = labels.reshape(len(labels))
        whole = np.isfinite(labels) & (labels == np.floor(labels))
        if not whole.all():
            raise DataError(f"{what}: found numbers that are not whole; needed: whole numbers")
        if len(labels) and not (labels.min() >= 0 and labels.max() < self.classes):
            raise DataError(
                f"{what}: found labels from {int(labels.min())} to {int(labels.max())}; needed: "
                f"0 to {self.classes - 1} (dataset.classes: {self.classes})"
            )
        return labels.astype(np.int64)


class Npz(Arrays):
    """A file that np.savez or np.savez_compressed wrote, such as those of MedMNIST."""

    name: Literal["npz"]
    channels_last = True

    def _read(self, path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
        arrays = {}
        with _reading(path), path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("not an archive that np.savez wrote, or not all of it")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                names = sorted(archive.files)
                wanted = sorted(KEYS.intersection(names))
                for key in wanted:  # all of them before one is unpacked
                    with _reading(f"{path}: {key}"):
                        if f"{key}.npy" in archive.zip.namelist():
                            with archive.zip.open(f"{key}.npy") as member:
                                self._expect(f"{path}: {key}", key, *_header(member))
                for key in wanted:
                    with _reading(f"{path}: {key}"):
                        arrays[key] = archive[key]
                        if not isinstance(arrays[key], np.ndarray):
                            raise ValueError("not an array")
        return names, arrays


class Pt(Arrays):
    """A dict of tensors that torch.save wrote."""

    name: Literal["pt"]
    channels_last = False

    def _read(self, path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
        with _reading(path):
            _check_stored(path)
            try:
                content: object = torch.load(path, map_location="cpu", weights_only=True)
            except (OSError, RuntimeError, MemoryError):
                raise
            except Exception:  # what a pickle of anything else says would mislead
                why = "not written by torch.save, or there is more in it than tensors"
                raise ValueError(why) from None
        if not isinstance(content, dict):
            raise DataError(f"{path}: found a {type(content).__name__}; needed: a dict of tensors")
        arrays = {}
        for key in KEYS.intersection(content):
            if not isinstance(content[key], torch.Tensor):
                found = type(content[key]).__name__
                raise DataError(f"{path}: {key}: found a {found}; needed: a tensor")
            with _reading(f"{path}: {key}"):
                if (size := content[key].nbytes) > memory():  # one number may stand for many
                    raise ValueError(f"{size:,} bytes; this machine has {memory():,} of memory")
                arrays[key] = content[key].numpy(force=True)
        return sorted(map(str, content)), arrays


def _check_stored(path: Path) -> None:
    """Refuse an archive that would unpack to more than it is: torch.save compresses nothing."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("compressed, so not written by torch.save")


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the kind of numbers of an array that np.save wrote."""
    try:
        version = npy.read_magic(member)
    except ValueError:
        raise ValueError("not an array") from None
    if (read := HEADERS.get(version)) is None:
        raise ValueError(f"version {version} of npy; needed: 1.0 or 2.0")
    shape, _, kind = read(member)
    if kind.hasobject:
        raise ValueError("Object arrays are pickled, and no pickle is read")
    return shape, kind


HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def _told(shape: tuple[int, ...]) -> str:
    """A shape as it stands in a message, however many axes it has."""
    return shorten(str(shape))


@contextmanager
def _reading(what: Path | str) -> Iterator[None]:
    """Whatever a reader says about a file of the user's, said in one line."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # a damaged file fails in whatever way its reader does
        raise DataError(f"{what}: cannot be read ({reason(error)})") from None
