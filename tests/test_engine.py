"""LeNet-5, the update rule, the rate, the index streams, and packs of networks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from study.data import Split
from study.engine import machine
from study.engine.forward import outputs
from study.engine.inputs import Features, Images, IndexStream
from study.engine.losses import cross_entropy
from study.engine.rates import Inverse
from study.engine.recipe import Recipe
from study.engine.train import fit
from study.form import Form
from study.nets import NETS, Net
from study.nets.layers import Conv, Flatten, Linear, ReLU
from tests.conftest import TINY, tiny_grid

MNIST = Form(28, 28, 1, 10)


def recipe(**changes):
    return tiny_grid(recipe=changes).recipe


def split(number, form=MNIST, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (number, *form.image), dtype=np.uint8)
    return Split(images, rng.integers(0, form.classes, number))


def module_lenet(weights):
    """LeNet-5 from PyTorch's own modules, with the first network of `weights`."""
    module = nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    ).double()
    flat = [w[0].double() for layer in weights for w in layer]
    # ours flattens row, column, channel; PyTorch's flattens channel, row, column
    flat[4] = flat[4].view(500, 4, 4, 50).permute(0, 3, 1, 2).reshape(500, 800)
    with torch.no_grad():
        for ours, theirs in zip(flat, module.parameters(), strict=True):
            theirs.copy_(ours)
    return module


def test_lenet_has_the_shapes_and_the_parameters_of_table_2():
    net = NETS["lenet5"](MNIST)
    assert net.shapes == [
        (1, 28, 28),
        (20, 24, 24),
        (20, 12, 12),
        (50, 8, 8),
        (50, 4, 4),
        (800,),
        (500,),
        (500,),
        (10,),
    ]
    learned = [p for layer in net.parameters for p in layer]
    assert sum(int(np.prod(p.shape)) for p in learned) == 431_080
    head = [p.shape for layer in net.parameters[net.head :] for p in layer]
    assert head == [(10, 500), (10,)]


def test_weights_start_as_caffes_xavier_and_biases_at_zero():
    net = NETS["lenet5"](MNIST)
    for layer in net.initial([np.random.default_rng(0)]):
        if layer:
            weight, bias = layer
            bound = np.sqrt(3 / weight[0, 0].numel())
            assert weight.abs().max() <= bound
            assert weight.abs().max() > 0.95 * bound
            assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
            assert not bias.any()


def test_forward_agrees_with_pytorchs_modules():
    net = NETS["lenet5"](MNIST)
    weights = net.initial([np.random.default_rng(1)])
    data = split(30)
    module = module_lenet(weights)
    pixels = torch.from_numpy(data.images).permute(0, 3, 1, 2).double() / 256
    wide = [tuple(w.double() for w in layer) for layer in weights]
    ours = outputs(net, wide, Images(data, 1 / 256, "cpu", torch.float64), np.arange(30))[0]
    torch.testing.assert_close(ours, module(pixels), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", ["caffe", "torch"])
def test_twenty_iterations_agree_with_the_rule_written_by_hand(rule):
    """Oracle: PyTorch's modules for the gradients, NumPy for the rule, float64 throughout."""
    settings_ = recipe(iterations=20, update=rule, weight_decay=0.01, batch=8)
    net = NETS["lenet5"](MNIST)
    weights = [tuple(w.double() for w in x) for x in net.initial([np.random.default_rng(2)])]
    data = split(40)
    module = module_lenet(weights)
    velocity = [np.zeros(tuple(p.shape)) for p in module.parameters()]
    order = IndexStream(np.arange(40), 8, np.random.default_rng(3)).take(20)
    for t, chosen in enumerate(order):
        x = torch.from_numpy(data.images[chosen]).permute(0, 3, 1, 2).double() / 256
        loss = nn.functional.cross_entropy(module(x), torch.from_numpy(data.labels[chosen]))
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        rate = 0.01 * (1 + 0.0001 * t) ** -0.75
        for i, (p, g) in enumerate(zip(module.parameters(), gradients, strict=True)):
            own = rate * (2 if p.dim() == 1 else 1)
            w = p.detach().numpy()
            if rule == "caffe":
                velocity[i] = 0.9 * velocity[i] + own * (g.numpy() + 0.01 * w)
                w -= velocity[i]
            else:
                velocity[i] = 0.9 * velocity[i] + g.numpy() + 0.01 * w
                w -= own * velocity[i]
    images = Images(data, 1 / 256, "cpu", torch.float64)
    stream = IndexStream(np.arange(40), 8, np.random.default_rng(3))
    fit(net, weights, images, [stream], settings_, "cross_entropy")
    reached = module_lenet(weights)
    for ours, theirs in zip(reached.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_the_two_rules_part_when_the_rate_moves():
    ends = []
    for rule in ("caffe", "torch"):
        net = NETS["lenet5"](MNIST)
        weights = net.initial([np.random.default_rng(2)])
        rate = {"policy": "inv", "base": 0.01, "gamma": 0.5, "power": 1.0}
        stream = IndexStream(np.arange(40), 8, np.random.default_rng(3))
        images = Images(split(40), 1 / 256, "cpu")
        fit(net, weights, images, [stream], recipe(update=rule, rate=rate), "cross_entropy")
        ends.append(weights[-1][0])
    assert (ends[0] - ends[1]).abs().max() > 1e-5


def test_networks_in_lockstep_do_not_feel_one_another():
    net = NETS["lenet5"](MNIST)
    images = Images(split(40), 1 / 256, "cpu", torch.float64)

    def run(seeds):
        weights = net.initial([np.random.default_rng(seed) for seed in seeds])
        weights = [tuple(w.double() for w in layer) for layer in weights]
        orders = [IndexStream(np.arange(10 + s), 4, np.random.default_rng(s)) for s in seeds]
        fit(net, weights, images, orders, recipe(iterations=20), "cross_entropy")
        return outputs(net, weights, images, np.arange(40))

    together = run([5, 6, 7])
    for place, seed in enumerate([5, 6, 7]):
        torch.testing.assert_close(together[place], run([seed])[0], rtol=0, atol=1e-8)


def test_a_head_trained_on_features_is_the_net_trained_with_the_body_held_still():
    net = NETS["lenet5"](MNIST)
    data = split(40)
    images = Images(data, 1 / 256, "cpu", torch.float64)
    weights = [tuple(w.double() for w in x) for x in net.initial([np.random.default_rng(4)])]
    module = module_lenet(weights)
    for p in module[:-1].parameters():
        p.requires_grad_(False)
    optimizer = torch.optim.SGD(
        [{"params": [module[-1].weight], "lr": 0.1}, {"params": [module[-1].bias], "lr": 0.2}],
        momentum=0.9,
        weight_decay=5e-4,
    )
    for chosen in IndexStream(np.arange(40), 8, np.random.default_rng(5)).take(25):
        x = torch.from_numpy(data.images[chosen]).permute(0, 3, 1, 2).double() / 256
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), torch.from_numpy(data.labels[chosen])).backward()
        optimizer.step()
    body, head = weights[: net.head], weights[net.head :]
    features = Features(
        outputs(net, body, images, np.arange(40), stop=net.head), torch.from_numpy(data.labels)
    )
    fixed = recipe(iterations=25, batch=8, rate={"policy": "fixed", "base": 1.0})
    stream = IndexStream(np.arange(40), 8, np.random.default_rng(5))
    fit(net, head, features, [stream], fixed, "cross_entropy", net.head, rate_factor=0.1)
    torch.testing.assert_close(head[0][0][0], module[-1].weight.data, rtol=0, atol=1e-12)
    torch.testing.assert_close(head[0][1][0], module[-1].bias.data, rtol=0, atol=1e-12)


def test_the_loss_of_a_pack_is_the_sum_of_each_networks_mean():
    logits, labels = torch.randn(3, 5, 4), torch.randint(0, 4, (3, 5))
    expected = sum(nn.functional.cross_entropy(logits[k], labels[k]) for k in range(3))
    torch.testing.assert_close(cross_entropy(logits, labels), expected)


def test_the_rate_follows_the_papers_formula():
    rate = Inverse(policy="inv", base=0.01, gamma=0.0001, power=0.75)
    assert rate.at(0) == 0.01
    assert rate.at(10_000) == pytest.approx(0.01 * 2**-0.75, rel=1e-15)


def test_a_network_that_diverges_ends_not_finite_and_raises_nothing():
    net = NETS["lenet5"](MNIST)
    weights = net.initial([np.random.default_rng(0)])
    wild = recipe(iterations=300, rate={"policy": "fixed", "base": 1e6})
    stream = IndexStream(np.arange(40), 8, np.random.default_rng(0))
    fit(net, weights, Images(split(40), 1 / 256, "cpu"), [stream], wild, "cross_entropy")
    assert not all(w.isfinite().all() for layer in weights for w in layer)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 17), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_every_epoch_is_a_permutation_and_no_batch_is_short(size, batch, takes):
    places = np.arange(size) * 3
    stream = IndexStream(places, batch, np.random.default_rng(0))
    taken = [stream.take(steps) for steps in takes]
    assert [t.shape for t in taken] == [(steps, batch) for steps in takes]
    row = np.concatenate(taken).ravel()
    for begin in range(0, len(row) - size + 1, size):
        assert sorted(row[begin : begin + size]) == list(places)
    whole = IndexStream(places, batch, np.random.default_rng(0)).take(sum(takes)).ravel()
    assert (row == whole).all(), "how the stream is cut must not change it"


def test_images_shared_read_only_are_used_without_a_copy_or_a_warning():
    data = split(10)
    data.images.flags.writeable = False
    x, labels = Images(data, 1 / 256, "cpu").batch(torch.tensor([[3, 1]]))
    expected = data.images[[3, 1]].transpose(0, 3, 1, 2) / 256
    np.testing.assert_allclose(x.numpy(), expected)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == [data.labels[[3, 1]].tolist()]


def test_a_process_is_set_for_training():
    machine.settle()
    assert torch.get_num_threads() == 1
    assert torch.tensor([1e-310], dtype=torch.float64).add(0).item() == 0.0, "denormals are flushed"


def test_the_recipe_of_the_tests_is_read_as_written():
    assert isinstance(recipe(), Recipe)
    assert recipe().rate.at(0) == TINY["recipe"]["rate"]["base"]


@pytest.mark.parametrize(
    ("layers", "head", "words"),
    [
        ((Flatten(), Linear(9)), 1, "leaves \\(9,\\), not a number a class"),
        ((Conv(4, kernel=29), Flatten(), Linear(10)), 2, "nothing is left of 28 x 28 images"),
        ((Flatten(), Linear(10), ReLU()), 2, "head 2 is no layer that learns"),
        ((Conv(4, kernel=5), Flatten(), Linear(10)), 0, "head 0 is no layer that learns"),
    ],
)
def test_a_net_that_does_not_fit_is_refused_in_words(layers, head, words):
    with pytest.raises(ValueError, match=words):
        Net(MNIST, layers, head)
