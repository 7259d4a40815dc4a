"""Whitening: against float64 formulas of another make, by its properties, and what it keeps."""

import math
import os
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from study.data import whitening
from study.data.whitening import MOST, RIDGE, Zca, contrast, fit, whiten
from tests.conftest import without_privileges

SHAPE = (4, 5, 3)
WIDTH = math.prod(SHAPE)


def photos(n, seed=0, dtype=np.uint8):
    """Images whose pixels go together, as a photograph's do."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((6, WIDTH))
    flat = 120 + 18 * rng.standard_normal((n, 6)) @ mixing + 6 * rng.standard_normal((n, WIDTH))
    images = np.clip(flat, 0, 255).reshape(n, *SHAPE)
    return images.astype(np.uint8) if dtype == np.uint8 else (images / 255).astype(dtype)


def equal_contrast(images):
    """The contrast of images, one at a time."""
    result = []
    for image in images.astype(np.float64):
        rest = image - np.mean(image)
        norm = math.sqrt(math.fsum((rest**2).ravel()))
        result.append(rest if norm < 1e-8 else rest * 55 / norm)
    return np.stack(result)


def direct(train, *others):
    """Whitened images by the inverse of the root of a matrix, in float64."""
    train, *others = (
        equal_contrast(images).reshape(len(images), -1) for images in (train, *others)
    )
    covariance = np.cov(train, rowvar=False, bias=True) + 0.1 * np.eye(train.shape[1])
    matrix = scipy.linalg.inv(scipy.linalg.sqrtm(covariance))
    return [(rows - train.mean(axis=0)) @ matrix for rows in (train, *others)]


@pytest.fixture(params=[7, 2048])
def chunk(request, monkeypatch):
    """Chunks much smaller than the images, the last a part of one; or one chunk."""
    monkeypatch.setattr(whitening, "CHUNK", request.param)


@pytest.fixture
def fits(monkeypatch):
    """Counts the fits."""
    counted = []

    def counting(images):
        counted.append(len(images))
        return fit(images)

    monkeypatch.setattr(whitening, "fit", counting)
    return counted


@pytest.fixture
def open_folder():
    """A folder that everyone may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


# Contrast


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.usefixtures("chunk")
def test_contrast_is_the_formulas(dtype):
    images = photos(40, dtype=dtype)
    before = images.copy()
    even = contrast(images)
    assert (even.shape, even.dtype) == (images.shape, np.float32)
    np.testing.assert_allclose(even, equal_contrast(images), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(even.sum(axis=(1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(even.reshape(40, -1), axis=1), 55, rtol=1e-6)
    assert np.array_equal(images, before)


@pytest.mark.parametrize("value", [np.uint8(0), np.uint8(255), np.float32(0.1), np.float32(1e30)])
def test_an_image_of_one_value_has_no_contrast(value):
    assert np.all(contrast(np.full((3, 32, 32, 3), value)) == 0)


@pytest.mark.parametrize(("norm", "after"), [(0.9e-8, 0.9e-8), (1.1e-8, 55)])
def test_a_norm_below_the_floor_is_left_alone(norm, after):
    signs = np.where(np.arange(WIDTH) % 2, 1, -1).reshape(1, *SHAPE)
    even = contrast((signs * norm / math.sqrt(WIDTH)).astype(np.float32))
    np.testing.assert_allclose(even, signs * after / math.sqrt(WIDTH), rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(value, tmp_path):
    images = photos(9, dtype=np.float32)
    images[5, 1, 2, 0] = value
    with pytest.raises(ValueError, match="not finite"):
        contrast(images)
    with pytest.raises(ValueError, match="not finite"):
        whiten(photos(9, dtype=np.float32), [images], tmp_path)


# ZCA


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("n", [300, 20, 1])  # twenty images span a third of the directions
@pytest.mark.usefixtures("chunk")
def test_whitened_images_are_those_of_the_formula(n, dtype, tmp_path):
    train, test, one = photos(n, dtype=dtype), photos(30, 1, dtype), photos(1, 2, dtype)
    before = train.copy(), test.copy()
    own, others = whiten(train, [test, one], tmp_path)
    for found, wanted in zip((own, *others), direct(train, test, one), strict=True):
        assert (found.shape, found.dtype) == ((len(wanted), *SHAPE), np.float32)
        np.testing.assert_allclose(found.reshape(wanted.shape), wanted, atol=2e-4)
    assert all(np.array_equal(a, b) for a, b in zip((train, test), before, strict=True))


def test_each_eigen_direction_keeps_its_variance_over_itself_and_the_ridge(tmp_path):
    train = photos(400)
    rows = equal_contrast(train).reshape(400, -1)
    variances, directions = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True))
    assert variances[0] < 1e-9  # of brightness, which every image has lost
    assert (variances > 100 * RIDGE).any()
    own, _ = whiten(train, [], tmp_path)
    after = own.reshape(400, -1).astype(np.float64) @ directions
    np.testing.assert_allclose(after.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(after.var(axis=0), variances / (variances + RIDGE), atol=1e-5)
    across = np.cov(after, rowvar=False, bias=True)
    np.testing.assert_allclose(across - np.diag(np.diag(across)), 0, atol=1e-5)


def test_the_matrix_is_symmetric_and_positive_and_shrinks_nothing_above_the_ridge():
    zca = fit(contrast(photos(200)))
    assert (zca.mean.shape, zca.matrix.shape) == ((WIDTH,), (WIDTH, WIDTH))
    assert zca.mean.dtype == zca.matrix.dtype == np.float32
    assert np.array_equal(zca.matrix, zca.matrix.T)
    factors = np.linalg.eigvalsh(zca.matrix.astype(np.float64))
    assert factors[0] > 0
    assert factors[-1] <= RIDGE**-0.5 * (1 + 1e-6)


def test_other_images_are_taken_by_the_training_images_mean_and_matrix(tmp_path):
    train, test = photos(200), photos(50, 1) // 2
    zca = fit(contrast(train))
    own, (others,) = whiten(train, [test], tmp_path)
    assert np.array_equal(own, zca.apply(contrast(train)))
    assert np.array_equal(others, zca.apply(contrast(test)))
    assert not np.allclose(others, whiten(test, [], tmp_path)[0], atol=0.1)


def test_the_order_of_the_training_images_plays_no_part():
    even = contrast(photos(250))
    one, other = fit(even), fit(even[np.random.default_rng(3).permutation(250)])
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-6)
    np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-6)


def test_training_images_that_are_all_one_leave_the_ridge_alone(tmp_path):
    same = np.full((12, *SHAPE), 77, np.uint8)
    zca = fit(same)
    assert np.all(zca.mean == 77)
    np.testing.assert_allclose(zca.matrix, np.eye(WIDTH) * RIDGE**-0.5, atol=1e-6)
    own, (others,) = whiten(same, [photos(5)], tmp_path)
    assert np.all(own == 0)
    expected = equal_contrast(photos(5)) * RIDGE**-0.5
    np.testing.assert_allclose(others, expected, rtol=1e-5, atol=1e-4)


def test_rounding_at_a_large_scale_leaves_no_root_of_a_negative_variance():
    large = np.random.default_rng(0).standard_normal((20, *SHAPE)).astype(np.float32) * 1e12
    assert np.isfinite(fit(large).matrix).all()


def test_images_lying_in_another_order_of_memory_are_the_same_images(tmp_path, fits):
    train = photos(60)
    turned = np.ascontiguousarray(train.transpose(3, 0, 1, 2)).transpose(1, 2, 3, 0)
    assert np.array_equal(turned, train)
    assert not turned.flags.c_contiguous
    assert np.array_equal(whiten(train, [], tmp_path)[0], whiten(turned, [], tmp_path)[0])
    assert len(fits) == 1


def test_images_may_be_written_over():
    zca, images = fit(photos(30)), photos(30, dtype=np.float32)
    expected = zca.apply(images)
    assert zca.apply(images, out=images) is images
    assert np.array_equal(images, expected)


# What is refused


@pytest.mark.parametrize("width", [4097, 150_528])
def test_images_of_too_many_values_are_refused_before_anything_is_done(
    width, monkeypatch, tmp_path
):
    assert MOST == 4096
    wide = np.zeros((2, width), np.uint8)
    monkeypatch.setattr(whitening, "contrast", None)
    for refused in (lambda: fit(wide), lambda: whiten(wide, [], tmp_path)):
        with pytest.raises(ValueError, match=f"images of {width:,} values; .* at most 4,096"):
            refused()


def test_images_of_as_many_values_as_allowed_are_whitened(monkeypatch, tmp_path):
    monkeypatch.setattr(whitening, "MOST", WIDTH)
    whiten(photos(9), [], tmp_path)
    monkeypatch.setattr(whitening, "MOST", WIDTH - 1)
    with pytest.raises(ValueError, match=f"{WIDTH} values"):
        whiten(photos(9), [], tmp_path)


def test_no_images_cannot_be_fitted_on_but_may_be_whitened(tmp_path):
    with pytest.raises(ValueError, match="no images"):
        whiten(photos(0), [photos(5)], tmp_path)
    _, (others,) = whiten(photos(9), [photos(0)], tmp_path)
    assert (others.shape, others.dtype) == ((0, *SHAPE), np.float32)


# What is kept


def kept(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_fit_is_found_again_and_gives_the_same_bits(fits, tmp_path):
    cache = tmp_path / "not" / "yet"
    first = whiten(photos(90), [photos(9, 1)], cache)
    assert (len(fits), len(kept(cache))) == (1, 1)
    again = whiten(photos(90), [photos(9, 1)], cache)
    assert (len(fits), len(kept(cache))) == (1, 1)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1][0], again[1][0])
    size = (cache / kept(cache)[0]).stat().st_size
    assert size < 4 * (WIDTH + 1) * WIDTH + 100  # the transform, and not the images


def test_what_else_is_whitened_plays_no_part_in_what_is_kept(fits, tmp_path):
    whiten(photos(90), [], tmp_path)
    whiten(photos(90), [photos(9, 1), photos(8, 2)], tmp_path)
    assert len(fits) == 1


CHANGES = {
    "an image": lambda a: np.concatenate([a[:1] ^ 1, a[1:]]),
    "their order": lambda a: a[::-1],
    "their number": lambda a: a[:-1],
    "their shape": lambda a: a.reshape(len(a), *SHAPE[::-1]),
    "their type": lambda a: a.view(np.int8),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.usefixtures("chunk")
def test_other_training_images_are_fitted_on_and_kept_apart(change, fits, tmp_path):
    train = photos(90)
    whiten(train, [], tmp_path)
    other, _ = whiten(change(train), [], tmp_path)
    assert (len(fits), len(kept(tmp_path))) == (2, 2)
    (expected,) = direct(change(train))
    np.testing.assert_allclose(other.reshape(expected.shape), expected, atol=2e-4)


@pytest.mark.parametrize("number", ["NORM", "FLOOR", "RIDGE"])
def test_a_fit_by_other_numbers_is_kept_apart(number, fits, monkeypatch, tmp_path):
    whiten(photos(90), [], tmp_path)
    monkeypatch.setattr(whitening, number, getattr(whitening, number) * 2)
    whiten(photos(90), [], tmp_path)
    assert (len(fits), len(kept(tmp_path))) == (2, 2)


def flipped(place):
    def flip(content):
        damaged = bytearray(content)
        damaged[place] ^= 1
        return bytes(damaged)

    return flip


DAMAGES = {
    "empty": lambda b: b"",
    "a byte": lambda b: b[:1],
    "half": lambda b: b[: len(b) // 2],
    "all but a byte": lambda b: b[:-1],
    "the seal alone": lambda b: b[:32],
    "a byte more": lambda b: b + b"\0",
    "zeros": lambda b: bytes(len(b)),
    "text": lambda b: b"not a transform",
    "first bit": flipped(0),
    "end of the seal": flipped(31),
    "first number": flipped(32),
    "middle": flipped(5000),
    "last": flipped(-1),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_fitted_again_and_mended(damage, fits, tmp_path):
    expected, _ = whiten(photos(90), [], tmp_path)
    (name,) = kept(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(damage(whole))
    again, _ = whiten(photos(90), [], tmp_path)
    assert np.array_equal(again, expected)
    assert len(fits) == 2
    assert kept(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == whole


def test_a_whole_file_under_anothers_name_is_not_believed(fits, tmp_path):
    expected, _ = whiten(photos(90), [], tmp_path)
    (name,) = kept(tmp_path)
    whiten(photos(90, 1), [], tmp_path)
    (other,) = {*kept(tmp_path)} - {name}
    (tmp_path / other).replace(tmp_path / name)
    assert np.array_equal(whiten(photos(90), [], tmp_path)[0], expected)
    assert len(fits) == 3


def test_a_file_half_written_is_never_left(monkeypatch, fits, tmp_path):
    def fail(number):
        raise OSError(28, "No space left on device")

    expected, _ = whiten(photos(90), [], tmp_path / "roomy")
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        found, _ = whiten(photos(90), [], tmp_path / "full")
    assert np.array_equal(found, expected)
    assert kept(tmp_path / "full") == []
    whiten(photos(90), [], tmp_path / "full")
    assert (len(fits), len(kept(tmp_path / "full"))) == (3, 1)


def test_a_folder_that_cannot_be_written_stops_nothing(open_folder):
    expected = whiten(photos(90), [photos(9, 1)], open_folder / "fine")
    (open_folder / "a_file").write_text("")
    (open_folder / "closed").mkdir()
    (open_folder / "closed").chmod(0o555)
    (open_folder / "shut").mkdir()
    (open_folder / "shut").chmod(0)
    taken = open_folder / "taken" / kept(open_folder / "fine")[0]
    taken.mkdir(parents=True)
    with without_privileges():
        for name in ("a_file", "a_file/below", "closed", "closed/below", "shut", "taken"):
            found = whiten(photos(90), [photos(9, 1)], open_folder / name)
            assert np.array_equal(found[0], expected[0])
            assert np.array_equal(found[1][0], expected[1][0])
    assert kept(open_folder / "closed") == []
    assert kept(open_folder / "taken") == [taken.name]


def test_a_file_that_may_not_be_read_is_fitted_again(fits, open_folder):
    cache = open_folder / "cache"
    expected, _ = whiten(photos(90), [], cache)
    (cache / kept(cache)[0]).chmod(0)
    with without_privileges():
        assert np.array_equal(whiten(photos(90), [], cache)[0], expected)
    assert len(fits) == 2


# Memory


def peak(work):
    """The most memory that arrays took while this was done, and what it gave."""
    tracemalloc.start()
    try:
        result = work()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_by_the_result_and_a_few_chunks(monkeypatch, tmp_path):
    monkeypatch.setattr(whitening, "CHUNK", 100)
    train = photos(20_000)
    single = 4 * train.size
    slack = 1e6
    used, even = peak(lambda: contrast(train))
    assert used < single + slack
    used, zca = peak(lambda: fit(even))
    assert used < slack
    used, _ = peak(lambda: zca.apply(even))
    assert used < single + slack
    used, _ = peak(lambda: whiten(train, [train[:500]], tmp_path))
    assert used < single + slack


def test_a_transform_is_frozen():
    zca = Zca(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))
    with pytest.raises(AttributeError):
        zca.mean = zca.mean + 1
