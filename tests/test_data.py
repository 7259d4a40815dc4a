"""The data sets: what is held out, what is drawn, and files that are missing or damaged."""

import hashlib
import os
import struct
import tempfile
from collections import Counter
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from study.data import SOURCES, Source, Split, hold_out
from study.data.digits import Digits
from study.data.mnist import FILES, SUFFIX, FashionMnist, Mnist
from study.data.synthetic import Synthetic
from study.data.whitening import whiten
from study.errors import DataError
from study.form import Form
from tests.conftest import ROOT, without_privileges

# Holding out


def tagged(labels, first):
    """A split whose images each hold one number of their own."""
    tags = np.arange(first, first + len(labels), dtype=np.float32)
    return Split(tags.reshape(-1, 1, 1, 1), np.array(labels, np.int64))


def tags(split):
    return split.images.ravel().astype(int).tolist()


label_lists = st.lists(st.integers(0, 2), max_size=40)


@settings(deadline=None, max_examples=150)
@given(label_lists, label_lists, st.integers(1, 8), st.integers(0, 2**32))
def test_hold_out_takes_a_balanced_test_set_and_leaves_the_rest(train, test, per_class, seed):
    whole = dict(enumerate(train + test))
    splits = tagged(train, 0), tagged(test, len(train))
    given_by_test = {c: min(test.count(c), per_class) for c in range(3)}
    if any(per_class - given_by_test[c] > train.count(c) for c in range(3)):
        with pytest.raises(DataError, match=rf"class \d has .* {per_class} are asked for"):
            hold_out(*splits, 3, per_class, np.random.default_rng(seed))
        return
    pool, held = hold_out(*splits, 3, per_class, np.random.default_rng(seed))
    assert held.counts(3) == (per_class,) * 3
    assert all(whole[tag] == label for tag, label in zip(tags(held), held.labels, strict=True))
    assert all(whole[tag] == label for tag, label in zip(tags(pool), pool.labels, strict=True))
    assert len({*tags(pool), *tags(held)}) == len(pool) + len(held)
    lost = set(whole) - {*tags(pool), *tags(held)}
    assert all(tag >= len(train) for tag in lost)  # only surplus test images are left out
    from_test = Counter(whole[tag] for tag in tags(held) if tag >= len(train))
    assert from_test == Counter(given_by_test)
    again = hold_out(*splits, 3, per_class, np.random.default_rng(seed))
    assert (tags(pool), tags(held)) == (tags(again[0]), tags(again[1]))


def test_what_cannot_be_held_out_is_told_by_its_arithmetic():
    with pytest.raises(DataError) as error:
        hold_out(tagged([0, 0, 1], 0), tagged([0, 1], 3), 2, 4, np.random.default_rng(0))
    assert str(error.value) == (
        "dataset.test_per_class: class 0 has 1 test and 2 training images, 4 are asked for"
    )


class Odd(Source):
    """A set whose images or labels are not what its form says."""

    name: str = "odd"
    shape: tuple[int, ...] = (2, 2, 1)
    label: int = 0

    @property
    def form(self):
        return Form(2, 2, 1, 3)

    def load(self, folder):
        split = Split(np.zeros((4, *self.shape), np.uint8), np.full(4, self.label))
        return split, split


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shape": (2, 2, 3)}, ["odd", "training", "(4, 2, 2, 3)", "expected (4, 2, 2, 1)"]),
        ({"label": 3}, ["odd", "training labels", "3 to 3", "expected 0 to 2"]),
        ({"label": -1}, ["odd", "training labels", "-1", "expected 0 to 2"]),
    ],
)
def test_a_set_that_is_not_of_its_form_is_refused(fields, words, tmp_path):
    with pytest.raises(DataError) as error:
        Odd(**fields).dataset(tmp_path, 0)
    assert all(word in str(error.value) for word in words)


# digits


def test_digits_are_scikit_learns_drawn_three_wide_in_a_frame(tmp_path):
    train, test = Digits(name="digits").load(tmp_path)
    assert (train.images.shape, train.images.dtype) == ((1797, 28, 28, 1), np.uint8)
    assert len(test) == 0
    small = np.kron(load_digits().images, np.ones((1, 3, 3)))
    inner, frame = train.images[:, 2:26, 2:26, 0], train.images[..., 0].sum(dtype=int)
    assert np.array_equal(inner, np.clip(small * 16, 0, 255))
    assert inner.sum(dtype=int) == frame
    assert np.array_equal(train.labels, load_digits().target)


def test_digits_give_a_balanced_test_set_and_share_no_image_with_the_pool(tmp_path):
    data = Digits(name="digits", train_per_class=100, test_per_class=70).dataset(tmp_path, 1)
    assert data.test.counts(10) == (70,) * 10
    assert len(data.pool) + len(data.test) == 1797
    assert min(data.pool.counts(10)) >= 100
    pool, test = ({image.tobytes() for image in s.images} for s in (data.pool, data.test))
    assert not pool & test


def test_the_test_split_hangs_on_the_study_seed_and_not_on_the_training_size(tmp_path):
    def test_images(seed, train):
        source = Digits(name="digits", train_per_class=train, test_per_class=70)
        return source.dataset(tmp_path, seed).test.images

    assert np.array_equal(test_images(1, 100), test_images(1, 50))
    assert not np.array_equal(test_images(1, 100), test_images(2, 100))


# synthetic


def synthetic(**fields):
    return Synthetic(name="synthetic", **{"train_images": 20, "test_images": 8, **fields})


@pytest.mark.parametrize(
    ("size", "channels", "classes"), [(28, 1, 10), (32, 3, 5), (1, 1, 2), (17, 4, 100)]
)
def test_synthetic_images_have_any_form(size, channels, classes, tmp_path):
    source = synthetic(size=size, channels=channels, classes=classes)
    train, test = source.load(tmp_path)
    for split, each in ((train, 20), (test, 8)):
        assert split.images.shape == (each * classes, size, size, channels)
        assert split.images.dtype == np.uint8
        assert split.counts(classes) == (each,) * classes
    assert source.form == (size, size, channels, classes)


def test_synthetic_images_are_the_same_every_time_whatever_part_a_study_takes(tmp_path):
    first = synthetic().load(tmp_path)
    for other in (synthetic(), synthetic(train_per_class=5, test_per_class=3)):
        for mine, again in zip(first, other.load(tmp_path), strict=True):
            assert np.array_equal(mine.images, again.images)
            assert np.array_equal(mine.labels, again.labels)
    harder = synthetic(difficulty=0.6).load(tmp_path)
    assert not np.array_equal(first[0].images, harder[0].images)


def accuracy_by_nearest_mean(source, folder):
    train, test = source.load(folder)
    wide, labels = train.images.reshape(len(train), -1).astype(float), train.labels
    means = np.stack([wide[labels == c].mean(axis=0) for c in range(source.form.classes)])
    far = np.linalg.norm(test.images.reshape(len(test), 1, -1) - means, axis=2)
    return (far.argmin(axis=1) == test.labels).mean()


def test_difficulty_runs_from_separable_to_noise(tmp_path):
    easy, middle, hopeless = (
        accuracy_by_nearest_mean(synthetic(difficulty=d, test_images=30), tmp_path)
        for d in (0.0, 0.9, 1.0)
    )
    assert easy == 1
    assert hopeless < 0.1 + 5 * np.sqrt(0.1 * 0.9 / 300)
    assert hopeless < middle < easy


# mnist and fashion_mnist


@pytest.fixture
def open_folder():
    """A folder that everyone may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def idx(array):
    """The bytes of an idx file."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.fixture
def small_mnist(monkeypatch):
    """Writes small idx files and has Mnist believe in them; gives the arrays written."""

    def write(folder):
        rng = np.random.default_rng(0)
        raw = folder / "MNIST" / "raw"
        raw.mkdir(parents=True)
        arrays, digests = [], []
        for name in FILES:
            n, kind = (30 if "train" in name else 12), name.split("-")[1]
            array = rng.integers(0, 256, (n, 28, 28)) if kind == "images" else np.arange(n) % 10
            content = idx(array)
            (raw / f"{name}-{SUFFIX[kind]}").write_bytes(content)
            arrays.append(array)
            digests.append(hashlib.md5(content).hexdigest())
        monkeypatch.setattr(Mnist, "md5", tuple(digests))
        return arrays

    return write


def test_idx_files_are_read_as_they_were_written(small_mnist, tmp_path):
    train_images, train_labels, test_images, test_labels = small_mnist(tmp_path)
    train, test = Mnist(name="mnist").load(tmp_path)
    assert np.array_equal(train.images, train_images[..., None])
    assert np.array_equal(test.images, test_images[..., None])
    assert np.array_equal(train.labels, train_labels)
    assert np.array_equal(test.labels, test_labels)
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize(
    "failure", [URLError("no network"), RuntimeError("file corrupted"), OSError("disk full")]
)
@pytest.mark.parametrize(("source", "folder"), [("mnist", "MNIST"), ("fashion_mnist", None)])
def test_files_that_cannot_be_fetched_are_named_with_the_ways_out(
    source, folder, failure, monkeypatch, tmp_path
):
    def fail(*words, **options):
        raise failure

    folder = folder or "FashionMNIST"
    monkeypatch.setattr(torchvision.datasets, folder, fail)
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    (raw / "train-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(DataError) as error:
        SOURCES[source](name=source).load(tmp_path)
    told = str(error.value)
    missing = ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    assert all(name in told for name in [source, *missing, str(raw), "--data", "STUDY_DATA"])
    assert str(failure) in told
    assert "train-labels-idx1-ubyte" not in told


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda b: b[:-1] + b"!", lambda b: b""])
def test_a_truncated_or_altered_file_is_named_with_both_digests(damage, small_mnist, tmp_path):
    small_mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    expected = hashlib.md5(path.read_bytes()).hexdigest()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as error:
        Mnist(name="mnist").load(tmp_path)
    found = hashlib.md5(path.read_bytes()).hexdigest()
    assert all(word in str(error.value) for word in (str(path), found, expected))


def test_fashion_files_in_the_place_of_mnists_are_refused(small_mnist, tmp_path):
    small_mnist(tmp_path)
    (tmp_path / "MNIST").rename(tmp_path / "FashionMNIST")
    with pytest.raises(DataError, match=FashionMnist.md5[0]):
        FashionMnist(name="fashion_mnist").load(tmp_path)


def test_a_file_that_may_not_be_read_is_named(small_mnist, open_folder):
    small_mnist(open_folder)
    path = open_folder / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    path.chmod(0)
    with without_privileges(), pytest.raises(DataError) as error:
        Mnist(name="mnist").load(open_folder)
    assert str(path) in str(error.value)
    assert "Permission denied" in str(error.value)


def test_a_folder_that_may_not_be_entered_is_named(small_mnist, open_folder, monkeypatch):
    def fail(*words, **options):
        raise URLError("no network")

    monkeypatch.setattr(torchvision.datasets, "MNIST", fail)
    small_mnist(open_folder)
    raw = open_folder / "MNIST" / "raw"
    raw.chmod(0)
    try:
        with without_privileges(), pytest.raises(DataError) as error:
            Mnist(name="mnist").load(open_folder)
    finally:
        raw.chmod(0o755)
    assert str(raw) in str(error.value)


def test_a_folder_that_is_a_file_is_named(tmp_path):
    blocked = tmp_path / "data"
    blocked.write_text("")
    with pytest.raises(DataError) as error:
        Mnist(name="mnist").load(blocked)
    assert str(blocked) in str(error.value)


def test_the_published_mnist_gives_the_test_set_of_the_protocol():
    folder = Path(os.environ.get("STUDY_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").is_file():
        pytest.skip(f"no MNIST in {folder}: name its folder in STUDY_DATA")
    source = Mnist(name="mnist", train_per_class=5000, test_per_class=1000)
    _, published = source.load(folder)
    data = source.dataset(folder, 2018)
    assert data.test.counts(10) == (1000,) * 10
    assert min(data.pool.counts(10)) >= 5000
    own, test_fives = (
        {image.tobytes() for image in s.images[s.labels == 5]} for s in (published, data.test)
    )
    assert (len(own), len(own & test_fives)) == (892, 892)
    everywhere = [{image.tobytes() for image in s.images} for s in (data.pool, data.test)]
    assert not everywhere[0] & everywhere[1]


def test_a_set_without_test_images_needs_to_be_told_how_many_to_hold_out(tmp_path):
    class Bare(Synthetic):
        def load(self, folder):
            train, test = super().load(folder)
            return train, test.at(np.arange(0))

    with pytest.raises(DataError, match="test_per_class: found nothing"):
        Bare(name="synthetic", size=8).dataset(tmp_path, 0)
    held = Bare(name="synthetic", size=8, test_per_class=3).dataset(tmp_path, 0)
    assert held.test.counts(10) == (3,) * 10


# What a study takes of a set: a share, a validation part, splits anew, preprocessing


def waves(**keys):
    fields = {"name": "synthetic", "size": 6, "classes": 3, "train_images": 20, "test_images": 8}
    return Synthetic(**(fields | keys))


def distinct(*splits):
    """Each image as bytes; every one is different from the others, so none lies in two splits."""
    seen = [image.tobytes() for split in splits for image in split.images]
    assert len(set(seen)) == len(seen)
    return set(seen)


def test_validation_images_are_held_out_of_the_training_images_alone():
    plain = waves(test_per_class=8).dataset(Path(), 1)
    held = waves(test_per_class=8, validation_per_class=5).dataset(Path(), 1)
    assert len(plain.validation) == 0
    assert held.validation.counts(3) == (5,) * 3
    assert held.pool.counts(3) == (15,) * 3
    assert np.array_equal(held.test.images, plain.test.images)
    assert distinct(*held.all_three) == distinct(*plain.all_three)
    again = waves(test_per_class=8, validation_per_class=5).dataset(Path(), 1)
    other = waves(test_per_class=8, validation_per_class=5).dataset(Path(), 2)
    assert np.array_equal(held.validation.images, again.validation.images)
    assert not np.array_equal(held.validation.images, other.validation.images)


def test_too_few_images_for_validation_are_said_with_the_key():
    with pytest.raises(DataError, match=r"^dataset.validation_per_class: class 0 has .* 20 "):
        waves(validation_per_class=21).dataset(Path(), 1)


def test_splits_shuffle_all_images_anew_class_by_class():
    published = waves(test_per_class=8).dataset(Path(), 1)
    source = waves(test_per_class=8, splits=3)
    numbers = [number for number, _ in source.identities()]
    splits = [source.dataset(Path(), 1, number) for number in numbers]
    assert numbers == [0, 1, 2]
    for split in splits:
        assert split.test.counts(3) == (8,) * 3
        assert split.pool.counts(3) == (20,) * 3
        assert distinct(*split.all_three) == distinct(*published.all_three)
    tests = [{image.tobytes() for image in s.test.images} for s in [published, *splits]]
    assert len({frozenset(test) for test in tests}) == 4
    mixed = tests[1] & distinct(published.pool)
    assert 0 < len(mixed) < len(tests[1]), "some from each of the two published parts"


def test_each_split_is_named_apart_and_more_of_them_rename_none():
    three = dict(waves(test_per_class=8, splits=3).identities())
    five = dict(waves(test_per_class=8, splits=5).identities())
    assert {number: five[number] for number in three} == three
    assert len({str(fields) for fields in five.values()}) == 5
    ((number, plain),) = waves(test_per_class=8).identities()
    assert number is None
    assert plain not in five.values()


def test_a_share_is_taken_of_every_class_and_leaves_the_counts_uneven(monkeypatch):
    labels = np.repeat([0, 1, 2], [40, 10, 3])
    images = np.arange(53, dtype=np.uint8).reshape(-1, 1, 1, 1) + np.zeros((6, 6, 1), np.uint8)
    whole = Split(images, labels)
    monkeypatch.setattr(Synthetic, "load", lambda self, folder: (whole, whole.at(labels[:0])))
    dataset = waves(test_share=0.25).dataset(Path(), 1)
    assert dataset.test.counts(3) == (10, 3, 1), "to the nearest, halves up, never none"
    assert dataset.pool.counts(3) == (30, 7, 2)
    assert len(distinct(*dataset.all_three)) == 53
    with pytest.raises(DataError, match=r"test_share: class 2 has 3 images; none would be left"):
        waves(test_share=0.9).dataset(Path(), 1)


def test_a_share_of_a_set_with_test_images_is_refused():
    with pytest.raises(DataError, match="has 24 test images of its own; leave this key out"):
        waves(test_share=0.25).dataset(Path(), 1)


def test_whitening_is_fitted_on_the_pool_before_validation_leaves_it(tmp_path):
    """The oracle whitens what the set gives raw; its folder keeps one fit for both."""
    raw = waves(test_per_class=8).dataset(tmp_path, 1)
    keys = {"test_per_class": 8, "preprocess": "gcn_zca"}
    ours = waves(**keys).dataset(tmp_path, 1)
    pool, (test,) = whiten(raw.pool.images, [raw.test.images], tmp_path / "other")
    assert np.array_equal(ours.pool.images, pool)
    assert np.array_equal(ours.test.images, test)
    assert ours.scale == 1.0
    assert ours.pool.images.dtype == np.float32
    held = waves(**keys, validation_per_class=5).dataset(tmp_path, 1)
    assert distinct(held.pool, held.validation) == distinct(ours.pool)
    assert len(list((tmp_path / "whitening").iterdir())) == 1


def test_each_split_is_whitened_by_its_own_training_images(tmp_path):
    source = waves(test_per_class=8, splits=2, preprocess="gcn_zca")
    for number in (0, 1):
        source.dataset(tmp_path, 1, number)
    assert len(list((tmp_path / "whitening").iterdir())) == 2
