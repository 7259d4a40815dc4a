"""All-CNN: table 3 of the paper, 1,369,738 parameters on 32 x 32 colour images of ten classes."""

from study.form import Form
from study.nets.layers import Average, Conv, Dropout, ReLU
from study.nets.net import Net


def allcnn(form: Form) -> Net:
    """The two 1 x 1 convolutions are the head."""
    return Net(
        form,
        layers=(
            Dropout(0.2),
            *(Conv(96, kernel=3, padding=1), ReLU()),
            *(Conv(96, kernel=3, padding=1), ReLU()),
            *(Conv(96, kernel=3, padding=1, stride=2), ReLU()),
            Dropout(0.5),
            *(Conv(192, kernel=3, padding=1), ReLU()),
            *(Conv(192, kernel=3, padding=1), ReLU()),
            *(Conv(192, kernel=3, padding=1, stride=2), ReLU()),
            Dropout(0.5),
            *(Conv(192, kernel=3), ReLU()),
            *(Conv(192, kernel=1), ReLU()),
            *(Conv(form.classes, kernel=1), ReLU()),
            Average(),
        ),
        head=17,
    )
