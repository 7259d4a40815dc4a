"""Nets and their layers: against PyTorch's modules, in packs and alone, and the noise they draw."""

from functools import cache
from math import prod

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from study.data import Split
from study.engine import machine
from study.engine.formulations import FORMULATIONS, PLAIN, Formulation
from study.engine.forward import outputs
from study.engine.inputs import Images, IndexStream
from study.engine.rates import Inverse
from study.engine.recipe import Recipe
from study.engine.train import Course, fit
from study.form import Form
from study.nets import NETS, Net, layers
from study.nets.convolve import CONVOLUTIONS, grouped
from study.nets.fills import kaiming, kaiming_out, ones, xavier, zeros
from study.nets.layers import (
    Average,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Linear,
    MaxPool,
    Pass,
    ReLU,
    Residual,
    apart,
    together,
)
from study.nets.noise import keep

PAPER = {
    "lenet5": Form(28, 28, 1, 10),
    "allcnn": Form(32, 32, 3, 10),
    "resnet10": Form(224, 224, 3, 1000),
}
SMALL = {
    "lenet5": Form(20, 20, 1, 4),
    "allcnn": Form(9, 9, 3, 4),
    "resnet10": Form(24, 24, 3, 4),
}


@pytest.fixture(scope="module", autouse=True)
def settled():
    """As every job; without it memory is given back and cleared at every step."""
    machine.settle()


# The nets from PyTorch's modules, by the words of the papers.


class Flat(nn.Module):
    """Row, column, channel."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


class Masked(nn.Module):
    """Dropout by a key."""

    def __init__(self, share):
        super().__init__()
        self.share, self.key = share, None

    def forward(self, x):
        if not self.training:
            return x
        return x * keep(x[None].shape, self.key, 1 - self.share)[0] / (1 - self.share)


class Block(nn.Module):
    def __init__(self, entering, leaving):
        super().__init__()
        first = entering == leaving
        stride = 1 if first else 2
        self.before = nn.Identity() if first else nn.Sequential(nn.BatchNorm2d(entering), nn.ReLU())
        self.branch = nn.Sequential(
            nn.Conv2d(entering, leaving, 3, stride, 1, bias=False),
            nn.BatchNorm2d(leaving),
            nn.ReLU(),
            nn.Conv2d(leaving, leaving, 3, 1, 1, bias=False),
        )
        projection = nn.Conv2d(entering, leaving, 1, stride, bias=False)
        self.shortcut = nn.Identity() if first else projection

    def forward(self, x):
        x = self.before(x)
        return self.branch(x) + self.shortcut(x)


def convolutions(*each):
    """Convolutions with a ReLU after each."""
    return [module for one in each for module in (nn.Conv2d(*one), nn.ReLU())]


def module(name, form):
    height, width, channels, classes = form
    if name == "lenet5":
        left = ((height - 4) // 2 - 4) // 2 * (((width - 4) // 2 - 4) // 2)
        convolved = nn.Conv2d(channels, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5)
        dense = nn.Linear(50 * left, 500), nn.ReLU(), nn.Linear(500, classes)
        return nn.Sequential(*convolved, nn.MaxPool2d(2), Flat(), *dense)
    if name == "allcnn":
        return nn.Sequential(
            Masked(0.2),
            *convolutions((channels, 96, 3, 1, 1), (96, 96, 3, 1, 1), (96, 96, 3, 2, 1)),
            Masked(0.5),
            *convolutions((96, 192, 3, 1, 1), (192, 192, 3, 1, 1), (192, 192, 3, 2, 1)),
            Masked(0.5),
            *convolutions((192, 192, 3), (192, 192, 1), (192, classes, 1)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, 64, 7, 2, 3),
        *(nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(Block(64, 64), Block(64, 128), Block(128, 256), Block(256, 512)),
        *(nn.BatchNorm2d(512), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(512, classes),
    )


def held(whole):
    """(kind of module, name, tensor) of all that a module holds, in the order of its layers."""
    names = ("weight", "bias", "running_mean", "running_var")
    return [
        (type(part), name, getattr(part, name))
        for part in whole.modules()
        for name in names
        if isinstance(getattr(part, name, None), torch.Tensor)
    ]


def rngs(*seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def cast(weights, dtype=torch.float64):
    return [tuple(w.to(dtype) for w in layer) for layer in weights]


def shaken(net, k):
    """Weights of K networks of which none is zero or one, and running variances positive."""
    draw = torch.Generator().manual_seed(k)

    def shake(w):
        return w + 0.2 * (torch.rand(w.shape, generator=draw, dtype=w.dtype) - 0.5)

    return [tuple(map(shake, layer)) for layer in cast(net.initial(rngs(*range(k))))]


def close(ours, theirs, tolerance=1e-10):
    scale = max(1.0, theirs.abs().max().item())
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(
    ("name", "distinct"),
    [
        (
            "lenet5",
            [(1, 28, 28), (20, 24, 24), (20, 12, 12), (50, 8, 8), (50, 4, 4), (800,), (500,)],
        ),
        (
            "allcnn",
            [
                *((3, 32, 32), (96, 32, 32), (96, 16, 16), (192, 16, 16), (192, 8, 8)),
                *((192, 6, 6), (10, 6, 6)),
            ],
        ),
        (
            "resnet10",
            [
                *((3, 224, 224), (64, 112, 112), (64, 56, 56), (128, 28, 28), (256, 14, 14)),
                *((512, 7, 7), (512,)),
            ],
        ),
    ],
)
def test_images_shrink_from_layer_to_layer_as_in_the_papers(name, distinct):
    net = NETS[name](PAPER[name])
    changes = [net.shapes[0]]
    for shape in net.shapes[1:]:
        if shape != changes[-1]:
            changes.append(shape)
    assert changes == [*distinct, (PAPER[name].classes,)]


@pytest.mark.parametrize(
    ("name", "whole", "head"),
    [
        ("lenet5", 431_080, 500 * 10 + 10),
        ("allcnn", 1_369_738, (192 * 192 + 192) + (192 * 10 + 10)),
        ("resnet10", 5_417_070, 512 * 1000 + 1000),
    ],
)
def test_a_net_learns_as_many_numbers_as_its_paper_says(name, whole, head):
    """And a second phase as many as the layers that FACTS.md names have."""
    net = NETS[name](PAPER[name])

    def learned(own):
        return sum(prod(p.shape) for layer in own for p in layer if p.learned)

    with torch.device("meta"):
        theirs = module(name, PAPER[name])
    assert learned(net.parameters) == sum(p.numel() for p in theirs.parameters()) == whole
    assert learned(net.parameters[net.head :]) == head


@pytest.mark.parametrize("name", NETS)
def test_a_net_holds_what_pytorchs_modules_hold(name):
    """In their order, biases known as biases and running statistics as not learned."""
    net = NETS[name](PAPER[name])
    with torch.device("meta"):
        theirs = held(module(name, PAPER[name]))
    ours = [p for layer in net.parameters for p in layer]
    assert [p.shape for p in ours] == [tuple(t.shape) for _, _, t in theirs]
    assert [p.bias for p in ours] == [part == "bias" for _, part, _ in theirs]
    assert [p.learned for p in ours] == ["running" not in part for _, part, _ in theirs]


@pytest.mark.parametrize("name", NETS)
def test_fresh_weights_are_filled_as_facts_say(name):
    """LeNet-5 and All-CNN by Xavier; ResNet-10 by Kaiming, its first convolution by fan out."""
    net = NETS[name](SMALL[name])
    flat = [w[0].double() for layer in net.initial(rngs(0)) for w in layer]
    kinds = held(module(name, SMALL[name]))
    first = True
    for ours, (kind, part, _) in zip(flat, kinds, strict=True):
        if part != "weight" or kind is nn.BatchNorm2d:
            expected = float(part in ("weight", "running_var"))
            assert (ours == expected).all(), (kind, part)
            continue
        fan_in, fan_out = prod(ours.shape[1:]), len(ours) * prod(ours.shape[2:])
        variance = 1 / fan_in
        if name == "resnet10":
            variance = 2 / fan_out if first else 2 / fan_in
        assert ours.var().item() == pytest.approx(variance, rel=7 * ours.numel() ** -0.5)
        first = False


@pytest.mark.parametrize("name", NETS)
def test_a_pack_starts_from_the_weights_that_its_networks_have_alone(name):
    net = NETS[name](SMALL[name])
    pack = net.initial(rngs(5, 3))
    for place, seed in enumerate((5, 3)):
        rng = np.random.default_rng(seed)
        for own, parameters in zip(pack, net.parameters, strict=True):
            for w, p in zip(own, parameters, strict=True):
                assert (w[place].numpy() == p.fill(rng, p.shape)).all()
                if w.dim() == 5:
                    assert w.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("learning", [False, True])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(
    ("name", "size"), [("lenet5", (28, 32)), ("allcnn", (12, 17)), ("resnet10", (40, 33))]
)
def test_each_network_computes_and_differentiates_as_pytorchs_modules(name, size, k, learning):
    """Learning, All-CNN drops what its keys say and ResNet-10 moves its running statistics."""
    form = Form(*size, PAPER[name].channels, 10)
    net = NETS[name](form)
    weights = shaken(net, k)
    flat = [w for layer in weights for w in layer]
    parameters = [p for layer in net.parameters for p in layer]
    learned = [w.requires_grad_() for w, p in zip(flat, parameters, strict=True) if p.learned]
    modules = [module(name, form).double().train(learning) for _ in range(k)]
    for one, whole in enumerate(modules):
        with torch.no_grad():
            for ours, (_, _, theirs) in zip(flat, held(whole), strict=True):
                theirs.copy_(ours[one])
    draw = torch.Generator().manual_seed(1)
    for _ in range(3 if learning and name == "resnet10" else 1):
        x = torch.rand(3, k * form.channels, *size, generator=draw, dtype=torch.float64)
        slope = torch.rand(k, 3, 10, generator=draw, dtype=torch.float64)
        drawn = torch.randint(-(2**31), 2**31, (net.draws, k), generator=draw, dtype=torch.int32)
        how = Pass(k, grouped, iter(drawn) if learning else None)
        ours = net.forward(x.contiguous(memory_format=torch.channels_last), weights, how)
        gradients = torch.autograd.grad(ours, learned, slope)
        for one, whole in enumerate(modules):
            drops = [part for part in whole.modules() if isinstance(part, Masked)]
            for part, key in zip(drops, drawn[:, one : one + 1], strict=True):
                part.key = key
            theirs = whole(x.chunk(k, 1)[one])
            close(ours[one], theirs)
            expected = torch.autograd.grad(theirs, list(whole.parameters()), slope[one])
            for gradient, other in zip(gradients, expected, strict=True):
                close(gradient[one], other)
            for w, (_, _, other) in zip(flat, held(whole), strict=True):
                close(w[one].detach(), other.detach(), 1e-12)


# Packs.


def course(i, batch, base, noise):
    """Network i's own places, 17 or more of 60, its own order, rate, class weights and noise."""
    places = np.random.default_rng(i).choice(60, 17 + 3 * i, replace=False)
    order = IndexStream(places, batch, np.random.default_rng(100 + i))
    class_weights = None if i % 3 == 0 else np.random.default_rng(i).uniform(0.5, 2, 4)
    return Course(order, base * (1 + i / 4), class_weights, *rngs(noise, noise))


#            batch and base rate: each network moves, and none so far that rounding grows
SPEEDS = {"lenet5": (4, 0.0002), "allcnn": (2, 0.001), "resnet10": (4, 0.0002)}


def begin(name, who, dtype=torch.float64):
    """A net, these networks' weights and 60 images."""
    net, rng = NETS[name](SMALL[name]), np.random.default_rng(7)
    pixels = rng.integers(0, 256, (60, *net.form.image), dtype=np.uint8)
    images = Images(Split(pixels, rng.integers(0, 4, 60)), 1 / 64, "cpu", dtype)
    return net, cast(net.initial(rngs(*who)), dtype), images


def train(name, begun, who, steps, formulation=FORMULATIONS[PLAIN], noises=None, **layers_):
    net, weights, images = begun
    batch, base = SPEEDS[name]
    recipe = Recipe(
        iterations=steps,
        batch=batch,
        rate=Inverse(policy="inv", base=(base,), gamma=0.02, power=0.75),
        momentum=0.9,
        weight_decay=5e-4,
        bias_rate=2,
    )
    noises = noises or [200 + i for i in who]
    courses = [course(i, batch, base, noise) for i, noise in zip(who, noises, strict=True)]
    fit(net, weights, images, courses, recipe, formulation, **layers_)


def logits(begun):
    """(K, 12, classes) for the first images, five at a time."""
    net, weights, images = begun
    k = next(len(w) for layer in weights for w in layer)
    positions = torch.arange(12).expand(k, -1)
    return outputs(net, weights, images, positions, 5, grouped)[0]


def trained(name, who, steps, dtype=torch.float64, **how):
    """The logits of these networks, in this order in a pack, after as many steps."""
    begun = begin(name, who, dtype)
    train(name, begun, who, steps, **how)
    return logits(begun)


@cache
def alone(name, i, dtype, steps):
    return trained(name, [i], steps, dtype)[0]


@pytest.mark.parametrize(
    ("name", "formulation"),
    [
        pytest.param("lenet5", FORMULATIONS[PLAIN], id="lenet5"),
        *(
            pytest.param(name, FORMULATIONS[PLAIN], id=name, marks=pytest.mark.slow)
            for name in NETS
            if name != "lenet5"
        ),
        pytest.param("lenet5", Formulation("im2col"), id="lenet5-im2col"),
    ],
)
@pytest.mark.parametrize(
    ("dtype", "steps", "tolerance"), [(torch.float64, 20, 1e-8), (torch.float32, 3, 1e-4)]
)
def test_a_pack_of_eight_ends_where_its_networks_end_alone(
    name, formulation, dtype, steps, tolerance
):
    """Also where the pack convolves in another way than the networks alone."""
    before = logits(begin(name, range(8), dtype))
    pack = trained(name, range(8), steps, dtype, formulation=formulation)
    sequential = torch.stack([alone(name, i, dtype, steps) for i in range(8)])
    torch.testing.assert_close(pack, sequential, rtol=0, atol=tolerance)
    assert ((pack - before).abs().amax((1, 2)) > 0.01).all(), "each has moved"
    assert (pack.std(1).amax(1) > 1e-3).all(), "and still tells images apart"


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("who", [(6, 3), (0, 1, 2, 7, 3)])
def test_a_network_ends_at_the_same_place_in_any_pack(name, who):
    pack = trained(name, who, 4)
    expected = alone(name, 3, torch.float64, 4)
    torch.testing.assert_close(pack[who.index(3)], expected, rtol=0, atol=1e-8)


def test_all_cnn_drops_other_places_for_each_network_at_each_step(monkeypatch):
    drawn = []

    def spy(shape, keys, share):
        drawn.append((share, keep(shape, keys, share)))
        return drawn[-1][1]

    monkeypatch.setattr(layers, "keep", spy)
    trained("allcnn", [0, 1], 2)
    assert [share for share, _ in drawn] == [0.8, 0.5, 0.5] * 2
    for (share, once), (_, later) in zip(drawn[:3], drawn[3:], strict=True):
        independent = 2 * share * (1 - share)
        for one, other in ((once[0], once[1]), (once, later)):
            assert (one != other).double().mean().item() == pytest.approx(independent, abs=0.06)


def test_networks_alike_but_for_their_noise_part():
    ends = trained("allcnn", [3, 3, 3], 2, noises=[1, 2, 1])
    torch.testing.assert_close(ends[0], ends[2], rtol=0, atol=1e-12)
    assert (ends[0] - ends[1]).abs().max() > 1e-6


def test_a_second_phase_leaves_all_below_the_head_of_resnet_as_it_is():
    """Its running statistics too."""
    begun = begin("resnet10", [0, 1])
    net, weights, _ = begun
    before = [w.clone() for layer in weights for w in layer]
    train("resnet10", begun, [0, 1], 2, start=net.head)
    still = [a.equal(w) for a, w in zip(before, (w for own in weights for w in own), strict=True)]
    assert still == [True] * (len(still) - 2) + [False] * 2


# Noise.


def murmur(h):
    """MurmurHash3's fmix32, as published, on a whole number."""
    h ^= h >> 16
    h = h * 0x85EBCA6B % 2**32
    h ^= h >> 13
    h = h * 0xC2B2AE35 % 2**32
    return h ^ h >> 16


def keys(*numbers):
    return torch.tensor([(n + 2**31) % 2**32 - 2**31 for n in numbers], dtype=torch.int32)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_noise_is_murmurs_hash_of_the_place_and_the_key(share):
    """Places of images are counted row by row, in a row by columns, and channels innermost."""
    numbers = [0, 1, 12345, 2**31, 2**32 - 1]
    features = keep(torch.Size([5, 4, 30]), keys(*numbers), share)
    images = keep(torch.Size([5, 2, 3, 4, 5]), keys(*numbers), share)
    for k, key in enumerate(numbers):
        kept = [(murmur(murmur(n) ^ key) ^ 2**31) < round(share * 2**32) for n in range(120)]
        assert features[k].flatten().tolist() == kept
        place = iter(kept)
        for image in range(2):
            for row in range(4):
                for column in range(5):
                    for channel in range(3):
                        assert images[k, image, channel, row, column] == next(place)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_noise_keeps_its_share(share):
    n = 2**17
    kept = keep(torch.Size([16, 1, n]), keys(*range(8), *(2**j for j in range(24, 32))), share)
    means, sigma = kept.double().mean((1, 2)), (share * (1 - share) / n) ** 0.5
    assert (means - share).abs().max() < 4 * sigma
    assert abs(means.mean() - share) < 4 * sigma / 4


def test_noise_of_a_key_is_the_same_in_any_pack_and_batch():
    shape = (6, 3, 4, 4)
    pack = keep(torch.Size([3, *shape]), keys(7, 8, 9), 0.5)
    assert keep(torch.Size([2, *shape]), keys(3, 9), 0.5)[1].equal(pack[2])
    assert keep(torch.Size([1, 2, *shape[1:]]), keys(8), 0.5)[0].equal(pack[1, :2])
    assert not pack[0].equal(pack[1])


def test_noise_of_neighbouring_keys_and_places_is_uncorrelated():
    """A million numbers: keys that differ by little or in one bit, places a power of two apart."""
    n = 2**16
    chosen = keys(*range(16), *(2**j for j in range(4, 32)))
    kept = keep(torch.Size([len(chosen), 1, n]), chosen, 0.5).squeeze(1)
    signs = 2 * kept.double() - 1
    among_keys = (signs[:16] @ signs.T / n).fill_diagonal_(0)
    assert among_keys.abs().max() < 5 / n**0.5
    for lag in (2**j for j in range(14)):
        products = signs[:, lag:] * signs[:, :-lag]
        assert abs(products.mean()) < 4 / products.numel() ** 0.5, lag
    square = kept[:16].view(8, 2, n // 2, 2).permute(0, 2, 1, 3).flatten(2).long()
    patterns = (square * torch.tensor([1, 2, 4, 8])).sum(2).flatten().bincount(minlength=16)
    assert stats.chisquare(patterns.numpy()).pvalue > 1e-3


# Layers.


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_dropout_of_nothing_or_of_all_is_refused(share):
    with pytest.raises(ValueError, match="a share lies between 0 and 1"):
        Dropout(share)


def test_dropout_does_nothing_where_nothing_is_learned():
    x = normal(2, 6, 4, 4)
    assert Dropout(0.5).forward(x, iter(()), Pass(2)) is x


@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("shape", [(64, 3 * 8, 10, 10), (3, 640, 80)])
def test_dropout_zeroes_a_share_and_scales_the_rest_so_that_the_mean_is_kept(share, shape):
    x = normal(*shape).requires_grad_()
    ours = Dropout(share).forward(x, iter(()), Pass(3, keys=iter([keys(4, 5, 6)])))
    (gradient,) = torch.autograd.grad(ours.sum(), x)
    scale = together(keep(apart(x, 3).shape, keys(4, 5, 6), 1 - share)) / (1.0 - share)
    torch.testing.assert_close(gradient, scale.double())
    torch.testing.assert_close(ours, x * scale.double())
    assert set(gradient.unique().tolist()) == {0, 1 / (1 - share)}
    means, n = apart(gradient, 3).flatten(1).mean(1), x.numel() / 3
    assert (means - 1).abs().max() < 4 * (share / (1 - share) / n) ** 0.5


@pytest.mark.parametrize("how", [Pass(2), Pass(2, keys=iter(()), frozen=True)])
def test_batch_norm_that_does_not_learn_uses_running_statistics_and_leaves_them(how):
    x, (scale, shift, mean) = normal(5, 6, 3, 4), normal(3, 2, 3, seed=1)
    own = [scale, shift, mean, normal(2, 3, seed=2).abs() + 0.1]
    s, b, m, v = (t.clone().view(1, 6, 1, 1) for t in own)
    ours = BatchNorm(eps=0.01).forward(x, iter(own), how)
    torch.testing.assert_close(ours, (x - m) / (v + 0.01).sqrt() * s + b)
    for before, after in zip((s, b, m, v), own, strict=True):
        assert before.flatten().equal(after.flatten())


def test_batch_norm_that_learns_takes_each_networks_own_batch_and_moves_its_statistics():
    x, (scale, shift, mean) = normal(5, 6, 3, 4), normal(3, 2, 3, seed=1)
    variance = normal(2, 3, seed=2).abs() + 0.1
    own = [scale, shift, mean.clone(), variance.clone()]
    layer, how = BatchNorm(momentum=0.3, eps=0.01), Pass(2, keys=iter(()))
    ours = layer.forward(x, iter(own), how)
    for k in range(2):
        one = apart(x, 2)[k].transpose(0, 1).flatten(1)  # channels, and all numbers of each
        m, v = one.mean(1), one.var(1, unbiased=False)
        expected = ((one.T - m) / (v + 0.01).sqrt() * scale[k] + shift[k]).T
        torch.testing.assert_close(apart(ours, 2)[k].transpose(0, 1).flatten(1), expected)
        torch.testing.assert_close(own[2][k], 0.7 * mean[k] + 0.3 * m)
        torch.testing.assert_close(own[3][k], 0.7 * variance[k] + 0.3 * one.var(1))


def test_average_and_flatten_make_features_of_images():
    x = normal(4, 2 * 3, 5, 2)
    average, flat = (layer.forward(x, iter(()), Pass(2)) for layer in (Average(), Flatten()))
    assert (tuple(average.shape), tuple(flat.shape)) == ((2, 4, 3), (2, 4, 30))
    for k in range(2):
        for image in range(4):
            own = x[image, 3 * k : 3 * k + 3]
            torch.testing.assert_close(average[k, image], torch.stack([c.mean() for c in own]))
            places = [own[c, i, j] for i in range(5) for j in range(2) for c in range(3)]
            assert flat[k, image].tolist() == places
    assert (Average().out((3, 5, 2)), Flatten().out((3, 5, 2))) == ((3,), (30,))


def test_a_residual_adds_its_rows_and_gives_each_layer_its_own():
    """Weights and keys go to the branch first."""
    x, weights = (
        normal(4, 2 * 3, 6, 6),
        [normal(2, 5, 3, 3, 3), normal(2, 5), normal(2, 5, 3, 1, 1)],
    )
    drop, conv = Dropout(0.5), Conv(5, kernel=3, stride=2, padding=1)
    projection = Conv(5, kernel=1, stride=2, bias=False)
    layer = Residual((conv, drop), (drop, projection, drop))
    assert layer.draws == 3
    assert layer.out((3, 6, 6)) == (5, 3, 3)
    assert [p.shape for p in layer.parameters((3, 6, 6))] == [tuple(w.shape[1:]) for w in weights]
    drawn = [keys(2 * i, 2 * i + 1) for i in range(3)]
    ours = layer.forward(x, iter(weights), Pass(2, keys=iter(drawn)))

    def dropped(images, own):
        return drop.forward(images, iter(()), Pass(2, keys=iter([own])))

    one = dropped(grouped(x, *weights[:2], 2, 1), drawn[0])
    other = dropped(grouped(dropped(x, drawn[1]), weights[2], None, 2, 0), drawn[2])
    torch.testing.assert_close(ours, one + other)
    alone_ = Residual((ReLU(),)).forward(x, iter(()), Pass(2))
    torch.testing.assert_close(alone_, x + x.relu())


def test_a_residual_whose_rows_do_not_add_up_is_refused():
    with pytest.raises(ValueError, match=r"leaves \(8, 2, 2\) and its shortcut \(3, 4, 4\)"):
        Residual((Conv(8, kernel=3, stride=2, padding=1),)).out((3, 4, 4))


def pytorchs(layer, x):
    if isinstance(layer, Conv):
        weight = torch.ones(layer.channels, x.shape[1], layer.kernel, layer.kernel)
        return F.conv2d(x, weight, None, layer.stride, layer.padding)
    return F.max_pool2d(x, layer.size, layer.stride, ceil_mode=layer.ceil)


def test_convolutions_and_pools_leave_as_much_as_pytorchs():
    """Less than one where PyTorch refuses."""
    every = [Conv(2, k, stride, pad) for k in range(1, 5) for stride in (1, 2, 3) for pad in (0, 1)]
    for size in range(1, 5):
        for stride in (None, *range(1, size + 3)):
            every += [MaxPool(size, stride), MaxPool(size, stride, ceil=True)]
    for layer in every:
        for height, width in [(n, n * 5 % 13) for n in range(1, 13)]:
            ours = layer.out((1, height, width))
            try:
                theirs = pytorchs(layer, torch.ones(1, 1, height, width))
            except RuntimeError:
                assert min(ours) < 1, (layer, height, width)
            else:
                assert ours == tuple(theirs.shape[1:]), (layer, height, width)


@pytest.mark.parametrize("ceil", [False, True])
def test_a_pool_takes_the_largest_of_each_square(ceil):
    layer, x = MaxPool(3, stride=2, ceil=ceil), normal(2, 4, 8, 7)
    _, high, wide = layer.out((2, 8, 7))
    assert (high, wide) == ((4, 3) if ceil else (3, 3))
    ours = layer.forward(x, iter(()), Pass(2))
    for i in range(high):
        for j in range(wide):
            square = x[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            assert ours[:, :, i, j].equal(square.amax((2, 3)))


def rows():
    """Rows of layers over images, at random."""
    few = st.integers(1, 3)
    size = few.flatmap(lambda n: st.tuples(st.just(n), st.none() | st.integers(1, n + 2)))
    block = st.tuples(few, few).map(
        lambda n: Residual((Conv(n[0], 3, n[1], 1),), (Conv(n[0], 1, n[1]), ReLU()))
    )
    one = st.one_of(
        st.builds(Conv, few, st.integers(1, 4), few, st.integers(0, 2), st.booleans()),
        st.builds(lambda n, ceil: MaxPool(*n, ceil), size, st.booleans()),
        st.sampled_from([ReLU(), BatchNorm(), Dropout(0.5), Residual((BatchNorm(),))]),
        block,
    )
    return st.lists(one, max_size=5)


@settings(deadline=None, max_examples=100)
@given(rows(), st.sampled_from([Average(), Flatten()]), st.integers(3, 12), st.integers(3, 12))
def test_a_nets_shapes_are_those_that_come_out(row, last, height, width):
    try:
        net = Net(Form(height, width, 2, 3), (*row, last, Linear(3)), head=len(row) + 1)
    except ValueError:
        assume(False)
    weights = net.initial(rngs(0, 1))
    x = torch.rand(4, 2 * 2, height, width)
    how = Pass(2, keys=iter(keys(*range(2 * net.draws)).view(-1, 2)))
    for layer, own, shape in zip(net.layers, weights, net.shapes[1:], strict=True):
        x = layer.forward(x, iter(own), how)
        assert apart(x, 2).shape == (2, 4, *shape), layer


# Fills, convolutions, nets.

SHAPE = (40, 30, 5, 3)  # fan in 450, fan out 600


@pytest.mark.parametrize(
    ("fill", "law"),
    [
        (xavier, stats.uniform(-((3 / 450) ** 0.5), 2 * (3 / 450) ** 0.5)),
        (kaiming, stats.norm(0, (2 / 450) ** 0.5)),
        (kaiming_out, stats.norm(0, (2 / 600) ** 0.5)),
    ],
)
def test_a_fill_draws_from_its_law(fill, law):
    drawn = fill(np.random.default_rng(0), SHAPE)
    assert (drawn.shape, drawn.dtype) == (SHAPE, np.float32)
    assert stats.kstest(drawn.ravel(), law.cdf).pvalue > 0.01
    assert drawn.var() == pytest.approx(law.var(), rel=0.03)
    low, high = law.support()
    assert low <= drawn.min() < drawn.max() <= high


@pytest.mark.parametrize(("fill", "value"), [(zeros, 0), (ones, 1)])
def test_zeros_and_ones_draw_nothing(fill, value):
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    filled = fill(rng, SHAPE)
    assert rng.bit_generator.state == before
    assert (filled.shape, filled.dtype) == (SHAPE, np.float32)
    assert (filled == value).all()


@pytest.mark.parametrize("name", ["grouped", "planes", "im2col"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (5, 1, 0), (2, 3, 2)],
)
def test_a_convolution_of_a_pack_is_pytorchs_of_each_network(
    name, k, biased, kernel, stride, padding
):
    x, weight = normal(2, 4 * k, 8, 7), normal(k, 5, 4, kernel, kernel, seed=1)
    x = x.contiguous(memory_format=torch.channels_last)
    learned = [x, weight, normal(k, 5, seed=2)][: 2 + biased]
    for tensor in learned:
        tensor.requires_grad_()
    ours = CONVOLUTIONS[name](*learned, *[None] * (not biased), stride, padding)
    each = [
        F.conv2d(own, weight[i], learned[2][i] if biased else None, stride, padding)
        for i, own in enumerate(x.chunk(k, 1))
    ]
    theirs = torch.cat(each, 1)
    close(ours, theirs, 1e-13)
    slope = normal(*theirs.shape, seed=3)
    gradients = [torch.autograd.grad(y, learned, slope) for y in (ours, theirs)]
    for one, other in zip(*gradients, strict=True):
        close(one, other, 1e-13)


DROPS = Residual((Dropout(0.5),))


def test_only_what_draws_below_the_head_keeps_features_from_standing_still():
    still = {name: NETS[name](PAPER[name]).still for name in NETS}
    assert still == {"lenet5": True, "allcnn": False, "resnet10": True}
    form = Form(4, 4, 1, 3)
    assert not Net(form, (DROPS, Flatten(), Linear(3)), head=2).still
    assert Net(form, (DROPS, Flatten(), Linear(3)), head=0).still
    assert Net(form, (DROPS, Flatten(), Linear(3)), head=0).draws == 1


@pytest.mark.parametrize(
    ("row", "head", "words"),
    [
        ((Flatten(), Linear(9)), 1, r"leaves \(9,\), not a number a class"),
        ((Conv(4, kernel=3), MaxPool(5), Flatten(), Linear(10)), 3, "nothing is left of 6 x 6"),
        ((Conv(4, kernel=7), Flatten(), Linear(10)), 2, "nothing is left of 6 x 6"),
        ((Flatten(), Linear(10), ReLU()), 2, "no layer that learns from head 2 on"),
        ((Flatten(), Linear(10)), 2, "no layer that learns from head 2 on"),
        ((Linear(10),), 0, r"Linear.* takes features, and images \(1, 6, 6\) enter it"),
        ((Flatten(), Conv(3, kernel=1)), 0, r"Conv.* takes images, and features \(36,\) enter it"),
        ((Average(), MaxPool(1), Linear(10)), 0, r"MaxPool.* takes images"),
        ((Average(), BatchNorm(), Linear(10)), 0, r"BatchNorm.* takes images"),
        ((Flatten(), Flatten(), Linear(10)), 1, r"Flatten.* takes images"),
        (
            (Residual((Conv(4, kernel=7), Conv(4, kernel=1, padding=3))), Flatten(), Linear(10)),
            1,
            "nothing is left of 6 x 6",
        ),
    ],
)
def test_a_net_that_does_not_fit_is_refused_in_words(row, head, words):
    with pytest.raises(ValueError, match=words):
        Net(Form(6, 6, 1, 10), row, head)


@pytest.mark.parametrize(("name", "least"), [("lenet5", 16), ("allcnn", 9), ("resnet10", 3)])
def test_images_too_small_for_a_net_are_refused(name, least):
    NETS[name](Form(least, least, 1, 2))
    with pytest.raises(ValueError, match="nothing is left"):
        NETS[name](Form(least - 1, least, 1, 2))
