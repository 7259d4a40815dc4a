"""ResNet-10, pre-activation, as the public network that the paper cites."""

from study.form import Form
from study.nets.fills import kaiming, kaiming_out
from study.nets.layers import (
    Average,
    BatchNorm,
    Conv,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Residual,
)
from study.nets.net import Net


def resnet10(form: Form) -> Net:
    """5,417,070 parameters on 224 x 224 colour images of 1000 classes; the last layer is the head.

    The first block has neither a stride, nor a projection, nor an activation before it.
    """
    layers: tuple[Layer, ...] = (
        BatchNorm(),
        Conv(64, kernel=7, stride=2, padding=3, fill=kaiming_out),
        *(BatchNorm(), ReLU(), MaxPool(3, stride=2, ceil=True)),
        Residual(_branch(64, stride=1)),
        *_block(128),
        *_block(256),
        *_block(512),
        *(BatchNorm(), ReLU(), Average(), Linear(form.classes, fill=kaiming)),
    )
    return Net(form, layers, head=len(layers) - 1)


def _block(channels: int) -> tuple[Layer, ...]:
    shortcut = Conv(channels, kernel=1, stride=2, bias=False, fill=kaiming)
    return BatchNorm(), ReLU(), Residual(_branch(channels, stride=2), (shortcut,))


def _branch(channels: int, stride: int) -> tuple[Layer, ...]:
    return (
        Conv(channels, kernel=3, stride=stride, padding=1, bias=False, fill=kaiming),
        *(BatchNorm(), ReLU()),
        Conv(channels, kernel=3, padding=1, bias=False, fill=kaiming),
    )
