"""Images read from disk: the same batches, records and bits as from memory, and threads that end.

The oracle reads the pictures of a batch one after the other when it is asked for.
"""

import re
import shutil
import threading
from collections import deque
from itertools import repeat
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import torch
from PIL import Image

from study import packs, seeds
from study.data import Split, folder
from study.data.pictures import Pictures
from study.engine import stream
from study.engine.inputs import Images, enter
from study.engine.means import Means
from study.engine.stream import AHEAD, TOGETHER, Stream
from study.engine.train import Lockstep
from study.errors import DataError
from study.job import run_job
from study.store import Store
from tests.conftest import CPU, job_of, tiny_grid
from tests.test_checkpoints import Dying, Killed, assert_same_bits, stable

ITERATIONS, BATCH = 7, 6
TWO = ["baseline", "two_phase_oversampling"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data folder with pictures of four classes, each of its own size and on its own slope."""
    place, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for part, number in (("train", 14), ("test", 5)):
        for label in range(4):
            own = place / "pics" / part / f"class{label}"
            own.mkdir(parents=True)
            for i in range(number):
                height, width = rng.integers(18, 26, 2)
                slope = np.linspace(20, 60 * (label + 1), width)[None, :, None]
                noise = rng.normal(0, 30, (height, width, 3))
                pixels = (slope + noise).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(own / f"{i:02}.png")
    return place


def grid_of(augment="crop_mirror", **changes):
    source = {
        "name": "folder",
        "path": "pics",
        "classes": 4,
        "size": 16,
        "short_side": 18,
        "augment": augment,
        "train_per_class": 12,
        "validation_per_class": 1,
    }
    recipe = {"iterations": ITERATIONS, "batch": BATCH, **changes.pop("recipe", {})}
    return tiny_grid(dataset=source, imbalance={"rho": [4]}, recipe=recipe, **changes)


def data(grid, root, split=None):
    return grid.dataset.dataset(root, grid.seed, split)


def loaders():
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


class OneByOne(Stream):
    """The oracle: batches of a split on disk, read when they are asked for."""

    def __init__(self, split, scale, means):
        super().__init__(split, scale, means.device, 1)
        self._all, self._queue, self._now = split, deque(), None

    def forget(self):
        self._queue.clear()

    def expect(self, batches, crops=None):
        self._queue.extend(zip(batches, repeat(None) if crops is None else crops, strict=False))

    def advance(self):
        self._now = self._queue.popleft()

    def batch(self, positions):
        told, crops = self._now
        assert positions.equal(told)
        return one_by_one(self._all, self._scale, positions, crops)


def one_by_one(split, scale, positions, crops=None):
    flat = positions.flatten().tolist()
    numbers = [None] * len(flat) if crops is None else [int(n) for n in crops.flatten()]
    pixels = [split.images.read(p, n) for p, n in zip(flat, numbers, strict=True)]
    images = torch.from_numpy(np.stack(pixels)).unflatten(0, positions.shape)
    return enter(images, scale, torch.float32), torch.from_numpy(split.labels)[positions]


@pytest.fixture
def split(root):
    """The training pictures, cropped anew each time."""
    return data(grid_of(), root).pool


def batches(number, size, k, batch, seed=0):
    """Positions and crop numbers at random."""
    rng = np.random.default_rng(seed)
    positions = torch.from_numpy(rng.integers(size, size=(number, k, batch)))
    return positions, rng.integers(2**63, size=(number, k, batch))


def assert_batch(reader, split, positions, crops=None):
    reader.advance()
    ours, labels = reader.batch(positions)
    theirs, expected = one_by_one(split, 1 / 256, positions, crops)
    assert torch.equal(ours, theirs)
    assert torch.equal(labels, expected)
    assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("k", [1, 3])
def test_each_batch_is_that_of_its_pictures_read_one_by_one(split, threads, k):
    """Told little by little, with crops and without, of two sizes, and more than are read ahead."""
    reader = Stream(split, 1 / 256, "cpu", threads)
    small = batches(AHEAD + 3, len(split), k, 2)
    large = batches(2, len(split), k, TOGETHER + 3)
    parts = [(*small,), (small[0], None), (*large,), (large[0][:0], large[1][:0]), (large[0], None)]
    for positions, crops in parts:
        reader.expect(positions, crops)
    for positions, crops in parts:
        for i, position in enumerate(positions):
            assert_batch(reader, split, position, None if crops is None else crops[i])
    reader.close()


def test_a_crop_number_shows_another_part_of_the_picture(split):
    """What the tests above compare is not all the same."""
    positions, crops = batches(1, len(split), 1, 20)
    centre, _ = one_by_one(split, 1.0, positions[0])
    cropped, _ = one_by_one(split, 1.0, positions[0], crops[0])
    assert (centre != cropped).flatten(1).any(1).sum() > 15


def test_what_was_told_before_is_forgotten(split, monkeypatch):
    """Also while a picture of it is still being read: it must not land in a later batch."""
    first, then = batches(2 * AHEAD + 1, len(split), 2, 7), batches(6, len(split), 2, 7, seed=1)
    began, gate, real = threading.Event(), threading.Event(), Pictures.read

    def read(self, position, crop=None):
        if crop == first[1][2, 0, 0]:
            began.set()
            gate.wait(10)
        return real(self, position, crop)

    monkeypatch.setattr(Pictures, "read", read)
    reader = Stream(split, 1 / 256, "cpu", 2)
    reader.expect(*first)
    for i in range(2):
        assert_batch(reader, split, first[0][i], first[1][i])
    assert began.wait(10)
    threading.Timer(0.1, gate.set).start()
    reader.forget()
    reader.forget()
    reader.expect(*then)
    assert gate.wait(10)
    sleep(0.05)
    for i in range(6):
        assert_batch(reader, split, then[0][i], then[1][i])
    reader.close()


def test_memory_is_used_again(split, monkeypatch):
    """As many buffers as are read ahead, and one for the batch at hand; images and labels."""
    made, real = [], torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **how: made.append(a) or real(*a, **how))
    reader = Stream(split, 1 / 256, "cpu", 2)
    for turn in range(12):
        positions, crops = batches(10, len(split), 2, 5, seed=turn)
        reader.expect(positions, crops)
        for i in range(3 if turn % 2 else 10):
            reader.advance()
            reader.batch(positions[i])
        reader.forget()
    assert len(made) == AHEAD + 2
    reader.close()


def test_time_spent_waiting_for_pictures_is_counted(split, monkeypatch):
    monkeypatch.setattr(Pictures, "read", lambda *_: sleep(0.05) or np.zeros((16, 16, 3)))
    reader = Stream(split, 1 / 256, "cpu", 1)
    positions, crops = batches(1, len(split), 1, 2)
    reader.expect(positions, crops)
    reader.advance()
    assert 0.04 < reader.waited < 5
    reader.close()


def test_closing_ends_the_threads(split):
    assert not loaders()
    reader = Stream(split, 1 / 256, "cpu", 3)
    reader.expect(*batches(50, len(split), 2, 9))
    assert loaders()
    reader.close()
    assert not loaders()


@pytest.mark.parametrize("pack", [1, 2])
def test_on_disk_and_in_memory_are_the_same_study(root, monkeypatch, pack):
    """Logits, curves, second phases on features, records: bit for bit."""
    grid = grid_of("none", methods="all", predictions=True, curve=3)
    held = data(grid, root)
    monkeypatch.setattr(folder, "MOST_IN_MEMORY", 0)
    streamed = data(grid, root)
    assert isinstance(held.pool.images, np.ndarray)
    assert isinstance(streamed.pool.images, Pictures)
    means = Means("cpu", pack, loaders=2)
    ours = run_job(job_of(grid), grid, streamed, means, "test")
    assert_same_bits(ours, run_job(job_of(grid), grid, held, means, "test"))
    assert len(ours.predictions) == 1 + 5
    assert not loaders()


@pytest.fixture(scope="module")
def augmented(root):
    """A job whose training images are cropped anew each time, two networks to a pack."""
    grid = grid_of(methods=TWO, predictions=True, curve=3)
    return grid, run_job(job_of(grid), grid, data(grid, root), Means("cpu", 2, loaders=2), "test")


def test_training_on_crops_is_training_on_pictures_read_one_by_one(root, augmented, monkeypatch):
    """Full trainings and the second phase, of which features cannot be kept."""
    grid, ours = augmented
    monkeypatch.setattr(packs, "reader", OneByOne)
    theirs = run_job(job_of(grid), grid, data(grid, root), Means("cpu", 2), "test")
    assert_same_bits(ours, theirs)


@pytest.mark.parametrize("threads", [1, 4])
def test_how_many_threads_read_changes_nothing(root, augmented, threads):
    grid, ours = augmented
    means = Means("cpu", 2, loaders=threads)
    assert_same_bits(ours, run_job(job_of(grid), grid, data(grid, root), means, "test"))


def test_a_curve_on_the_way_changes_nothing(root, augmented):
    """What is read to evaluate and what is read to learn from do not mix."""
    ours = augmented[1]
    plain = grid_of(methods=TWO, predictions=True)
    means = Means("cpu", 2, loaders=2)
    theirs = run_job(job_of(plain), plain, data(plain, root), means, "test")
    assert all(len(record["curve"]) == 2 for record in ours.records)
    without = [{**record, "curve": None} for record in ours.records]
    assert_same_bits(type(ours)(ours.job, without, ours.predictions), theirs)


def test_crops_are_drawn_from_the_stream_of_each_training(root, monkeypatch):
    """In one draw here; a second phase has a stream of its own, and evaluation draws nothing."""
    told = []

    class Spied(Stream):
        def expect(self, batches, crops=None):
            told.extend([] if crops is None else crops)
            super().expect(batches, crops)

    monkeypatch.setattr(stream, "Stream", Spied)
    grid = grid_of(methods=["two_phase_oversampling"], curve=3)
    run_job(job_of(grid), grid, data(grid, root), CPU, "test")
    second = job_of(grid).dues[0].rows[0].training
    drawn = [
        seeds.crops(training.id, 0).integers(2**63, size=(ITERATIONS, 1, BATCH))
        for training in (second.parent, second)
    ]
    assert (np.stack(told) == np.concatenate(drawn)).all()


def test_evaluation_sees_the_middle_of_each_picture(root, augmented, monkeypatch):
    """Oracle: the same weights on the same images, decoded once and held in memory."""
    grid, ours = augmented
    real, seen = packs.outputs, []

    def outputs(net, weights, inputs, *rest):
        held = Images(Split(inputs._pictures.read_all(1), inputs._labels), 1 / 256, "cpu")
        found, expected = real(net, weights, inputs, *rest), real(net, weights, held, *rest)
        assert all(a.equal(b) for a, b in zip(found, expected, strict=True))
        seen.append(len(inputs._labels))
        return found

    monkeypatch.setattr(packs, "outputs", outputs)
    means = Means("cpu", 2, loaders=2)
    assert_same_bits(ours, run_job(job_of(grid), grid, data(grid, root), means, "test"))
    assert seen == [20 + 4, 52] * 6, "those held out and the pool, at 3, 6 and the end, twice"


@pytest.fixture
def steps(monkeypatch):
    """Grows by one with each step that is taken."""
    taken, real = [], Lockstep.step
    monkeypatch.setattr(Lockstep, "step", lambda self: taken.append(1) or real(self))
    return taken


@pytest.fixture
def spoiled(root, tmp_path):
    """The data folder once more, for files to be damaged in."""
    return Path(shutil.copytree(root, tmp_path / "data"))


def test_a_truncated_file_is_named_before_anything_is_trained(spoiled, steps):
    """One of the case, then one of the test set; one of neither is nobody's business."""
    grid = grid_of(methods=TWO)
    whole = data(grid, spoiled)
    case = job_of(grid).dues[0].case
    members = case.draw(whole.pool.labels, case.roles(whole.pool.counts(4)))
    others = np.setdiff1d(np.arange(len(whole.pool)), members)
    files = [whole.pool.images.names[i] for i in (others[0], members[-1])]
    for name in (*files, whole.test.images.names[7]):
        path = spoiled / "pics" / name
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        if name == files[0]:
            assert len(run_job(job_of(grid), grid, whole, CPU, "test").records) == 2
            steps.clear()
        else:
            with pytest.raises(DataError, match=f"{re.escape(str(path))}: cannot be read"):
                run_job(job_of(grid), grid, whole, CPU, "test")
            assert not steps
            assert not loaders()
            path.write_bytes(content)


def test_a_training_that_ends_early_leaves_nothing_to_the_next(root):
    """The first candidate is lost at once, with batches told of that it does not come to."""
    ends = {}
    for base in ([1e9, 0.01], [0.01]):
        rate = {"policy": "fixed", "base": base}
        grid = grid_of(methods=["baseline"], curve=2, recipe={"rate": rate})
        ends[len(base)] = stable(run_job(job_of(grid), grid, data(grid, root), CPU, "test"))
    assert ends[2][0]["status"] == "diverged"
    assert ends[2][1:] == ends[1]


@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_job_on_crops_that_is_killed_goes_on(root, augmented, tmp_path, steps, at):
    """With the crops that it would have seen."""
    grid, ours = augmented
    whole, store = data(grid, root), Store(tmp_path)
    means = Means("cpu", 2, loaders=2, checkpoint=1e-9)
    with pytest.raises(Killed):
        run_job(job_of(grid), grid, whole, means, "test", Dying(store, at))
    assert not loaders()
    assert_same_bits(ours, run_job(job_of(grid), grid, whole, means, "test", store))
    assert len(steps) == 2 * ITERATIONS


def test_a_file_that_goes_while_it_is_needed_is_named(spoiled, steps, monkeypatch):
    grid = grid_of(methods=["baseline"])
    whole, real = data(grid, spoiled), Stream.check

    def check(self, positions):
        real(self, positions)
        for path in spoiled.rglob("train/class2/*"):
            path.unlink(missing_ok=True)

    monkeypatch.setattr(Stream, "check", check)
    with pytest.raises(DataError, match=r"train/class2/.*\.png: cannot be read"):
        run_job(job_of(grid), grid, whole, CPU, "test")
    assert len(steps) < ITERATIONS
    assert not loaders()
