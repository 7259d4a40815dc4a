"""The data sets that a grid may name, and how one becomes the images of a study."""

from study.data.arrays import Npz, Pt
from study.data.cifar10 import Cifar10
from study.data.digits import Digits
from study.data.folder import Folder
from study.data.imagenet import Imagenet
from study.data.mnist import FashionMnist, Mnist
from study.data.source import Dataset, Source, Split, hold_out
from study.data.synthetic import Synthetic

SOURCES: dict[str, type[Source]] = {
    "digits": Digits,
    "mnist": Mnist,
    "fashion_mnist": FashionMnist,
    "cifar10": Cifar10,
    "imagenet": Imagenet,
    "folder": Folder,
    "npz": Npz,
    "pt": Pt,
    "synthetic": Synthetic,
}

__all__ = ["SOURCES", "Dataset", "Source", "Split", "hold_out"]
