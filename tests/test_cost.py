"""The arithmetic of cost: against PyTorch's own counts, against jobs, and docs/cost.md."""

import json
from io import StringIO

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from bench import netcost
from bench.card import PEAKS, Card
from bench.cost import GRIDS, main
from bench.gridcost import GridCost, total
from bench.race import ROOT
from study.engine.losses import objective
from study.form import Form
from study.gridfile import read_grid
from study.nets import NETS, Net
from study.nets.layers import Flatten, Linear, Pass, ReLU, Residual
from study.plan import count

PAPER = {
    "lenet5": Form(28, 28, 1, 10),
    "allcnn": Form(32, 32, 3, 10),
    "resnet10": Form(224, 224, 3, 1000),
}
SMALL = {
    "lenet5": Form(20, 20, 1, 4),
    "allcnn": Form(16, 16, 3, 4),
    "resnet10": Form(40, 40, 3, 4),
}
BATCH = 2


def learned_weights(net, start=0):
    """Fresh weights; those from layer `start` on are learned."""
    weights = net.initial([np.random.default_rng(0)])
    for layer, parameters in list(zip(weights, net.parameters, strict=True))[start:]:
        for weight, parameter in zip(layer, parameters, strict=True):
            weight.requires_grad_(parameter.learned)
    return weights


def loss_of(net, weights, start=0, batch=BATCH):
    """As a step computes it: what lies below `start` is frozen."""
    height, width, channels, classes = net.form
    x = torch.rand(batch, channels, height, width).to(memory_format=torch.channels_last)
    keys = iter(torch.zeros(net.draws, 1, dtype=torch.int32))
    with torch.no_grad():
        x = net.forward(x, weights[:start], Pass(1, keys=keys, frozen=True), 0, start)
    logits = net.forward(x, weights[start:], Pass(1, keys=keys), start)
    return objective(logits, torch.arange(batch)[None] % classes, None)


def counted(net, start=0):
    """Operations of a step, as PyTorch counts them while it takes one."""
    weights = learned_weights(net, start)
    learned = [w for layer in weights for w in layer if w.requires_grad]
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(loss_of(net, weights, start), learned)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", PAPER)
def test_operations_are_those_that_pytorch_counts(name):
    net = NETS[name](PAPER[name])
    assert counted(net) == BATCH * netcost.learned_flop(net)
    assert netcost.learned_flop(net) == pytest.approx(6 * net.products, rel=0.1)
    with torch.no_grad(), FlopCounterMode(display=False) as shown:
        loss_of(net, learned_weights(net))
    assert shown.get_total_flops() == BATCH * netcost.shown_flop(net)


@pytest.mark.parametrize("name", PAPER)
def test_a_second_phase_learns_above_the_head_and_shows_below(name):
    net = NETS[name](SMALL[name])
    below, above = netcost.shown_flop(net, 0, net.head), netcost.learned_flop(net, net.head)
    assert counted(net, net.head) == BATCH * (below + above)


def saved(net, batch):
    """Bytes that PyTorch saves for a backward pass, each storage once, those of weights apart."""
    weights, seen = learned_weights(net), {}
    own = {w.untyped_storage().data_ptr() for layer in weights for w in layer}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage  # held, so that no other takes its place
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = loss_of(net, weights, batch=batch)
    del loss
    return sum(storage.nbytes() for storage in seen.values())


@pytest.mark.parametrize("name", SMALL)
def test_what_is_kept_is_what_pytorch_saves(name):
    """By image; what is saved whatever the batch, such as a mean, is no part of it."""
    net = NETS[name](SMALL[name])
    each = (saved(net, 12) - saved(net, 4)) / 8
    assert netcost.kept_bytes(net) == pytest.approx(each, rel=1e-3)


def test_state_is_the_papers_weights_three_times():
    lenet5, allcnn, resnet10 = (NETS[name](PAPER[name]) for name in PAPER)
    assert netcost.state_bytes(lenet5) == 3 * 4 * 431_080
    assert netcost.state_bytes(allcnn) == 3 * 4 * 1_369_738
    normalised = 3 + 64 + 64 + 64 + 128 + 128 + 256 + 256 + 512 + 512  # channels, each running
    assert netcost.state_bytes(resnet10) == 3 * 4 * 5_417_070 + 2 * 4 * normalised


@pytest.mark.parametrize("name", SMALL)
def test_numbers_moved_are_those_that_layers_see(name, monkeypatch):
    """Every layer's forward pass watched: what enters, what leaves, unless it is a view."""
    net, moved = NETS[name](SMALL[name]), []

    def watched(forward):
        def spy(layer, x, weights, how):
            y = forward(layer, x, weights, how)
            view = y.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
            if isinstance(layer, Residual):
                moved.append(2 * y.numel())  # the sum; its rows are seen by themselves
            elif not view:
                moved.append(x.numel() + y.numel())
            return y

        return spy

    for kind in (*netcost.KEEPS, Residual):
        if "forward" in vars(kind):
            monkeypatch.setattr(kind, "forward", watched(kind.forward))
    with torch.no_grad():
        loss_of(net, learned_weights(net))
    assert sum(moved) == BATCH * netcost.shown_numbers(net)
    assert netcost.learned_numbers(net) == 3 * netcost.shown_numbers(net)


def test_a_step_of_lenet_moves_43_megabytes():
    """As it was once added up by hand, with separate operations."""
    net = NETS["lenet5"](PAPER["lenet5"])
    moved = 64 * netcost.learned_numbers(net) + netcost.WEIGHT_MOVES * netcost.weights(net)
    assert 4 * moved == pytest.approx(43e6, rel=0.05)


def test_a_layer_that_is_not_known_is_refused():
    class Swish(ReLU):
        pass

    net = Net(Form(4, 4, 1, 2), (Flatten(), Swish(), Linear(2)), head=2)
    with pytest.raises(LookupError, match=r"a layer Swish keeps .* known: Conv, Linear"):
        netcost.kept_bytes(net)


def grid_of(name, *changes):
    return read_grid(ROOT / "grids" / f"{name}.yaml", changes).grid


COMPUTING = Card(bandwidth=1e9, images_a_core=1e12)
"""Where nothing but operations takes time."""


def test_a_grids_operations_are_those_added_up_by_hand():
    """CIFAR-10, linear: 4 cases of 8 rates and runs; a case's images fall evenly to 5000 / rho."""
    cost = GridCost(grid_of("cifar10_linear"))
    counted, found = count(cost.dues), total(cost)
    assert (counted.full, counted.second) == (96, 64)
    conv1 = 32 * 32 * 96 * 27
    assert found.full == 96 * 70_000 * 256 * (6 * 270_798_336 - 2 * conv1)
    head = 6 * 6 * 192 * 192, 6 * 6 * 192 * 10
    below = 270_798_336 - sum(head)
    assert found.second == 64 * 70_000 * 256 * (2 * below + 4 * head[0] + 6 * head[1])
    held = [
        sum(round(5000 / rho + i / 9 * (5000 - 5000 / rho)) for i in range(10))
        for rho in (2, 10, 20, 50)
    ]
    shown = sum(40 * (10_000 + n) for n in held)
    assert found.shown == pytest.approx(shown * 2 * 270_798_336, rel=1e-4)
    assert found.read == 0


def test_features_are_learned_from_where_they_stay_the_same():
    """LeNet-5 has nothing random below its head: a second phase sees 500 numbers an image."""
    cost = GridCost(grid_of("mnist_linear"))
    assert total(cost).second == 900 * 10_000 * 64 * 4 * 5_000
    assert cost.memory.features == 4 * 500 * (10_000 + max(map(cost.held, cost.grid.cases())))
    assert cost.memory.images == 70_000 * 784


def test_a_curve_costs_an_evaluation_a_point():
    grid = grid_of("full_cifar10")
    once = total(GridCost(grid.model_copy(update={"curve": None}))).shown
    assert once == 8 * 60_000 * 2 * 270_798_336
    assert total(GridCost(grid)).shown == 71 * once


def test_photographs_are_read_for_every_network():
    cost = GridCost(grid_of("full_imagenet"))
    read = 320_000 * 256 + 1_281_167 + 50_000
    assert total(cost).read == read
    assert cost.memory.images == 0
    card = Card(images_a_core=10, cores=2)
    checked = 1_281_167 + 50_000  # files are looked at before a training begins
    assert cost.duration(card, "strict", 1) == (pytest.approx((read + checked) / 20), "reading")


@pytest.mark.parametrize(
    ("name", "jobs", "rounds"),
    [
        ("imagenet_step", 8, 2 / 15),  # 15 networks, the most on a card 2
        ("cifar10_step", 8, 1 / 8),  # 12 cases, dealt out in parts
        ("cifar10_resplit", 24, 1 / 8),  # the same, split after split
        ("cifar10_linear", 8, 1 / 8),
        ("full_cifar10", 8, 1 / 8),
        ("full_imagenet", 1, 1),
    ],
)
def test_cards_wait_for_the_last_job(name, jobs, rounds):
    cost = GridCost(grid_of(name))
    assert sum(map(len, cost.jobs(8))) == jobs
    (one, bound), (eight, _) = (cost.duration(COMPUTING, "tf32", n) for n in (1, 8))
    assert bound == "computing"
    assert eight / one == pytest.approx(rounds, rel=0.02)
    work = total(cost)
    strict = work.shown / (67e12 * 0.4)
    assert one == pytest.approx((work.full + work.second) / (494e12 * 0.4) + strict)


def test_a_job_goes_to_the_card_that_is_free_first(monkeypatch):
    cost = GridCost(grid_of("cifar10_step"))
    lasting = dict(zip(map(str, cost.jobs(2)[0]), (5.0, 1.0), strict=True))
    three = [*cost.jobs(2)[0], cost.jobs(2)[0][1]]
    monkeypatch.setattr(cost, "jobs", lambda cards: [three])
    monkeypatch.setattr(cost, "lasting", lambda job, *_: [(lasting[str(job)], "moving")])
    assert cost.duration(Card(), "strict", 2) == (5, "moving")
    assert cost.duration(Card(), "strict", 1) == (7, "moving")


def test_the_longest_of_three_bounds_a_network():
    cost = GridCost(grid_of("full_cifar10"))
    slow = {
        "computing": Card(tera=dict.fromkeys(PEAKS, 1.0)),
        "moving": Card(bandwidth=1e-3),
    }
    for bound, card in slow.items():
        assert cost.duration(card, "bf16", 1)[1] == bound
    moved = [cost.duration(slow["moving"], name, 1)[0] for name in PEAKS]
    assert moved[0] == moved[1]
    assert 0.5 < moved[2] / moved[0] < 0.6  # half of what travels; evaluation and weights stay


def test_what_a_card_holds():
    cost = GridCost(grid_of("cifar10_step"))
    memory = cost.memory
    assert memory.images == 60_000 * 3072 * 4
    assert memory.network == 3 * 4 * 1_369_738 + 256 * netcost.kept_bytes(cost.net)
    fit = memory.fit(Card())
    assert memory.images + fit * memory.network <= 0.8 * 141e9 + memory.images
    assert (fit + 1) * memory.network > 0.8 * (141e9 - memory.images)
    assert memory.fit(Card(memory=0.5)) == 0


@pytest.mark.parametrize(
    ("name", "changes", "judged", "pool"),
    [
        ("full_mnist", (), 10_000, 60_000),
        ("mnist_linear", (), 10_000, 60_000),
        ("mnist_linear", ("dataset.validation_per_class=100",), 11_000, 59_000),
        ("mnist_linear", ("dataset.test_per_class=2000",), 20_000, 50_000),
        ("cifar10_resplit", ("dataset.test_per_class=500",), 5_000, 55_000),
        ("cifar10_linear", ("dataset.test_per_class=500",), 5_000, 50_000),
    ],
)
def test_a_pool_is_what_the_test_set_leaves(name, changes, judged, pool):
    cost = GridCost(grid_of(name, *changes))
    assert (cost.judged, sum(cost.pool)) == (judged, pool)
    assert max(cost.pool) - min(cost.pool) <= 1


@pytest.fixture(scope="module")
def tables():
    """What the command prints without a word."""
    with pytest.MonkeyPatch.context() as patch, StringIO() as out:
        patch.setattr("sys.stdout", out)
        assert main([]) == 0
        return out.getvalue()


def test_the_page_shows_what_the_command_prints(tables):
    page = (ROOT / "docs" / "cost.md").read_text()
    assert tables.strip() in page
    assert max(map(len, tables.splitlines())) <= 100
    assert "…" not in tables
    assert all(f"\n{name} " in tables for name in GRIDS)
    assert "nothing here was measured on a card" in tables


def test_json_holds_the_assumptions_and_every_figure(capsys):
    path = str(ROOT / "grids" / "cifar10_linear.yaml")
    words = ["--json", "--cards", "4", "--share", "0.2", "--device-flops", "tf32=100"]
    assert main([path, *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["assumed"] | {"cards": 4, "share": 0.2} == told["assumed"]
    assert told["assumed"]["tera"] == {"strict": 67, "tf32": 100, "bf16": 989}
    (row,) = told["grids"]
    cost = GridCost(grid_of("cifar10_linear"))
    assert (row["networks"], row["full_trainings"], row["second_phases"]) == (160, 96, 64)
    assert row["full_flop"] == total(cost).full
    card = Card(tera={"strict": 67, "tf32": 100, "bf16": 989}, share=0.2)
    assert row["all_cards"]["tf32"] == list(cost.duration(card, "tf32", 4))
    assert row["one_card"]["tf32"][0] == pytest.approx(4 * row["all_cards"]["tf32"][0], rel=0.02)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device-flops", "fp8=1"], "found 'fp8=1'; needed: one of strict=TFLOPS, tf32=TFLOPS"),
        (["--device-flops", "tf32"], "found ''; needed: a number above 0"),
        (["--share", "1.5"], "found '1.5'; needed: above 0, at most 1"),
        (["--memory", "inf"], "found 'inf'; needed: a number above 0"),
        (["--cards", "0"], "found '0'; needed: a whole number"),
    ],
)
def test_a_wrong_option_is_refused(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_grid_that_arithmetic_does_not_tell_is_refused(grid_file, capsys):
    path = grid_file()
    assert main([str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{path}: how many images synthetic has shows only in its files; known")
    assert main(["nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err
