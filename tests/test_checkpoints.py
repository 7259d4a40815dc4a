"""A training that was cut short and gone on with ends where it would have ended, bit for bit."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from study.checkpoints import Checkpoints, Nowhere, packed, unpacked
from study.data import Split
from study.engine import train
from study.engine.formulations import FORMULATIONS, PLAIN
from study.engine.forward import outputs
from study.engine.inputs import Features, Images, IndexStream
from study.engine.means import Means
from study.engine.train import Course, Lockstep
from study.form import Form
from study.job import run_job
from study.metrics import Point
from study.nets import NETS
from study.nets.convolve import grouped
from study.run import main
from study.schema import VOLATILE
from study.store import Store
from tests.conftest import ROOT, job_of, tiny_grid

SMALL = {
    "lenet5": Form(16, 16, 1, 4),
    "allcnn": Form(9, 9, 3, 4),
    "resnet10": Form(8, 8, 3, 4),
}
STEPS, BATCH = 7, 3


def rng(seed):
    return np.random.default_rng(seed)


def courses(places):
    """Of each network its own places, order, rate, noise and crops."""
    return [
        Course(IndexStream(own, BATCH, rng(10 + i)), 0.003 * (i + 1), None, rng(i), rng(20 + i))
        for i, own in enumerate(places)
    ]


def begun(name, second=False, inputs=None):
    """Two networks about to train, or about to learn anew in the head alone; and their weights."""
    net = NETS[name](SMALL[name])
    weights = net.initial([rng(0), rng(1)])
    pixels = rng(2).integers(0, 256, (30, *net.form.image), dtype=np.uint8)
    data = Split(pixels, rng(3).integers(0, 4, 30))
    inputs = inputs or Images(data, 1 / 64, "cpu")
    places, enter = [np.arange(20), np.arange(5, 30)], 0
    if second and net.still:
        everything, enter = torch.arange(30).expand(2, -1), net.head
        _, rows = outputs(net, weights, inputs, everything, 16, grouped, keep=[0, 1])
        inputs = Features(rows.flatten(0, 1), torch.from_numpy(np.tile(data.labels, 2)))
        places = [places[0], 30 + places[1]]
    rate = {"policy": "inv", "base": 1.0, "gamma": 0.1, "power": 0.75}
    recipe = tiny_grid(recipe={"iterations": STEPS, "batch": BATCH, "rate": rate}).recipe
    plain, start = FORMULATIONS[PLAIN], net.head if second else 0
    own = weights[enter:]
    return Lockstep(net, own, inputs, courses(places), recipe, plain, enter, start), weights


def ended(lockstep, weights, every=None):
    """Every tensor of weights once all steps are taken."""
    for _ in lockstep.run(every):
        pass
    return [w.detach().clone() for layer in weights for w in layer]


def same(one, other):
    return all(a.equal(b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("stretch", [3, 100])
@pytest.mark.parametrize("every", [None, 1, 2, 5, 7, 30])
def test_it_pauses_at_every_multiple_and_that_changes_nothing(monkeypatch, every, stretch):
    expected = ended(*begun("lenet5"))
    monkeypatch.setattr(train, "STRETCH", stretch)
    lockstep, weights = begun("lenet5")
    pauses = list(lockstep.run(every))
    asked = set(range(every, STEPS + 1, every)) if every else set()
    own = set(range(stretch, STEPS + 1, stretch)) | {STEPS}
    assert pauses == sorted(asked | own)
    assert same([w for layer in weights for w in layer], expected)


@pytest.mark.parametrize(("name", "every"), [("allcnn", 1), ("allcnn", 3), ("resnet10", 2)])
def test_pauses_change_nothing_where_dropout_draws_or_statistics_run(name, every):
    expected = ended(*begun(name))
    assert same(ended(*begun(name), every), expected)


class Croppers(Images):
    """Images that are cropped, and keep what they are told."""

    crops = True

    def __init__(self):
        super().__init__(Split(np.zeros((30, 9, 9, 3), np.uint8), np.arange(30) % 4), 1.0, "cpu")
        self.told = []

    def expect(self, batches, crops=None):
        self.told += zip(batches.numpy(), crops, strict=True)


@pytest.mark.parametrize(("every", "stretch"), [(None, 100), (1, 100), (3, 2), (100, 2)])
def test_what_a_network_draws_is_drawn_as_if_at_once(monkeypatch, every, stretch):
    """Positions, rates, dropout's keys and crops: by NumPy, for all steps together."""
    monkeypatch.setattr(train, "STRETCH", stretch)
    loaded, load = [], Lockstep._load
    monkeypatch.setattr(Lockstep, "_load", lambda *a: loaded.append(a[1]) or load(*a))
    inputs = Croppers()
    lockstep, _ = begun("allcnn", inputs=inputs)
    for _ in lockstep.run(every):
        pass
    positions, crops = (np.stack(told) for told in zip(*inputs.told, strict=True))
    keys, rates = (
        torch.cat([getattr(stretch, part) for stretch in loaded]).numpy()
        for part in ("keys", "rates")
    )
    assert (torch.cat([stretch.positions for stretch in loaded]).numpy() == positions).all()
    for i, places in enumerate((np.arange(20), np.arange(5, 30))):
        order = IndexStream(places, BATCH, rng(10 + i)).take(STEPS)
        assert (positions[:, i] == order).all()
        assert (crops[:, i] == rng(20 + i).integers(2**63, size=(STEPS, BATCH))).all()
        drawn = rng(i).integers(2**32, size=(STEPS, 3), dtype=np.uint32)
        assert (keys[:, :, i].view(np.uint32) == drawn).all()
        falling = [0.003 * (i + 1) * (1 + 0.1 * t) ** -0.75 for t in range(STEPS)]
        np.testing.assert_allclose(rates[:, i], falling, rtol=1e-6)


@pytest.mark.parametrize("second", [False, True], ids=["full", "second phase"])
@pytest.mark.parametrize("name", SMALL)
def test_a_state_that_was_kept_is_gone_on_with(name, second, tmp_path):
    """In a fresh process all would be as here: weights, streams and inputs made anew."""
    store = Store(tmp_path)
    lockstep, weights = begun(name, second)
    for done in lockstep.run(3):
        store.keep(str(done), packed(lockstep.state(), [], 0.0))
    expected = [w for layer in weights for w in layer]
    for kept in (3, STEPS):
        state, *_ = unpacked(store.kept(str(kept)))
        assert state.iteration == kept
        lockstep, weights = begun(name, second)
        lockstep.resume(state)
        assert list(lockstep.run(3)) == [done for done in (3, 6, STEPS) if done > kept]
        assert same([w for layer in weights for w in layer], expected)


def test_a_state_is_not_moved_by_the_steps_that_follow():
    lockstep, _ = begun("lenet5")
    run = lockstep.run(4)
    next(run)
    state = lockstep.state()
    before = [tensor.copy() for tensor in state.tensors]
    next(run)
    assert all((a == b).all() for a, b in zip(state.tensors, before, strict=True))
    assert any((a != b).any() for a, b in zip(lockstep.state().tensors, before, strict=True))


def test_what_is_packed_comes_out_as_it_was():
    """Also of points that are not finite, and of arrays in any order of memory."""
    tensors = [np.arange(6, dtype=np.float32).reshape(2, 3).T, np.zeros((0, 2)), np.float64(3)]
    state = train.State(7, [np.asarray(tensor) for tensor in tensors])
    curves = [[Point(3, 0.1, {"argmax": 1 / 3, "prior": 0.5}, float("inf"), {"argmax": 0.1})], []]
    ours, points, seconds = unpacked(packed(state, curves, 12.5))
    assert (ours.iteration, points, seconds) == (7, curves, 12.5)
    for one, other in zip(ours.tensors, tensors, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_a_checkpoint_is_due_now_and_then(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("study.checkpoints.monotonic", lambda: now[0])
    checkpoints = Checkpoints(Nowhere(), 60, print)
    assert not checkpoints.due()
    now[0] = 160.0
    assert checkpoints.due()
    checkpoints.keep("key", {})
    assert not checkpoints.due()
    now[0] = 219.9
    assert not checkpoints.due()
    assert checkpoints.due(took=6.0), "a training that has ended, and took long"
    assert not checkpoints.due(took=5.9)
    assert checkpoints.find("one") is checkpoints.find("two") is None
    assert checkpoints.keys == ["one", "two"]


def test_what_another_place_or_code_has_kept_is_not_gone_on_with():
    keys = {Checkpoints(Nowhere(), 60, print, place).key("x", 1) for place in ("a", "b", "a")}
    assert len(keys) == 2
    one = Checkpoints(Nowhere(), 60, print, "a")
    assert one.key("x", 1) != one.key("x", 2)


# Whole jobs.


class Killed(Exception):
    pass


class Dying:
    """Keeps with a store, and dies once it has kept so often; or just before the last is kept."""

    def __init__(self, store, at, lost=False):
        self.store, self.left, self.lost = store, at, lost
        self.kept = store.kept

    def keep(self, key, arrays):
        self.left -= 1
        if self.left or not self.lost:
            self.store.keep(key, arrays)
        if not self.left:
            raise Killed


def stable(results):
    """Every record, without the columns that may differ between two runs of it."""
    return [{k: v for k, v in r.items() if k not in VOLATILE} for r in results.records]


def assert_same_bits(one, other):
    assert stable(one) == stable(other)
    assert one.predictions.keys() == other.predictions.keys()
    for name, logits in one.predictions.items():
        assert np.array_equal(logits, other.predictions[name])


@pytest.fixture
def steps(monkeypatch):
    """Grows by one with each step that is taken."""
    taken, real = [], Lockstep.step
    monkeypatch.setattr(Lockstep, "step", lambda self: taken.append(1) or real(self))
    return taken


def killed_and_resumed(grid, dataset, means, store, steps, at, lost=False):
    """The results of a job that was killed, and the steps of either attempt."""
    job = job_of(grid, *range(grid.replicates))
    steps.clear()
    with pytest.raises(Killed):
        run_job(job, grid, dataset, means, "test", Dying(store, at, lost))
    before = len(steps)
    steps.clear()
    return run_job(job, grid, dataset, means, "test", store), before, len(steps)


LENET = {"methods": "all", "dataset": {"size": 16, "channels": 1}}
ALLCNN = {"methods": ["two_phase_oversampling"], "dataset": {"size": 9, "channels": 3}}
RESNET = {"methods": ["two_phase_oversampling"], "dataset": {"size": 8, "channels": 3}}
GRIDS = {"lenet5": LENET, "allcnn": ALLCNN, "resnet10": RESNET}


def grid_of(model, pack=1):
    """One that keeps four times a phase: when 3, 6 and 8 steps of 8 are taken, and at the end."""
    own = GRIDS[model]
    some = {"train_images": 20, "train_per_class": 8, "validation_per_class": 2}
    return tiny_grid(
        model=model,
        methods=own["methods"],
        replicates=pack,
        curve=3,
        predictions=True,
        recipe={"iterations": 8, "batch": 4, "rate": {"base": 0.002}},
        dataset={**some, "test_per_class": 4, **own["dataset"]},
        imbalance={"rho": [4]},
    )


@pytest.mark.parametrize(
    ("model", "pack", "at"),
    [
        *(("lenet5", 1, at) for at in (1, 4, 5, 10, 15, 19, 20)),
        *(("lenet5", 2, at) for at in (2, 9, 13, 17)),
        ("allcnn", 1, 2),
        ("allcnn", 2, 5),
        ("resnet10", 1, 2),
    ],
)
def test_a_job_that_is_killed_goes_on(model, pack, at, tmp_path, steps):
    """Where its last checkpoint was written whole, and where it was not."""
    grid = grid_of(model, pack)
    dataset = grid.dataset.dataset(tmp_path, grid.seed)
    means, store = Means("cpu", pack, checkpoint=1e-9), Store(tmp_path / "store")
    expected = run_job(job_of(grid, *range(pack)), grid, dataset, means, "test")
    whole = len(steps)
    for lost in (False, True):
        ours, before, after = killed_and_resumed(grid, dataset, means, store, steps, at, lost)
        assert_same_bits(ours, expected)
        assert before + after == whole + lost * (3, 3, 2, 0)[(at - 1) % 4]
        assert all(len(record["curve"]) == 2 for record in ours.records)
        store.write(ours)
        assert not list((store.folder / "checkpoints").iterdir())


@pytest.mark.parametrize(
    "spoil", [lambda b: b"", lambda b: b[:-1], lambda b: b[: len(b) // 2], lambda b: b"PK" * 99]
)
def test_a_damaged_checkpoint_is_as_good_as_none(tmp_path, steps, spoil):
    grid = grid_of("lenet5")
    dataset = grid.dataset.dataset(tmp_path, grid.seed)
    means, store = Means("cpu", checkpoint=1e-9), Store(tmp_path / "store")
    expected = run_job(job_of(grid), grid, dataset, means, "test")
    whole = len(steps)
    with pytest.raises(Killed):
        run_job(job_of(grid), grid, dataset, means, "test", Dying(store, 6))
    for path in (store.folder / "checkpoints").iterdir():
        path.write_bytes(spoil(path.read_bytes()))
    steps.clear()
    assert_same_bits(run_job(job_of(grid), grid, dataset, means, "test", store), expected)
    assert len(steps) == whole


def test_a_bit_of_a_checkpoint_that_flips_is_noticed_wherever_it_is(tmp_path):
    store, tensor = Store(tmp_path), rng(0).random(50)
    store.keep("key", {"tensor0": tensor})
    path = tmp_path / "checkpoints" / "key.npz"
    content = path.read_bytes()
    for i in range(0, len(content), 7):
        path.write_bytes(content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :])
        assert store.kept("key") is None
    path.write_bytes(content)
    assert (store.kept("key")["tensor0"] == tensor).all()


def test_another_way_of_computing_begins_anew(tmp_path, steps, monkeypatch):
    """A checkpoint belongs to packs of its size, by its formulation: bits would differ."""
    monkeypatch.setitem(FORMULATIONS, "other", FORMULATIONS[PLAIN])
    grid = grid_of("allcnn", pack=2)
    dataset = grid.dataset.dataset(tmp_path, grid.seed)
    store, job = Store(tmp_path / "store"), job_of(grid, 0, 1)
    with pytest.raises(Killed):
        run_job(job, grid, dataset, Means("cpu", 2, checkpoint=1e-9), "test", Dying(store, 4))
    assert len(steps) == 8, "a phase of a pack of two"
    for means, packs in ((Means("cpu", 1), 4), (Means("cpu", 2, "other"), 2), (Means("cpu", 2), 1)):
        steps.clear()
        run_job(job, grid, dataset, means, "test", store)
        assert len(steps) == 8 * packs


@pytest.mark.parametrize("rate", [1e9, 1e3])
def test_a_job_of_networks_that_diverge_goes_on_too(tmp_path, steps, rate):
    """A network that is lost takes no step more for having been kept."""
    recipe = {"iterations": 9, "rate": {"base": rate}}
    grid = tiny_grid(methods="all", replicates=1, curve=3, recipe=recipe)
    dataset = grid.dataset.dataset(tmp_path, grid.seed)
    means = Means("cpu", checkpoint=1e-9)
    expected = run_job(job_of(grid), grid, dataset, means, "test")
    assert {record["status"] for record in expected.records} == {"diverged"}
    whole = len(steps)
    for at in (1, 2, 3, 4, 6):
        store = Store(tmp_path / f"store{at}")
        ours, before, after = killed_and_resumed(grid, dataset, means, store, steps, at)
        assert_same_bits(ours, expected)
        assert before + after == whole


# The command.


def kill_when_kept(path, results, *words):
    """The command, killed with a checkpoint written and nothing else done."""
    command = [sys.executable, "-m", "study.run", str(path), "--results", str(results), *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not list(results.rglob("*.npz")) and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said.decode()
    assert list(results.rglob("*.npz"))
    assert not list(results.rglob("*.parquet"))


def command(path, results, *words):
    assert main([str(path), "--results", str(results), "--executor", "inprocess", *words]) == 0
    store = Store(results / "tiny")
    return store.read().drop_columns(list(VOLATILE)).to_pylist(), store


LONG = {
    "methods": ["baseline", "two_phase_oversampling"],
    "replicates": 1,
    "curve": 150,
    "recipe": {"iterations": 400, "batch": 8},
}
OFTEN = ("--checkpoint", "0.001")


def test_a_command_that_is_killed_goes_on(grid_file, tmp_path, steps):
    path = grid_file(**LONG)
    kill_when_kept(path, tmp_path / "cut", "--executor", "inprocess", *OFTEN)
    ours, store = command(path, tmp_path / "cut", *OFTEN)
    resumed = len(steps)
    steps.clear()
    expected, _ = command(path, tmp_path / "whole")
    assert ours == expected
    assert [point["iteration"] for point in ours[0]["curve"]] == [150, 300]
    assert len(steps) - resumed >= 100, "what was kept was not done again"
    assert not list((store.folder / "checkpoints").glob("*.npz"))
    assert not (tmp_path / "whole" / "tiny" / "checkpoints").exists()


@pytest.mark.slow
def test_rays_workers_keep_and_go_on_with_the_driver(grid_file, tmp_path, steps):
    path = grid_file(**LONG | {"recipe": {"iterations": 3000, "batch": 8}})
    kill_when_kept(path, tmp_path / "cut", "--workers", "1", *OFTEN)
    kept = list((tmp_path / "cut" / "tiny" / "checkpoints").glob("*.npz"))
    ours, store = command(path, tmp_path / "cut", *OFTEN)
    resumed = len(steps)
    steps.clear()
    expected, _ = command(path, tmp_path / "whole")
    assert ours == expected
    assert kept
    assert len(steps) - resumed >= 100
    assert not list((store.folder / "checkpoints").glob("*.npz"))
