"""CIFAR-10's files: read as they were written, and told about when missing or damaged."""

import hashlib
import os
import pickle
import struct
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets

from study.data.cifar10 import FOLDER, Cifar10
from study.errors import DataError
from tests.conftest import ROOT, without_privileges

EACH = 20
NAMES = tuple(Cifar10.md5)


def python_2_pickle(labels, data, title):
    """The bytes of a batch as Python 2 and the NumPy of its day pickled it, opcode by opcode."""

    def text(word):
        return b"U" + bytes([len(word)]) + word

    def number(n):
        return b"K" + bytes([n]) if n < 256 else b"M" + struct.pack("<H", n)

    raw = data.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + (b"(K\x01" + number(data.shape[0]) + number(data.shape[1]) + b"\x86")
        + (b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff")
        + b"K\x00tb"
        + (b"\x89T" + struct.pack("<I", len(raw)) + raw + b"tb")
    )
    names = b"".join(text(b"photo_s_%06d.png" % n) for n in range(len(labels)))
    return (
        (b"\x80\x02}(" + text(b"batch_label") + text(title))
        + (text(b"labels") + b"](" + b"".join(map(number, labels)) + b"e")
        + (text(b"data") + array)
        + (text(b"filenames") + b"](" + names + b"eu.")
    )


@pytest.fixture
def small_cifar(monkeypatch):
    """Writes small batches and has Cifar10 believe in them; gives labels and rows by name."""

    def write(folder):
        rng = np.random.default_rng(0)
        (folder / FOLDER).mkdir(parents=True)
        written, digests = {}, {}
        for name in NAMES:
            labels = rng.integers(0, 10, EACH).tolist()
            data = rng.integers(0, 256, (EACH, 3072), np.uint8)
            content = python_2_pickle(labels, data, name.encode())
            (folder / FOLDER / name).write_bytes(content)
            written[name], digests[name] = (labels, data), hashlib.md5(content).hexdigest()
        monkeypatch.setattr(Cifar10, "md5", digests)
        return written

    return write


@pytest.fixture
def open_folder():
    """A folder that everyone may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def believing_torchvision(small_cifar, monkeypatch):
    """Writes small batches that torchvision believes in as well, and the file of class names."""

    def write(folder):
        written = small_cifar(folder)
        lists = [[name, md5] for name, md5 in Cifar10.md5.items()]
        meta = pickle.dumps({"label_names": [str(n) for n in range(10)]})
        (folder / FOLDER / "batches.meta").write_bytes(meta)
        theirs = torchvision.datasets.CIFAR10
        monkeypatch.setattr(theirs, "train_list", lists[:5])
        monkeypatch.setattr(theirs, "test_list", lists[5:])
        monkeypatch.setattr(theirs, "meta", {**theirs.meta, "md5": hashlib.md5(meta).hexdigest()})
        return written

    return write


@pytest.fixture
def offline(monkeypatch):
    def fail(*words, **options):
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", fail)


def load(folder):
    return Cifar10(name="cifar10").load(folder)


def test_the_files_and_digests_are_torchvisions():
    theirs = torchvision.datasets.CIFAR10
    assert theirs.base_folder == FOLDER
    assert [
        [name, md5] for name, md5 in Cifar10.md5.items()
    ] == theirs.train_list + theirs.test_list


def test_every_pixel_is_where_the_file_has_it(small_cifar, tmp_path):
    written = small_cifar(tmp_path)
    train, test = load(tmp_path)
    assert (train.images.shape, test.images.shape) == ((5 * EACH, 32, 32, 3), (EACH, 32, 32, 3))
    wanted = np.concatenate([written[name][1] for name in NAMES[:5]]), written[NAMES[5]][1]
    for split, rows in zip((train, test), wanted, strict=True):
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert split.images.flags.c_contiguous
        for y, x, colour in np.ndindex(32, 32, 3):
            place = colour * 1024 + y * 32 + x
            assert np.array_equal(split.images[:, y, x, colour], rows[:, place])
    assert train.labels.tolist() == [n for name in NAMES[:5] for n in written[name][0]]
    assert test.labels.tolist() == written[NAMES[5]][0]


def test_images_and_labels_are_those_that_torchvision_reads(believing_torchvision, tmp_path):
    believing_torchvision(tmp_path)
    for split, train in zip(load(tmp_path), (True, False), strict=True):
        theirs = torchvision.datasets.CIFAR10(tmp_path, train=train)
        assert np.array_equal(split.images, theirs.data)
        assert split.labels.tolist() == theirs.targets


def test_the_set_is_of_its_form(small_cifar, tmp_path):
    small_cifar(tmp_path)
    data = Cifar10(name="cifar10").dataset(tmp_path, 0)
    assert data.form == (32, 32, 3, 10)
    assert (len(data.pool), len(data.test)) == (5 * EACH, EACH)


def test_an_archive_that_lies_there_is_unpacked(
    believing_torchvision, offline, monkeypatch, tmp_path
):
    believing_torchvision(tmp_path)
    expected = load(tmp_path)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as out:
        out.add(tmp_path / FOLDER, FOLDER)
    for path in (tmp_path / FOLDER).iterdir():
        path.unlink()
    (tmp_path / FOLDER).rmdir()
    digest = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", digest)
    for split, same in zip(load(tmp_path), expected, strict=True):
        assert np.array_equal(split.images, same.images)
        assert np.array_equal(split.labels, same.labels)


@pytest.mark.parametrize("name", ["data_batch_1", "data_batch_4", "test_batch"])
@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:-9] + b"!" * 9, lambda b: b""])
def test_a_damaged_file_is_named_with_both_digests(damage, name, small_cifar, tmp_path):
    small_cifar(tmp_path)
    path = tmp_path / FOLDER / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as error:
        load(tmp_path)
    found = hashlib.md5(path.read_bytes()).hexdigest()
    assert all(word in str(error.value) for word in (str(path), found, Cifar10.md5[name]))


class Bomb:
    """What leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_file_that_is_not_the_published_one_is_never_unpickled(small_cifar, tmp_path):
    small_cifar(tmp_path)
    crater = tmp_path / "crater"
    bomb = pickle.dumps(Bomb(crater))
    (tmp_path / FOLDER / "test_batch").write_bytes(bomb)
    with pytest.raises(DataError, match="test_batch: not the published file"):
        load(tmp_path)
    assert not crater.exists()
    pickle.loads(bomb)
    assert crater.exists()


def test_files_in_one_anothers_place_are_refused(small_cifar, tmp_path):
    small_cifar(tmp_path)
    first, second = (tmp_path / FOLDER / name for name in NAMES[:2])
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(DataError, match="data_batch_1: not the published file"):
        load(tmp_path)


@pytest.mark.parametrize("gone", [NAMES, ("data_batch_2", "test_batch")])
def test_missing_files_are_named_with_the_ways_out(gone, small_cifar, offline, tmp_path):
    small_cifar(tmp_path)
    for name in gone:
        (tmp_path / FOLDER / name).unlink()
    with pytest.raises(DataError) as error:
        load(tmp_path)
    told = str(error.value)
    ways = ["dataset cifar10", "no network", "--data", "STUDY_DATA", str(tmp_path / FOLDER)]
    assert all(word in told for word in [*gone, *ways])
    assert not any(f"{name}," in told or f"{name} " in told for name in {*NAMES} - {*gone})
    assert "the folder that holds cifar-10-batches-py with" in told


def test_without_the_folder_the_files_are_asked_of_torchvision(offline, tmp_path):
    with pytest.raises(DataError) as error:
        load(tmp_path / "nothing")
    assert all(name in str(error.value) for name in [*NAMES, "no network"])


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("Error downloading:\nTried this,\n  got that\n"),
        tarfile.ReadError("a link outside"),
        OSError("disk full"),
        EOFError("ended early"),
    ],
)
def test_why_fetching_failed_is_told_in_one_line(failure, monkeypatch, tmp_path):
    def fail(*words, **options):
        raise failure

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert f"({' '.join(str(failure).split())})" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_in_the_place_of_a_file_is_named(small_cifar, offline, tmp_path):
    small_cifar(tmp_path)
    path = tmp_path / FOLDER / "data_batch_3"
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="cifar10: data_batch_3 missing from"):
        load(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_named(offline, tmp_path):
    (tmp_path / FOLDER).write_text("")
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert str(tmp_path / FOLDER) in str(error.value)


def test_a_file_that_may_not_be_read_is_named(small_cifar, open_folder):
    small_cifar(open_folder)
    path = open_folder / FOLDER / "data_batch_2"
    path.chmod(0)
    with without_privileges(), pytest.raises(DataError) as error:
        load(open_folder)
    assert f"{path}: cannot be read (Permission denied)" == str(error.value)


def test_a_folder_that_may_not_be_entered_is_named(small_cifar, open_folder, offline):
    small_cifar(open_folder)
    batches = open_folder / FOLDER
    batches.chmod(0)
    try:
        with without_privileges(), pytest.raises(DataError) as error:
            load(open_folder)
    finally:
        batches.chmod(0o755)
    assert str(batches) in str(error.value)


def test_the_published_set_is_balanced():
    folder = Path(os.environ.get("STUDY_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / FOLDER / "test_batch").is_file():
        pytest.skip(f"no CIFAR-10 in {folder}: name its folder in STUDY_DATA")
    train, test = load(folder)
    assert (train.counts(10), test.counts(10)) == ((5000,) * 10, (1000,) * 10)
    assert (train.images.shape, test.images.shape) == ((50_000, 32, 32, 3), (10_000, 32, 32, 3))
