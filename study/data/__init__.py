"""The data sets that a grid may name, and how one becomes the images of a study."""

from study.data.digits import Digits
from study.data.mnist import FashionMnist, Mnist
from study.data.source import Dataset, Source, Split, hold_out
from study.data.synthetic import Synthetic

SOURCES: dict[str, type[Source]] = {
    "digits": Digits,
    "mnist": Mnist,
    "fashion_mnist": FashionMnist,
    "synthetic": Synthetic,
}

__all__ = ["SOURCES", "Dataset", "Source", "Split", "hold_out"]
