"""cifar10: torchvision's six files, checked byte for byte before they are unpickled."""

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from study.data.published import contents
from study.data.source import Source, Split
from study.form import Form

FOLDER = "cifar-10-batches-py"

ARRAYS = frozenset(
    {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),  # of bytes
    }
)
"""What a pickled array is made by."""


class Cifar10(Source):
    """Colour photographs of ten kinds of animals and vehicles: 50,000 and 10,000 images."""

    name: Literal["cifar10"]
    md5: ClassVar[dict[str, str]] = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    }

    @property
    def form(self) -> Form:
        return Form(32, 32, 3, 10)

    def load(self, folder: Path) -> tuple[Split, Split]:
        files = {f"{FOLDER}/{name}": md5 for name, md5 in self.md5.items()}
        *parts, test = map(read_batch, contents(self.name, "CIFAR10", folder, files))
        train = Split(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )
        return train, test


def read_batch(content: bytes) -> Split:
    """The images of one file, which keeps them as planes of red, green and blue."""
    batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    planes = batch[b"data"].reshape(-1, 3, 32, 32)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return Split(images, np.array(batch[b"labels"], np.int64))


class _Unpickler(pickle.Unpickler):
    """Makes arrays and nothing else, even of a file whose digest is the published one."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return super().find_class(module, name)
