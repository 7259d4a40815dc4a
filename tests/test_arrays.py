"""npz and pt: arrays of a user's own in one file, in any layout, and everything that is refused."""

import io
import zipfile

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from study.data.arrays import Arrays, Npz, Pt
from study.errors import DataError

SOURCES = {"npz": Npz, "pt": Pt}


def save(path, arrays):
    """Arrays as the file's suffix says."""
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        torch.save({key: torch.from_numpy(value) for key, value in arrays.items()}, path)


def source(kind, **fields):
    form = {"height": 4, "width": 5, "channels": 3, "classes": 6}
    return SOURCES[kind](**{"name": kind, "path": f"mine.{kind}", **form, **fields})


def random(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def labels(n, dtype=np.int64):
    return (np.arange(n) % 6).astype(dtype)


def arrays(**changes):
    """The arrays of a set with a test split; None takes one away."""
    whole = {
        "train_images": random(12, 4, 5, 3),
        "train_labels": labels(12),
        "test_images": random(7, 4, 5, 3, seed=1),
        "test_labels": labels(7),
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


both = pytest.mark.parametrize("kind", SOURCES)


# What is read


@both
def test_both_splits_are_what_was_stored(kind, tmp_path):
    stored = arrays()
    save(tmp_path / f"mine.{kind}", stored)
    for split, part in zip(source(kind).load(tmp_path), ("train", "test"), strict=True):
        assert np.array_equal(split.images, stored[f"{part}_images"])
        assert np.array_equal(split.labels, stored[f"{part}_labels"])
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert split.images.flags.c_contiguous
    data = source(kind).dataset(tmp_path, 1)
    assert (data.scale, data.form, len(data.test)) == (1 / 256, (4, 5, 3, 6), 7)


@both
@pytest.mark.parametrize("prefix", ["", "train_"])
def test_a_set_of_one_part_has_no_test_split(kind, prefix, tmp_path):
    images = random(12, 4, 5, 3)
    save(tmp_path / f"mine.{kind}", {f"{prefix}images": images, f"{prefix}labels": labels(12)})
    train, test = source(kind).load(tmp_path)
    assert np.array_equal(train.images, images)
    assert (len(test), test.images.shape) == (0, (0, 4, 5, 3))


@both
def test_any_order_of_the_axes_is_brought_to_channels_last(kind, tmp_path):
    path, images = tmp_path / f"mine.{kind}", random(12, 4, 5, 3)
    save(path, {"images": images.transpose(0, 3, 1, 2).copy(), "labels": labels(12)})
    assert np.array_equal(source(kind).load(tmp_path)[0].images, images)
    grey = images[..., :1].copy()
    for stored in (grey, grey[..., 0], grey.transpose(0, 3, 1, 2)):
        save(path, {"images": stored.copy(), "labels": labels(12)})
        assert np.array_equal(source(kind, channels=1).load(tmp_path)[0].images, grey)


@both
def test_what_may_be_read_either_way_is_read_as_the_format_is_mostly_used(kind, tmp_path):
    images = random(12, 3, 3, 3)
    save(tmp_path / f"mine.{kind}", {"images": images, "labels": labels(12)})
    found = source(kind, height=3, width=3).load(tmp_path)[0].images
    expected = images if kind == "npz" else np.moveaxis(images, 1, -1)
    assert np.array_equal(found, expected)


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_reach_the_net_as_they_are(kind, dtype, tmp_path):
    images = np.random.default_rng(0).normal(0, 3, (12, 4, 5, 3)).astype(dtype)
    save(tmp_path / f"mine.{kind}", {"images": images, "labels": labels(12)})
    mine = source(kind, pixels="numbers")
    found = mine.load(tmp_path)[0].images
    assert (found.dtype, mine.scale, source(kind).scale) == (np.float32, 1, 1 / 256)
    assert np.array_equal(found, images.astype(np.float32))


@both
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "uint64", "float32"])
def test_labels_are_whole_numbers_of_any_kind_and_in_a_row_or_a_column(kind, dtype, tmp_path):
    for shape in ((12,), (12, 1)):
        stored = labels(12, dtype).reshape(shape)
        save(tmp_path / f"mine.{kind}", {"images": random(12, 4, 5, 3), "labels": stored})
        found = source(kind).load(tmp_path)[0].labels
        assert (found.dtype, found.tolist()) == (np.int64, labels(12).tolist())


def test_yes_and_no_are_labels_of_two_classes(tmp_path):
    np.savez(tmp_path / "mine.npz", images=random(12, 4, 5, 3), labels=np.arange(12) % 2 == 1)
    found = source("npz", classes=2).load(tmp_path)[0].labels
    assert found.tolist() == [0, 1] * 6


def test_whatever_else_lies_in_the_file_is_left_alone(tmp_path):
    names = np.array(["a", None], object)  # cannot be loaded without unpickling
    np.savez(tmp_path / "mine.npz", **arrays(), val_images=random(2, 9), names=names)
    content = {key: torch.from_numpy(value) for key, value in arrays().items()}
    torch.save({**content, "names": ["a", "b"], 5: None}, tmp_path / "mine.pt")
    for kind in SOURCES:
        assert [len(split) for split in source(kind).load(tmp_path)] == [12, 7]


def test_a_tensor_may_be_a_transposed_part_of_another_that_learns(tmp_path):
    whole = torch.rand(2, 12, 3, 5, 4, requires_grad=True)
    part = whole[1].transpose(2, 3)
    torch.save({"images": part, "labels": torch.arange(12) % 6}, tmp_path / "mine.pt")
    found = source("pt", pixels="numbers").load(tmp_path)[0].images
    assert np.array_equal(found, part.detach().permute(0, 2, 3, 1).numpy())
    assert found.flags.c_contiguous


# What is refused


def refusal(mine, folder):
    with pytest.raises(DataError) as error:
        mine.load(folder)
    told = str(error.value)
    assert str(folder) in told
    assert not {"\n", "\x1b"} & set(told)
    return told


@both
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_images": None}, ["keys test_labels, train_images, train_labels; needed: train_i"]),
        ({"train_labels": None}, ["keys test_images, test_labels, train_images; needed"]),
        ({"images": random(2, 4, 5, 3)}, ["images, test_images, ", "or images and labels alone"]),
        ({"train_images": random(12, 5, 4, 3)}, ["train_images", "(12, 5, 4, 3)", "(n, 4, 5, 3)"]),
        ({"train_images": random(12, 4, 5)}, ["(12, 4, 5)", "(n, 4, 5, 3)", "(n, 3, 4, 5)"]),
        ({"test_images": random(7, 60)}, ["test_images", "(7, 60)"]),
        ({"test_images": random(0, 4, 5, 3)}, ["test_images", "no image"]),
        ({"train_images": random(11, 4, 5, 3)}, ["11 train_images and 12 train_labels"]),
        ({"train_labels": labels(12) + 1}, ["train_labels", "from 1 to 6", "0 to 5"]),
        ({"test_labels": labels(7) - 1}, ["test_labels", "from -1 to", "0 to 5"]),
        ({"train_labels": labels(12) + 0.5}, ["train_labels", "not whole"]),
        ({"train_labels": np.full(12, np.nan)}, ["train_labels", "not whole"]),
        ({"train_labels": np.full(12, np.inf)}, ["train_labels", "not whole"]),
        ({"train_labels": labels(12) + 1j}, ["train_labels", "complex128"]),
        ({"train_labels": np.eye(6)[labels(12)]}, ["(12, 6)", "(n,) or (n, 1)"]),
        ({"train_labels": labels(12, np.float64) * 1e30}, ["train_labels", "0 to 5"]),
        ({"train_images": random(12, 4, 5, 3, dtype=np.int64)}, ["int64", "says: bytes", "uint8"]),
        ({"train_images": random(12, 4, 5, 3, dtype=np.float32)}, ["float32", "numbers for fl"]),
    ],
)
def test_arrays_that_do_not_fit_are_told_by_file_and_key(kind, changes, words, tmp_path):
    save(tmp_path / f"mine.{kind}", arrays(**changes))
    told = refusal(source(kind), tmp_path)
    assert all(word in told for word in [f"mine.{kind}", *words]), told


@both
def test_numbers_must_be_floats_and_finite(kind, tmp_path):
    path, mine = tmp_path / f"mine.{kind}", source(kind, pixels="numbers")
    for stored, words in (
        (random(12, 4, 5, 3), ["uint8", "says: numbers", "bytes for uint8"]),
        (random(12, 4, 5, 3, dtype=np.float16), ["float16", "numbers for float32 or float64"]),
    ):
        save(path, {"images": stored, "labels": labels(12)})
        told = refusal(mine, tmp_path)
        assert all(word in told for word in words), told
    for value in (np.nan, np.inf, -np.inf, 1e39):
        stored = random(12, 4, 5, 3, dtype=np.float64)
        stored[[4, 9], 1, 2, 0] = value
        save(path, {"images": stored, "labels": labels(12)})
        assert "in 2 images, the first of them number 4" in refusal(mine, tmp_path)


def file_of(write):
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def zip_of(**members):
    def write(file):
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members.items():
                archive.writestr(f"{name}.npy", content)

    return file_of(write)


def npz_of(**stored):
    return file_of(lambda file: np.savez(file, **stored))


WHOLE = npz_of(images=random(12, 4, 5, 3), labels=labels(12))
FLIPPED = WHOLE[:400] + bytes([WHOLE[400] ^ 255]) + WHOLE[401:]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["not an archive"]),
        (b"text", ["not an archive"]),
        (WHOLE[: len(WHOLE) // 2], ["not an archive", "not all of it"]),
        (FLIPPED, ["images", "CRC"]),
        (file_of(lambda file: np.save(file, labels(3))), ["not an archive"]),
        (zip_of(), ["the keys nothing; needed: train_images and"]),
        (zip_of(images=b"text", labels=b"text"), ["not an array"]),
        (zip_of(images=b"\x93NUMPY\1\0\4\0oops", labels=b""), ["cannot be read"]),
        (npz_of(images=np.array([None]), labels=labels(12)), ["images: ", "Object arrays"]),
        (npz_of(images=random(12, 4, 5, 3), labels=np.array(["a"] * 12)), ["labels: ", "str32"]),
    ],
)
def test_a_file_that_is_no_npz_is_named_with_the_reason(content, words, tmp_path):
    (tmp_path / "mine.npz").write_bytes(content)
    told = refusal(source("npz"), tmp_path)
    assert all(word in told for word in ["mine.npz", *words]), told


def pt_of(content):
    return file_of(lambda file: torch.save(content, file))


class Evil:
    """What unpickling would run."""

    def __reduce__(self):
        return print, ("unpickled",)


TENSORS = {"images": torch.zeros(12, 3, 4, 5, dtype=torch.uint8), "labels": torch.zeros(12)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["cannot be read"]),
        (b"text", ["not written by torch.save"]),
        (pt_of(TENSORS)[:900], ["cannot be read"]),
        (pt_of({**TENSORS, "more": Evil()}), ["more in it than tensors"]),
        (pt_of({**TENSORS, "images": random(12, 4, 5, 3)}), ["more in it than tensors"]),
        (pt_of(TENSORS["images"]), ["found a Tensor; needed: a dict of tensors"]),
        (pt_of([TENSORS]), ["found a list"]),
        (pt_of({**TENSORS, "labels": [0] * 12}), ["labels: found a list; needed: a tensor"]),
        (pt_of({**TENSORS, "images": TENSORS["images"].bfloat16()}), ["images: ", "BFloat16"]),
        (pt_of({**TENSORS, "labels": torch.eye(12).to_sparse()}), ["labels: ", "parse"]),
        (pt_of({}), ["the keys nothing; needed: train_images and"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Validating sparse")
def test_a_file_that_is_no_dict_of_tensors_is_named_with_the_reason(
    content, words, tmp_path, capfd
):
    (tmp_path / "mine.pt").write_bytes(content)
    told = refusal(source("pt"), tmp_path)
    assert all(word in told for word in ["mine.pt", *words]), told
    assert "unpickled" not in capfd.readouterr().out


@both
def test_a_file_that_is_not_there_is_told_with_what_is(kind, tmp_path):
    (tmp_path / f"mine2.{kind}").mkdir()
    told = refusal(source(kind), tmp_path)
    assert f"holds no 'mine.{kind}'; found there: mine2.{kind}. Did you mean" in told
    told = refusal(source(kind, path=f"mine2.{kind}"), tmp_path)
    assert told == f"{tmp_path / f'mine2.{kind}'}: cannot be read (Is a directory)"


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"path": "/mine.npz"}, "path"),
        ({"path": "../mine.npz"}, "path"),
        ({"height": 0}, "height"),
        ({"width": 1025}, "width"),
        ({"channels": 17}, "channels"),
        ({"channels": 0}, "channels"),
        ({"classes": 1}, "classes"),
        ({"pixels": "floats"}, "pixels"),
        ({"channels_last": True}, "channels_last"),
    ],
)
def test_a_key_that_is_wrong_is_refused(fields, key):
    for kind in SOURCES:
        with pytest.raises(ValidationError) as error:
            source(kind, **fields)
        assert [one["loc"] for one in error.value.errors()] == [(key,)]


def test_the_kind_of_pixels_is_known_without_the_file():
    assert issubclass(Npz, Arrays)
    assert source("npz").identity().keys().isdisjoint({"pixels", "channels_last"})
    assert source("npz", pixels="numbers").identity()["pixels"] == "numbers"
