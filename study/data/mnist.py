"""mnist and fashion_mnist: torchvision's files, checked byte for byte before they are believed."""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from study.data.published import contents
from study.data.source import Source, Split
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
        places = [f"{self.folder_name}/raw/{n}-{SUFFIX[n.split('-')[1]]}" for n in FILES]
        files = dict(zip(places, self.md5, strict=True))
        train_images, train_labels, test_images, test_labels = map(
            read_idx, contents(self.name, self.folder_name, folder, files)
        )
        return (
            Split(train_images[..., None], train_labels.astype(np.int64)),
            Split(test_images[..., None], test_labels.astype(np.int64)),
        )


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


def read_idx(content: bytes) -> np.ndarray:
    """The array of bytes in an idx file."""
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
