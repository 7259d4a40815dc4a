"""mnist and fashion_mnist: torchvision's files, checked byte for byte before they are believed."""

import hashlib
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from study.data.source import Source, Split
from study.errors import DataError
from study.form import Form

FILES = ("train-images", "train-labels", "t10k-images", "t10k-labels")
SUFFIX = {"images": "idx3-ubyte", "labels": "idx1-ubyte"}


class IdxSource(Source):
    """28 x 28 grey images in four idx files under `folder`/<their folder>/raw."""

    folder_name: ClassVar[str]
    md5: ClassVar[tuple[str, str, str, str]]

    @property
    def form(self) -> Form:
        return Form(28, 28, 1, 10)

    def load(self, folder: Path) -> tuple[Split, Split]:
        raw = folder / self.folder_name / "raw"
        paths = [raw / f"{name}-{SUFFIX[name.split('-')[1]]}" for name in FILES]
        try:
            there = all(path.is_file() for path in paths)
        except OSError as error:
            raise DataError(f"{raw.absolute()}: cannot be read ({error.strerror})") from None
        if not there:
            self._fetch(folder, paths)
        train_images, train_labels, test_images, test_labels = (
            read_idx(path, md5) for path, md5 in zip(paths, self.md5, strict=True)
        )
        return (
            Split(train_images[..., None], train_labels.astype(np.int64)),
            Split(test_images[..., None], test_labels.astype(np.int64)),
        )

    def _fetch(self, folder: Path, paths: list[Path]) -> None:
        from torchvision import datasets

        try:
            getattr(datasets, self.folder_name)(folder, download=True)
        except (OSError, RuntimeError, HTTPException, EOFError) as error:
            missing = ", ".join(path.name for path in paths if not path.is_file())
            raise DataError(
                f"dataset {self.name}: {missing or 'a readable file'} missing from "
                f"{paths[0].parent.absolute()}, and fetching failed ({error}). Put the files "
                f"there, or name the folder that holds {self.folder_name}/raw with --data DIR or "
                f"STUDY_DATA."
            ) from None


class Mnist(IdxSource):
    """Handwritten digits: 60,000 and 10,000 images."""

    name: Literal["mnist"]
    folder_name = "MNIST"
    md5 = (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    )


class FashionMnist(IdxSource):
    """Articles of clothing: 60,000 and 10,000 images."""

    name: Literal["fashion_mnist"]
    folder_name = "FashionMNIST"
    md5 = (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    )


def read_idx(path: Path, md5: str) -> np.ndarray:
    """The array in an idx file of bytes whose digest is `md5`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    found = hashlib.md5(content).hexdigest()
    if found != md5:
        raise DataError(
            f"{path}: not the published file: {len(content):,} bytes with MD5 {found}, expected "
            f"{md5}. Remove it and it will be fetched again."
        )
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
