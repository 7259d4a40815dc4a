"""The nets that a grid may name."""

from collections.abc import Callable

from study.form import Form
from study.nets.allcnn import allcnn
from study.nets.lenet5 import lenet5
from study.nets.net import Net, Weights
from study.nets.resnet10 import resnet10

NETS: dict[str, Callable[[Form], Net]] = {
    "lenet5": lenet5,
    "allcnn": allcnn,
    "resnet10": resnet10,
}
"""Name -> the net for images of a form."""

__all__ = ["NETS", "Net", "Weights"]
