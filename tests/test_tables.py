"""The nets layer by layer: tables 2 and 3 of the paper, and ResNet-10 as it is described."""

from math import prod

import pytest

from study.form import Form
from study.nets import NETS
from study.nets.layers import Average, Conv, Dropout, Flatten, Linear, MaxPool, ReLU, Residual

LENET5 = [
    # what leaves the layer: width, height, depth; kernel, stride; parameters counted by hand
    (Conv, (24, 24, 20), 5, 1, 20 * (1 * 5 * 5 + 1)),
    (MaxPool, (12, 12, 20), 2, 2, 0),
    (Conv, (8, 8, 50), 5, 1, 50 * (20 * 5 * 5 + 1)),
    (MaxPool, (4, 4, 50), 2, 2, 0),
    (Linear, (1, 1, 500), None, None, 500 * (800 + 1)),
    (ReLU, (1, 1, 500), None, None, 0),
    (Linear, (1, 1, 10), None, None, 10 * (500 + 1)),
]
ALLCNN = [
    # and padding
    (Dropout, (32, 32, 3), None, None, None, 0),
    (Conv, (32, 32, 96), 3, 1, 1, 96 * (3 * 9 + 1)),
    (Conv, (32, 32, 96), 3, 1, 1, 96 * (96 * 9 + 1)),
    (Conv, (16, 16, 96), 3, 2, 1, 96 * (96 * 9 + 1)),
    (Dropout, (16, 16, 96), None, None, None, 0),
    (Conv, (16, 16, 192), 3, 1, 1, 192 * (96 * 9 + 1)),
    (Conv, (16, 16, 192), 3, 1, 1, 192 * (192 * 9 + 1)),
    (Conv, (8, 8, 192), 3, 2, 1, 192 * (192 * 9 + 1)),
    (Dropout, (8, 8, 192), None, None, None, 0),
    (Conv, (6, 6, 192), 3, 1, 0, 192 * (192 * 9 + 1)),
    (Conv, (6, 6, 192), 1, 1, 0, 192 * (192 + 1)),
    (Conv, (6, 6, 10), 1, 1, 0, 10 * (192 + 1)),
    (Average, (1, 1, 10), 6, None, None, 0),
]
RESNET10 = [
    # what leaves each stage: depth, side; its learned parameters
    ("batch-norm on the input", (3, 224), 2 * 3),
    ("7 x 7 convolution", (64, 112), 64 * (3 * 49 + 1)),
    ("batch-norm, ReLU, max pooling", (64, 56), 2 * 64),
    ("block 64", (64, 56), 2 * 64 * 64 * 9 + 2 * 64),
    ("block 128", (128, 28), 2 * 64 + (64 + 128) * 128 * 9 + 2 * 128 + 64 * 128),
    ("block 256", (256, 14), 2 * 128 + (128 + 256) * 256 * 9 + 2 * 256 + 128 * 256),
    ("block 512", (512, 7), 2 * 256 + (256 + 512) * 512 * 9 + 2 * 512 + 256 * 512),
    ("batch-norm, ReLU", (512, 7), 2 * 512),
]


def rows(net, left_out=()):
    """(layer, what leaves it as width, height, depth, learned parameters)."""
    found = []
    for layer, shape, held in zip(net.layers, net.shapes[1:], net.parameters, strict=True):
        if not isinstance(layer, left_out):
            depth, *sides = shape if len(shape) == 3 else (*shape, 1, 1)
            number = sum(prod(p.shape) for p in held if p.learned)
            found.append((layer, (*reversed(sides), depth), number))
    return found


def test_lenet5_is_table_2():
    found = rows(NETS["lenet5"](Form(28, 28, 1, 10)), Flatten)
    for (layer, shape, number), row in zip(found, LENET5, strict=True):
        kind, size, kernel, stride, parameters = row
        assert (type(layer), shape, number) == (kind, size, parameters)
        if kind is Conv:
            assert (layer.kernel, layer.stride, layer.padding) == (kernel, stride, 0)
        if kind is MaxPool:
            assert (layer.size, layer.stride or layer.size) == (kernel, stride)
    assert sum(number for *_, number in found) == 431_080


def test_allcnn_is_table_3():
    """Every convolution there has a ReLU after it, which stands in a row of its own here."""
    net = NETS["allcnn"](Form(32, 32, 3, 10))
    found = rows(net, ReLU)
    for (layer, shape, number), row in zip(found, ALLCNN, strict=True):
        kind, size, kernel, stride, padding, parameters = row
        assert (type(layer), shape, number) == (kind, size, parameters)
        if kind is Conv:
            assert (layer.kernel, layer.stride, layer.padding) == (kernel, stride, padding)
    after = [type(net.layers[i + 1]) for i, layer in enumerate(net.layers) if type(layer) is Conv]
    assert after == [ReLU] * 9
    assert [layer.share for layer in net.layers if type(layer) is Dropout] == [0.2, 0.5, 0.5]
    assert sum(number for *_, number in found) == 1_369_738


def test_resnet10_is_as_described():
    """Four residual blocks, each twice as deep as the one before; ten layers with weights."""
    net = NETS["resnet10"](Form(224, 224, 3, 1000))
    places = [0, 1, 4, 5, 8, 11, 14, 16]  # the last layer of each stage
    before = 0
    for (stage, (depth, side), parameters), last in zip(RESNET10, places, strict=True):
        assert net.shapes[last + 1] == (depth, side, side), stage
        held = net.parameters[before : last + 1]
        assert sum(prod(p.shape) for row in held for p in row if p.learned) == parameters, stage
        before = last + 1
    rest = sum(prod(p.shape) for row in net.parameters[before:] for p in row)
    assert rest == 1000 * (512 + 1)
    assert sum(row[2] for row in RESNET10) + rest == 5_417_070
    blocks = [layer for layer in net.layers if isinstance(layer, Residual)]
    deep = sum(isinstance(layer, Conv) for block in blocks for layer in block.branch)
    assert (len(blocks), deep + 1) == (4, 9), "nine convolutional layers and one fully connected"


@pytest.mark.parametrize("name", NETS)
def test_products_are_weights_times_the_places_they_are_used_at(name):
    """A weight of a convolution is used once at every place of what leaves it."""
    net = NETS[name](Form(32, 32, 3, 10))

    def brute(layers, shape):
        total = 0
        for layer in layers:
            if isinstance(layer, Residual):
                total += brute(layer.branch, shape) + brute(layer.shortcut, shape)
            elif isinstance(layer, Conv | Linear):
                weight = layer.parameters(shape)[0]
                places = prod(layer.out(shape)[1:]) if isinstance(layer, Conv) else 1
                total += prod(weight.shape) * places
            shape = layer.out(shape)
        return total

    assert net.products == brute(net.layers, (3, 32, 32))
