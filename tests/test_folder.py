"""Trees of class folders: folder and imagenet, what is read from them, and what is refused."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import pil_loader
from torchvision.transforms import v2

from study.data import folder as folder_module
from study.data import tree as tree_module
from study.data.folder import Folder
from study.data.imagenet import Imagenet
from study.data.own import some
from study.data.pictures import Pictures, View
from study.data.tree import tree
from study.errors import DataError
from tests.conftest import without_privileges


def draw(path, seed=0):
    """A small picture, of a size of its own, in the format that the name's suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    height, width = rng.integers(12, 30, 2)
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)


LEAVES = {
    "ash": ["b.png", "a.JPG", "deep/er/c.jpeg", "deep/a.bmp"],
    "birch": ["10.png", "9.png", "Z.webp"],
    "Cedar": ["x.y.gif", "x.tiff"],
}


def grow(root, leaves=LEAVES):
    for number, (name, files) in enumerate(leaves.items()):
        for position, file in enumerate(files):
            draw(root / name / file, 10 * number + position)


@pytest.fixture
def leaves(tmp_path):
    """Three classes with a test split, and things beside them that are no images."""
    grow(tmp_path / "leaves" / "train")
    grow(tmp_path / "leaves" / "test", {name: ["one.png"] for name in LEAVES})
    train = tmp_path / "leaves" / "train"
    for extra in ("ash/notes.txt", "ash/.hidden.png", "ash/jpg", "list.csv", ".git/x.png"):
        (train / extra).parent.mkdir(exist_ok=True)
        (train / extra).write_bytes(b"no picture")
    (tmp_path / "leaves" / "valid" / "ash").mkdir(parents=True)
    return tmp_path


def of_folder(**fields):
    return Folder(**{"name": "folder", "path": "leaves", "classes": 3, "size": 10, **fields})


# What is read


def test_a_tree_has_the_classes_and_images_of_torchvisions(leaves):
    root = leaves / "leaves" / "train"
    shutil.rmtree(root / ".git")
    (root / "ash" / ".hidden.png").unlink()
    kinds = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tiff"}
    theirs = ImageFolder(root, is_valid_file=lambda path: Path(path).suffix.lower() in kinds)
    found = tree(root, "", theirs.classes)
    ours = zip(found.names.tolist(), found.labels.tolist(), strict=True)
    samples = [(Path(path).relative_to(root).as_posix(), label) for path, label in theirs.samples]
    assert sorted(ours) == sorted(samples)
    assert found.names.tolist() == [
        *("Cedar/x.tiff", "Cedar/x.y.gif"),
        *("ash/a.JPG", "ash/b.png", "ash/deep/a.bmp", "ash/deep/er/c.jpeg"),
        *("birch/10.png", "birch/9.png", "birch/Z.webp"),
    ]


def test_a_folder_gives_its_splits_as_torchvision_reads_them(leaves):
    for split, part in zip(of_folder().load(leaves), ("train", "test"), strict=True):
        root = leaves / "leaves" / part
        names = tree(root, "", ["Cedar", "ash", "birch"]).names
        shrink = v2.Compose([v2.Resize(10, antialias=True), v2.CenterCrop(10)])
        expected = [np.array(shrink(pil_loader(root / name))) for name in names]
        assert np.array_equal(split.images, expected)
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
    assert split.labels.tolist() == [0, 1, 2]
    data = of_folder().dataset(leaves, 1)
    assert (data.pool.counts(3), data.test.counts(3)) == ((2, 4, 3), (1, 1, 1))
    assert data.form == (10, 10, 3, 3)


@pytest.mark.parametrize("augment", ["none", "crop_mirror"])
def test_one_tree_has_no_test_split(augment, tmp_path):
    grow(tmp_path / "leaves")
    mine = of_folder(augment=augment, test_per_class=1)
    train, test = mine.load(tmp_path)
    assert (train.counts(3), len(test), test.images.shape) == ((2, 4, 3), 0, (0, 10, 10, 3))
    data = mine.dataset(tmp_path, 1)
    assert (data.pool.counts(3), data.test.counts(3)) == ((1, 3, 2), (1, 1, 1))


@pytest.mark.parametrize("fields", [{}, {"channels": 1}, {"short_side": 12}])
def test_images_are_the_same_in_memory_and_on_disk(fields, leaves, monkeypatch):
    held = of_folder(**fields).load(leaves)
    monkeypatch.setattr(folder_module, "MOST_IN_MEMORY", held[0].images.nbytes)
    streamed = of_folder(**fields).load(leaves)
    assert len(held) == len(streamed) == 2
    for here, there in zip(held, streamed, strict=True):
        assert isinstance(here.images, np.ndarray)
        assert isinstance(there.images, Pictures)
        assert np.array_equal(here.images, there.images.read_all(2))
        assert np.array_equal(here.labels, there.labels)
    monkeypatch.setattr(folder_module, "MOST_IN_MEMORY", sum(s.images.nbytes for s in held))
    assert isinstance(of_folder(**fields).load(leaves)[0].images, np.ndarray)


def test_what_is_augmented_stays_on_disk_with_room_for_crops(leaves):
    train, test = of_folder(augment="crop_mirror", short_side=12).load(leaves)
    for split in (train, test):
        assert isinstance(split.images, Pictures)
        assert split.images.view == View(12, 10, 3, True)
        assert split.images.root.is_absolute()


def test_the_order_is_that_of_the_names_and_not_the_file_systems(leaves, monkeypatch):
    before = of_folder().load(leaves)[0]

    class Reversed:
        def __init__(self, place):
            with os.scandir(place) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(tree_module, "os", type("Os", (), {"scandir": Reversed}))
    after = of_folder().load(leaves)[0]
    assert np.array_equal(before.images, after.images)


def test_links_to_folders_and_images_are_followed(leaves, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    draw(elsewhere / "more" / "linked.png")
    (leaves / "leaves" / "train" / "ash" / "link").symlink_to(elsewhere / "more")
    (leaves / "leaves" / "train" / "birch" / "link.png").symlink_to(elsewhere / "more/linked.png")
    assert of_folder().load(leaves)[0].counts(3) == (2, 5, 4)


# What is refused


def refusal(source, data):
    with pytest.raises(DataError) as error:
        source.load(data)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_that_is_not_there_is_told_with_what_is(leaves):
    (leaves / "mnist").mkdir()
    told = refusal(of_folder(path="leafs"), leaves)
    assert told == f"{leaves}: holds no 'leafs'; found there: leaves, mnist. Did you mean 'leaves'?"
    told = refusal(of_folder(path="leaves/training/x"), leaves)
    assert told.startswith(f"{leaves / 'leaves'}: holds no 'training'; found there: test, train")
    told = refusal(of_folder(), leaves / "nowhere")
    assert all(word in told for word in (str(leaves / "nowhere"), "leaves", "--data", "STUDY_DATA"))


def test_what_is_no_folder_is_named(leaves):
    (leaves / "file").write_text("")
    for path in ("file", "file/below"):
        told = refusal(of_folder(path=path), leaves)
        assert told == f"{leaves / 'file'}: cannot be read (Not a directory)"


def test_a_path_is_relative_to_the_working_folder_no_longer_than_the_load(leaves, monkeypatch):
    monkeypatch.chdir(leaves)
    images = of_folder(augment="crop_mirror").load(Path())[0].images
    monkeypatch.chdir("/")
    assert images.read(0).shape == (10, 10, 3)


def test_a_folder_without_class_folders_is_told(tmp_path):
    (tmp_path / "leaves").mkdir()
    for number in range(3):
        draw(tmp_path / "leaves" / f"{number}.png")
    told = refusal(of_folder(), tmp_path)
    assert told.startswith(f"{tmp_path / 'leaves'}: found 3 files and no class folder")


def test_another_number_of_classes_is_told_with_their_names(leaves):
    told = refusal(of_folder(classes=75), leaves)
    assert f"{leaves / 'leaves' / 'train'}: found 3 class folders (Cedar, ash, birch)" in told
    assert "needed: 75" in told
    for number in range(20):
        draw(leaves / "leaves" / "train" / f"k{number:02}" / "a.png")
    told = refusal(of_folder(), leaves)
    assert "found 23 class folders (Cedar, ash, birch, k00, k01 and 18 more); needed: 3" in told


def test_splits_of_different_classes_are_told_with_the_names(leaves):
    test = leaves / "leaves" / "test"
    (test / "ash").rename(test / "asch")
    told = refusal(of_folder(), leaves)
    assert "train has 3 classes and test 3" in told
    assert "only in train: ash; only in test: asch" in told
    shutil.rmtree(test / "asch")
    told = refusal(of_folder(), leaves)
    assert "train has 3 classes and test 2" in told
    assert told.endswith("only in train: ash")


@pytest.mark.parametrize(("gone", "left"), [("test", "train"), ("train", "test")])
def test_one_split_without_the_other_is_told(gone, left, leaves):
    shutil.rmtree(leaves / "leaves" / gone)
    told = refusal(of_folder(), leaves)
    assert f"holds no folder {gone}; found: {left}, valid" in told


@pytest.mark.parametrize("part", ["train", "test"])
def test_classes_without_an_image_are_told(part, leaves):
    for name in ("ash", "birch"):
        shutil.rmtree(leaves / "leaves" / part / name)
        (leaves / "leaves" / part / name).mkdir()
    told = refusal(of_folder(), leaves)
    assert str(leaves / "leaves" / part) in told
    assert "no image" in told
    assert told.endswith("ash, birch")


def test_bad_pictures_are_named(leaves):
    bad = leaves / "leaves" / "train" / "ash" / "b.png"
    bad.write_bytes(b"text")
    assert str(bad) in refusal(of_folder(), leaves)


@pytest.mark.parametrize("closed", ["", "train", "train/ash", "train/ash/deep"])
def test_a_folder_that_may_not_be_entered_is_named(closed):
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        grow(data / "leaves" / "train")
        grow(data / "leaves" / "test")
        for path in (data, *data.rglob("*")):
            path.chmod(0o755)
        place = data / "leaves" / closed
        place.chmod(0)
        try:
            with without_privileges():
                told = refusal(of_folder(), data)
        finally:
            place.chmod(0o755)
        assert told == f"{place}: cannot be read (Permission denied)"


def test_a_loop_of_links_is_told(leaves):
    ash = leaves / "leaves" / "train" / "ash"
    (ash / "loop").symlink_to(ash)
    told = refusal(of_folder(), leaves)
    assert "ash/loop" in told
    assert "a second time" in told


@pytest.mark.parametrize(
    ("fields", "key", "words"),
    [
        ({"path": "/leaves"}, "path", "below the data folder"),
        ({"path": "../leaves"}, "path", "without .."),
        ({"path": "a/../../b"}, "path", "without .."),
        ({"path": "C:/leaves"}, "path", "below the data folder"),
        ({"path": "a\\b"}, "path", "below the data folder"),
        ({"path": "a\0b"}, "path", "below the data folder"),
        ({"path": ""}, "path", "below the data folder"),
        ({"path": "./"}, "path", "below the data folder"),
        ({"path": 5}, "path", "string"),
        ({"classes": 1}, "classes", "greater than or equal to 2"),
        ({"classes": 100_001}, "classes", "less than or equal to 100000"),
        ({"classes": 2.0}, "classes", "integer"),
        ({"size": 0}, "size", "greater than or equal to 1"),
        ({"size": 1025}, "size", "less than or equal to 1024"),
        ({"channels": 2}, "channels", "1 (grey), 3 (colour)"),
        ({"channels": True}, "channels", "integer"),
        ({"short_side": 9}, "short_side", "at least size, which is 10"),
        ({"augment": "flip"}, "augment", "'none' or 'crop_mirror'"),
    ],
)
def test_a_key_that_is_wrong_is_refused_in_words(fields, key, words):
    with pytest.raises(ValidationError) as error:
        of_folder(**fields)
    (one,) = error.value.errors()
    assert one["loc"] == (key,)
    assert words in one["msg"]


def test_a_path_has_one_spelling_in_the_identity():
    spellings = ("mine/leaves", "./mine/leaves", "mine//leaves/", "mine/./leaves")
    assert {of_folder(path=path).path for path in spellings} == {"mine/leaves"}
    assert of_folder().identity() == {"name": "folder", "path": "leaves", "classes": 3, "size": 10}


def test_a_list_of_names_says_how_many_more_there_are():
    assert (some([]), some(["a"])) == ("nothing", "a")
    assert some(list("abcdefgh"), 3) == "a, b, c and 5 more"


# imagenet


@pytest.fixture
def small_imagenet(tmp_path):
    """The folders of ILSVRC-2012 with a photograph in each."""
    draw(tmp_path / "one.jpg")
    content = (tmp_path / "one.jpg").read_bytes()
    for part, stem in (("train", "{wnid}_1"), ("val", "ILSVRC2012_val_1")):
        for number in range(1000):
            place = tmp_path / "imagenet" / part / f"n{number:08}"
            place.mkdir(parents=True)
            (place / f"{stem.format(wnid=place.name)}.JPEG").write_bytes(content)
    return tmp_path


def of_imagenet():
    return Imagenet(name="imagenet")


def test_imagenet_stays_on_disk(small_imagenet):
    train, val = of_imagenet().load(small_imagenet)
    for split in (train, val):
        assert split.images.shape == (1000, 224, 224, 3)
        assert split.images.view == View(256, 224, 3, True)
        assert np.array_equal(split.labels, np.arange(1000))
    assert train.images.names[7] == "train/n00000007/n00000007_1.JPEG"
    assert val.images.names[999] == "val/n00000999/ILSVRC2012_val_1.JPEG"
    shrink = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])
    expected = np.array(shrink(pil_loader(small_imagenet / "one.jpg")))
    assert np.array_equal(val.images.read(3), expected)
    assert of_imagenet().form == (224, 224, 3, 1000)
    assert of_imagenet().dataset(small_imagenet, 1).test.counts(1000) == (1,) * 1000


def test_what_is_missing_of_imagenet_is_named(small_imagenet):
    root = small_imagenet / "imagenet"
    shutil.rmtree(root / "val" / "n00000004")
    told = refusal(of_imagenet(), small_imagenet)
    assert "train has 1,000 classes and val 999" in told
    assert "only in train: n00000004" in told
    shutil.rmtree(root / "train" / "n00000004")
    told = refusal(of_imagenet(), small_imagenet)
    assert f"{root / 'train'}: found 999 class folders (n00000000, " in told
    assert "needed: 1,000" in told
    (root / "val").rename(small_imagenet / "sorted")
    told = refusal(of_imagenet(), small_imagenet)
    assert f"{root}: holds no folder val; found: train; needed: train and val" in told
    root.rename(small_imagenet / "ilsvrc")
    told = refusal(of_imagenet(), small_imagenet)
    assert told.startswith(f"{small_imagenet}: holds no 'imagenet'; found there: ilsvrc, one.jpg")


def test_val_as_published_must_be_sorted_first(small_imagenet):
    val = small_imagenet / "imagenet" / "val"
    val.rename(small_imagenet / "sorted")
    val.mkdir()
    for number in range(1, 1235):
        (val / f"ILSVRC2012_val_{number:08}.JPEG").write_bytes(b"")
    told = refusal(of_imagenet(), small_imagenet)
    assert f"{val}: found 1,234 files and no class folder" in told
    assert "sorted into a folder for each class" in told
