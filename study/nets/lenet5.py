"""LeNet-5 as Caffe ships it: table 2 of the paper, 431,080 parameters on 28 x 28 grey images."""

from study.form import Form
from study.nets.layers import Conv, Flatten, Linear, MaxPool, ReLU
from study.nets.net import Net


def lenet5(form: Form) -> Net:
    """No ReLU after the convolutions; the output layer alone is the head."""
    return Net(
        form,
        layers=(
            Conv(20, kernel=5),
            MaxPool(2),
            Conv(50, kernel=5),
            MaxPool(2),
            Flatten(),
            Linear(500),
            ReLU(),
            Linear(form.classes),
        ),
        head=7,
    )
