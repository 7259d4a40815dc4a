"""The training loop: update rules, rates, losses, precision, index streams, second phases."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from study.data import Split
from study.engine import machine
from study.engine.formulations import FORMULATIONS, PLAIN
from study.engine.forward import outputs
from study.engine.inputs import Features, Images, IndexStream
from study.engine.losses import LOSSES, objective
from study.engine.recipe import Recipe
from study.engine.train import Course, Lockstep, finite, fit
from study.form import Form
from study.nets import NETS, Net
from study.nets.convolve import grouped
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


def start(*seeds, dtype=torch.float64):
    """LeNet-5 and fresh weights, a network a seed."""
    net = NETS["lenet5"](MNIST)
    weights = net.initial([np.random.default_rng(seed) for seed in seeds])
    return net, [tuple(w.to(dtype) for w in layer) for layer in weights]


def course(places, batch, seed, base, class_weights=None):
    order = IndexStream(places, batch, np.random.default_rng(seed))
    noise, crops = np.random.default_rng(seed), np.random.default_rng(seed)
    return Course(order, base, class_weights, noise, crops)


def train(net, weights, images, courses, chosen, **layers):
    fit(net, weights, images, courses, chosen, FORMULATIONS[PLAIN], **layers)


def logits(net, weights, images, number):
    """(K, number, classes) for the first images."""
    k = len(weights[0][0])
    return outputs(net, weights, images, torch.arange(number).expand(k, -1), 16, grouped)[0]


def test_forward_agrees_with_pytorchs_modules():
    net, weights = start(1)
    data = split(30)
    pixels = torch.from_numpy(data.images).permute(0, 3, 1, 2).double() / 256
    ours = logits(net, weights, Images(data, 1 / 256, "cpu", torch.float64), 30)[0]
    torch.testing.assert_close(ours, module_lenet(weights)(pixels), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", ["caffe", "torch"])
def test_twenty_iterations_agree_with_the_rule_written_by_hand(rule):
    """Oracle: PyTorch's modules for the gradients, NumPy for the rule, float64 throughout."""
    settings_ = recipe(iterations=20, update=rule, weight_decay=0.01, batch=8)
    net, weights = start(2)
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
    train(net, weights, images, [course(np.arange(40), 8, 3, 0.01)], settings_)
    reached = module_lenet(weights)
    for ours, theirs in zip(reached.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_the_two_rules_part_when_the_rate_moves():
    ends = []
    for rule in ("caffe", "torch"):
        net, weights = start(2)
        rate = {"policy": "inv", "base": 0.01, "gamma": 0.5, "power": 1.0}
        moving = recipe(update=rule, rate=rate)
        images = Images(split(40), 1 / 256, "cpu", torch.float64)
        train(net, weights, images, [course(np.arange(40), 8, 3, 0.01)], moving)
        ends.append(weights[-1][0])
    assert (ends[0] - ends[1]).abs().max() > 1e-5


@pytest.mark.parametrize("cached", [True, False])
def test_a_second_phase_is_the_net_trained_with_the_body_held_still(cached):
    net, weights = start(4)
    data = split(40)
    images = Images(data, 1 / 256, "cpu", torch.float64)
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
    before = [w.clone() for layer in weights[: net.head] for w in layer]
    fixed = recipe(iterations=25, batch=8, rate={"policy": "fixed", "base": 1.0})
    own = [course(np.arange(40), 8, 5, 0.1)]
    if cached:
        everything = torch.arange(40).expand(1, -1)
        _, rows = outputs(net, weights, images, everything, 16, grouped, keep=[0])
        features = Features(rows[0], torch.from_numpy(data.labels))
        head = weights[net.head :]
        train(net, head, features, own, fixed, enter=net.head, start=net.head)
    else:
        train(net, weights, images, own, fixed, start=net.head)
    weight, bias = weights[-1]
    torch.testing.assert_close(weight[0], module[-1].weight.data, rtol=0, atol=1e-12)
    torch.testing.assert_close(bias[0], module[-1].bias.data, rtol=0, atol=1e-12)
    after = [w for layer in weights[: net.head] for w in layer]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_the_loss_of_a_pack_is_the_sum_of_each_networks_mean():
    logits, labels = torch.randn(3, 5, 4), torch.randint(0, 4, (3, 5))
    each = [nn.functional.cross_entropy(logits[k], labels[k]) for k in range(3)]
    torch.testing.assert_close(objective(logits, labels, None), sum(each))


def test_a_class_weight_multiplies_the_losses_of_its_images():
    logits, labels = torch.randn(2, 6, 3), torch.randint(0, 3, (2, 6))
    weights = torch.tensor([[1.0, 1.0, 1.0], [0.5, 2.0, 0.0]])
    expected = nn.functional.cross_entropy(logits[0], labels[0])
    for image, label in zip(logits[1], labels[1], strict=True):
        expected = expected - weights[1, label] * image.log_softmax(0)[label] / 6
    torch.testing.assert_close(objective(logits, labels, weights), expected)


def test_balanced_class_weights_are_scikit_learns():
    labels = np.repeat([0, 1, 3], [7, 2, 11])
    ours = LOSSES["balanced_cross_entropy"](np.bincount(labels))
    theirs = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose(ours[[0, 1, 3]], theirs)
    assert ours[labels].mean() == pytest.approx(1)
    assert LOSSES["cross_entropy"](np.bincount(labels)) is None


def rate(policy, **how):
    return recipe(rate={"policy": policy, "base": 1.0, **how}).rate


def test_the_rate_follows_the_papers_formula():
    paper = rate("inv", gamma=0.0001, power=0.75)
    expected = [0.01, 0.01 * 2**-0.75]
    assert paper.at(0.01, np.array([0, 10_000]), 10_000) == pytest.approx(expected, rel=1e-15)


@settings(max_examples=50)
@given(
    st.sampled_from([0.1, 0.5, 3.0]),
    st.sets(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 40),
)
def test_a_stepped_rate_is_caffes_multistep(factor, after, iterations):
    """Caffe moves on one step when as many iterations are done as the next of its list says."""
    expected, current = [], 0
    for iteration in range(iterations):
        while current < len(after) and iteration >= sorted(after)[current]:
            current += 1
        expected.append(0.05 * factor**current)
    stepped = rate("step", factor=factor, after=sorted(after))
    ours = stepped.at(0.05, np.arange(iterations), iterations)
    np.testing.assert_allclose(ours, expected, rtol=1e-15)


def test_the_rate_of_cifars_grids_falls_after_forty_thousand_iterations_and_not_before():
    cifar = rate("step", factor=0.1, after=[40_000, 50_000, 60_000])
    ours = cifar.at(0.05, np.array([0, 39_999, 40_000, 49_999, 50_000, 60_000]), 70_000)
    assert ours == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005, 0.00005])


@pytest.mark.parametrize("iterations", [1, 7, 320])
def test_a_linear_rate_falls_by_as_much_each_time_and_would_be_0_after_the_last(iterations):
    ours = rate("linear").at(0.1, np.arange(iterations), iterations)
    expected = [0.1 * (1 - t / iterations) for t in range(iterations)]
    np.testing.assert_allclose(ours, expected, rtol=1e-15)
    assert ours[0] == 0.1
    assert ours[-1] == pytest.approx(0.1 / iterations)


@pytest.mark.parametrize(
    ("policy", "how"),
    [
        ("inv", {"gamma": 0.1, "power": 0.75}),
        ("fixed", {}),
        ("step", {"factor": 0.5, "after": [3, 7]}),
        ("linear", {}),
    ],
)
def test_a_rate_is_the_same_however_the_iterations_are_cut(policy, how):
    one = rate(policy, **how)
    whole = one.at(0.3, np.arange(10), 10)
    parts = [one.at(0.3, np.arange(i, i + 2), 10) for i in range(0, 10, 2)]
    assert (whole == np.concatenate(parts)).all()


def test_each_network_of_a_pack_begins_from_its_own_base():
    """Oracle: alone, in float64."""
    falling = recipe(iterations=12, rate={"policy": "step", "base": [0.01, 0.001], "factor": 0.1,
                                          "after": [4, 9]})  # fmt: skip
    images, ends = Images(split(40), 1 / 256, "cpu", torch.float64), {}
    for bases in ([0.01, 0.001], [0.01], [0.001]):
        net, weights = start(*[0] * len(bases))
        train(net, weights, images, [course(np.arange(40), 8, 1, b) for b in bases], falling)
        ends[tuple(bases)] = weights[-1][0]
    for place, base in enumerate((0.01, 0.001)):
        both, alone = ends[0.01, 0.001][place], ends[base,][0]
        torch.testing.assert_close(both, alone, rtol=0, atol=1e-10)
    assert (ends[0.01,] - ends[0.001,]).abs().max() > 1e-4


def test_a_network_that_diverges_ends_not_finite_and_leaves_its_pack_mate_alone():
    wild = recipe(iterations=110, rate={"policy": "fixed", "base": 1e-3})
    images = Images(split(40), 1 / 256, "cpu", torch.float64)
    ends = {}
    for rates in ([1e3, 1e-3], [1e-3]):
        net, weights = start(*range(2 - len(rates), 2))
        courses = [course(np.arange(40), 8, 1, rate) for rate in rates]
        train(net, weights, images, courses, wild)
        ends[len(rates)] = weights
    assert finite(ends[2]).tolist() == [False, True]
    for pair, alone in zip(ends[2][-1], ends[1][-1], strict=True):
        torch.testing.assert_close(pair[1], alone[0], rtol=0, atol=1e-8)


def test_the_loop_ends_when_every_network_has_diverged(monkeypatch):
    steps = []
    real = Lockstep.step
    monkeypatch.setattr(Lockstep, "step", lambda self: steps.append(1) or real(self))
    net, weights = start(0, dtype=torch.float32)
    wild = recipe(iterations=1000, rate={"policy": "fixed", "base": 1e6})
    train(
        net,
        weights,
        Images(split(40), 1 / 256, "cpu"),
        [course(np.arange(40), 4, 0, 1e6)],
        wild,
    )
    assert len(steps) == 100
    assert not finite(weights).any()


def test_bf16_rounds_what_is_learned_and_leaves_float32_weights():
    """Nearer to the strict weights than to where both began, but not the same."""
    images, ends = Images(split(40), 1 / 256, "cpu"), {}
    for precision in ("strict", "bf16"):
        chosen = recipe(iterations=3, precision=precision)
        net, weights = start(0, dtype=torch.float32)
        train(net, weights, images, [course(np.arange(40), 8, 3, 0.01)], chosen)
        ends[precision] = weights[-1][0]
        assert ends[precision].dtype == torch.float32
    moved = (ends["strict"] - start(0, dtype=torch.float32)[1][-1][0]).norm()
    assert 1e-4 < (ends["strict"] - ends["bf16"]).norm() / moved < 0.1


def test_a_precision_holds_inside_and_no_longer():
    for name, allowed in (("strict", False), ("tf32", True), ("bf16", False)):
        with machine.precision(name, "cpu"):
            assert torch.backends.cudnn.allow_tf32 is allowed
            assert torch.backends.cuda.matmul.allow_tf32 is allowed
            assert torch.is_autocast_enabled("cpu") is (name == "bf16")
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.is_autocast_enabled("cpu")


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
    assert recipe().rate.base == (TINY["recipe"]["rate"]["base"],)


@pytest.mark.parametrize(
    ("layers", "head", "words"),
    [
        ((Flatten(), Linear(9)), 1, "leaves \\(9,\\), not a number a class"),
        ((Conv(4, kernel=29), Flatten(), Linear(10)), 2, "nothing is left of 28 x 28 images"),
        ((Flatten(), Linear(10), ReLU()), 2, "no layer that learns from head 2 on"),
    ],
)
def test_a_net_that_does_not_fit_is_refused_in_words(layers, head, words):
    with pytest.raises(ValueError, match=words):
        Net(MNIST, layers, head)
