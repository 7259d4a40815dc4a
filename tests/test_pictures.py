"""Pictures on disk: how a file becomes an image, which crop a number chooses, and damaged files."""

import pickle
import struct
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chisquare
from torchvision.datasets.folder import pil_loader
from torchvision.transforms import v2

from study.data.pictures import NAMED, Pictures, View
from study.errors import DataError
from tests.conftest import without_privileges


def scene(width, height, seed=0):
    """A picture with edges, slopes and noise in three channels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    slopes = np.stack([x * 255 / width, y * 255 / height, (x // 7 + y // 5) % 2 * 255], axis=-1)
    noisy = slopes + rng.normal(0, 20, slopes.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def with_alpha(picture, mode):
    faded = picture.convert(mode)
    faded.putalpha(Image.linear_gradient("L").resize(picture.size))
    return faded


WRITERS = {
    "colour.jpg": lambda p, path: p.save(path),
    "grey.JPEG": lambda p, path: p.convert("L").save(path),
    "cmyk.jpg": lambda p, path: p.convert("CMYK").save(path),
    "turned.jpg": lambda p, path: p.save(path, exif=turned()),
    "two.jpg": lambda p, path: p.save(path, "MPO", save_all=True, append_images=[p.rotate(90)]),
    "colour.png": lambda p, path: p.save(path),
    "alpha.png": lambda p, path: with_alpha(p, "RGB").save(path),
    "grey_alpha.png": lambda p, path: with_alpha(p, "L").save(path),
    "palette.png": lambda p, path: p.quantize(50).save(path),
    "palette_alpha.png": lambda p, path: p.quantize(50).save(path, transparency=bytes(range(50))),
    "one_colour_clear.png": lambda p, path: p.save(path, transparency=(0, 0, 0)),
    "bits.png": lambda p, path: p.convert("1").save(path),
    "palette.gif": lambda p, path: p.save(path, transparency=3),
    "moving.gif": lambda p, path: p.save(path, save_all=True, append_images=[p.rotate(90)]),
    "colour.bmp": lambda p, path: p.save(path),
    "colour.tif": lambda p, path: p.save(path),
    "turned.tiff": lambda p, path: p.save(path, exif=turned()),
    "colour.webp": lambda p, path: p.save(path, lossless=True),
    "colour.ppm": lambda p, path: p.save(path),
    "grey.pgm": lambda p, path: p.convert("L").save(path),
    "a_png.jpg": lambda p, path: p.save(path, "PNG"),
}


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def loaded(path, mode):
    """The picture as torchvision's data sets read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a palette's transparency, which is dropped
        if mode == "RGB":
            return pil_loader(path)
        with Image.open(path) as picture:
            return picture.convert(mode)


def expected(path, view):
    """The image by torchvision's transforms."""
    shrink = v2.Compose([v2.Resize(view.short, antialias=True), v2.CenterCrop(view.size)])
    pixels = np.array(shrink(loaded(path, {1: "L", 3: "RGB"}[view.channels])))
    return pixels.reshape(view.size, view.size, view.channels)


def pictures(folder, *names, view=None):
    return Pictures(folder, np.array(names), view or View(24, 20, 3, False))


# A file becomes an image


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_file_gives_torchvisions_pixels(name, channels, tmp_path):
    WRITERS[name](scene(61, 47), tmp_path / name)
    view = View(24, 20, channels, False)
    image = pictures(tmp_path, name, view=view).read(0)
    assert image.dtype == np.uint8
    assert np.array_equal(image, expected(tmp_path / name, view))


def test_any_size_gives_torchvisions_pixels(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "picture.png"
    for number in range(120):
        width, height = (int(side) for side in rng.integers(1, 200, 2))
        if max(width, height) > 40 * min(width, height):
            continue
        short = int(rng.integers(1, 60))
        view = View(short, int(rng.integers(1, short + 1)), 3, False)
        scene(width, height, number).save(path)
        found = pictures(tmp_path, path.name, view=view).read(0)
        assert np.array_equal(found, expected(path, view)), (width, height, view)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (256, 256), (257, 256), (224, 640)])
def test_the_view_of_imagenet_gives_torchvisions_pixels(size, tmp_path):
    scene(*size).save(tmp_path / "photo.jpg", quality=90)
    view = View(256, 224, 3, True)
    found = pictures(tmp_path, "photo.jpg", view=view).read(0)
    assert np.array_equal(found, expected(tmp_path / "photo.jpg", view))


def test_transparency_is_dropped_and_one_bit_is_black_or_white(tmp_path):
    exact = View(8, 8, 3, False)
    clear = np.full((8, 8, 4), (10, 200, 30, 0), np.uint8)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    found = pictures(tmp_path, "clear.png", view=exact).read(0)
    assert np.array_equal(found, clear[..., :3])
    bits = np.indices((8, 8)).sum(axis=0) % 2 == 1
    Image.fromarray(bits).save(tmp_path / "bits.png")
    found = pictures(tmp_path, "bits.png", view=View(8, 8, 1, False)).read(0)
    assert np.array_equal(found[..., 0], bits * 255)


def test_colour_becomes_the_grey_of_itu_601(tmp_path):
    scene(32, 32).save(tmp_path / "colour.png")
    red, green, blue = np.moveaxis(np.array(scene(32, 32), float), -1, 0)
    found = pictures(tmp_path, "colour.png", view=View(32, 32, 1, False)).read(0)
    assert np.abs(found[..., 0] - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 0.501


# Crops


def crop_number(row, column, mirrored=0):
    """A crop number from its three parts, as View.apply documents them."""
    return row | column << 31 | mirrored << 62


@pytest.mark.parametrize("size", [(61, 47), (40, 90), (24, 24)])
def test_a_crop_is_cut_from_the_picture_resized_whole(size, tmp_path):
    path, view = tmp_path / "picture.png", View(24, 20, 3, True)
    scene(*size).save(path)
    whole = np.array(v2.Resize(24, antialias=True)(loaded(path, "RGB")))
    file, rng = pictures(tmp_path, path.name, view=view), np.random.default_rng(0)
    down, across = whole.shape[0] - 20 + 1, whole.shape[1] - 20 + 1
    for row, column in rng.integers(0, 2**31, (30, 2)).tolist():
        top, left = row * down // 2**31, column * across // 2**31
        cut = whole[top : top + 20, left : left + 20]
        assert np.array_equal(file.read(0, crop_number(row, column)), cut)
        assert np.array_equal(file.read(0, crop_number(row, column, 1)), cut[:, ::-1])


def chart(width, height):
    """A picture that shows in each pixel its column and its row."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint8)
    return Image.fromarray(np.stack([x, y, 0 * x], axis=-1))


def place(image):
    """Row, column and mirroring of a crop of the chart."""
    columns, top = image[0, :, 0].astype(int), int(image[0, 0, 1])
    return top, int(columns.min()), int(columns[0] > columns[-1])


def test_each_offset_has_its_equal_share_of_the_bits():
    view, picture = View(26, 20, 3, True), chart(31, 26)
    largest = 2**31 - 1

    def offset(row, column):
        return place(view.apply(picture, crop_number(row, column)))[:2]

    for places, axis in ((7, 0), (12, 1)):
        for number in range(1, places):
            first = -(-number * 2**31 // places)  # the least number of this offset's share
            below, here = ([0, 0], [0, 0])
            below[axis], here[axis] = first - 1, first
            assert offset(*below)[axis] == number - 1
            assert offset(*here)[axis] == number
    assert offset(0, 0) == (0, 0)
    assert offset(largest, largest) == (6, 11)


def test_random_crops_are_uniform_over_the_offsets_and_mirrored_half_the_time():
    view, picture = View(24, 20, 3, True), chart(28, 24)
    numbers = np.random.default_rng(7).integers(0, 2**63, 9000, dtype=np.int64)
    seen = np.zeros((5, 9, 2), int)
    for number in numbers:
        seen[place(view.apply(picture, int(number)))] += 1
    assert seen.min() > 50
    assert chisquare(seen.ravel()).pvalue > 0.001
    for axes in ((1, 2), (0, 2), (0, 1)):
        assert chisquare(seen.sum(axis=axes)).pvalue > 0.001


# Files of which nothing can be made


def damaged(folder):
    """Files that are no pictures, each with the words that its message needs."""
    scene(40, 30).save(folder / "whole.jpg")
    scene(40, 30).save(folder / "whole.png")
    content = {end: (folder / f"whole.{end}").read_bytes() for end in ("jpg", "png")}
    deep = np.arange(1200).reshape(30, 40)
    Image.fromarray(deep.astype(np.uint16)).save(folder / "deep.png")
    Image.fromarray(deep.astype(np.int32)).save(folder / "integers.tif")
    Image.fromarray(deep.astype(np.float32)).save(folder / "floats.tif")
    scene(40, 30).save(folder / "program.jpg", "EPS")
    header = struct.pack(">II5B", 20_000, 20_000, 8, 2, 0, 0, 0)
    bomb = content["png"][:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    Image.new("L", (1, 60_000)).save(folder / "strip.png")
    for name, written in (
        ("cut.jpg", content["jpg"][:-200]),
        ("cut.png", content["png"][:-200]),
        ("empty.jpg", b""),
        ("text.jpg", b"not a picture at all"),
        ("bomb.png", bomb + content["png"][33:]),
    ):
        (folder / name).write_bytes(written)
    return {
        "cut.jpg": ["truncated"],
        "cut.png": ["truncated"],
        "empty.jpg": ["the file is empty"],
        "text.jpg": ["not a picture", "JPEG"],
        "program.jpg": ["not a picture", "JPEG"],
        "bomb.png": ["400000000 pixels"],
        "vanished.jpg": ["No such file"],
        "deep.png": ["16-bit whole numbers", "I;16", "8 bits"],
        "integers.tif": ["32-bit whole numbers", "(mode I)", "8 bits"],
        "floats.tif": ["32-bit floats", "(mode F)", "8 bits"],
        "strip.png": ["1 x 60,000", "256 x 15,360,000"],
    }


def test_a_file_of_which_nothing_can_be_made_is_named_with_the_reason(tmp_path):
    acts = (
        lambda file: file.read(0),
        lambda file: file.read(0, 5),
        lambda file: file.read_all(2),
        lambda file: file.check(np.array([0]), 2),
    )
    for name, words in damaged(tmp_path).items():
        for act in acts:
            with pytest.raises(DataError) as error:
                act(pictures(tmp_path, name, view=View(256, 224, 3, True)))
            told = str(error.value)
            assert all(word in told for word in [str(tmp_path / name), *words]), told
            assert "\n" not in told


def test_all_bad_files_are_told_together_and_the_rest_is_not_asked(tmp_path):
    scene(30, 30).save(tmp_path / "good.png")
    bad = list(damaged(tmp_path))
    names = ["good.png"] * 150
    for number, name in enumerate(bad):
        names[number * 13] = name
    files, order = pictures(tmp_path, *names, view=View(256, 224, 3, True)), np.arange(150)
    for act in (lambda: files.read_all(3), lambda: files.check(order, 3)):
        with pytest.raises(DataError) as error:
            act()
        told = str(error.value)
        assert told.startswith(f"{len(bad)} pictures cannot be used: ")
        assert all(str(tmp_path / name) in told for name in bad[:NAMED])
        assert not any(str(tmp_path / name) in told for name in bad[NAMED:])
        assert told.endswith(f"; and {len(bad) - NAMED} more")
    with pytest.raises(DataError) as error:
        files.check(np.array([1, 13, 13, 2, 0, 0]), 2)
    told = str(error.value)
    assert told.startswith("2 pictures")
    assert (told.count(bad[0]), told.count(bad[1])) == (1, 1)
    files.check(np.setdiff1d(order, np.arange(0, 150, 13)), 2)
    files.check(np.arange(0), 2)


def test_a_file_that_may_not_be_read_is_named():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        scene(30, 30).save(folder / "secret.png")
        (folder / "secret.png").chmod(0)
        with without_privileges(), pytest.raises(DataError) as error:
            pictures(folder, "secret.png").read(0)
    assert str(folder / "secret.png") in str(error.value)
    assert "Permission denied" in str(error.value)


@pytest.mark.parametrize("name", ["colour.jpg", "palette.png", "moving.gif", "colour.tif"])
def test_any_damage_gives_an_image_or_a_data_error(name, tmp_path):
    path, rng = tmp_path / name, np.random.default_rng(0)
    WRITERS[name](scene(30, 24), path)
    content, refusals = np.frombuffer(path.read_bytes(), np.uint8), []
    for _ in range(150):
        bad = content[: rng.integers(1, len(content) + 1)].copy()
        bad[rng.integers(0, len(bad), 3)] = rng.integers(0, 256, 3)
        path.write_bytes(bad.tobytes())
        try:
            assert pictures(tmp_path, name).read(0).shape == (20, 20, 3)
        except DataError as error:
            refusals.append(str(error))
    assert len(refusals) > 20
    assert all(told.startswith(f"{path}: ") and "\n" not in told for told in refusals)


# Many pictures


@pytest.fixture
def album(tmp_path):
    """Seventy pictures of different sizes."""
    names = [f"{number % 3}/{number:03}.png" for number in range(70)]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        scene(20 + number, 90 - number, number).save(tmp_path / name)
    return pictures(tmp_path, *names)


@pytest.mark.parametrize("threads", [1, 4])
def test_all_pictures_are_what_each_is(album, threads):
    every = album.read_all(threads)
    assert (every.shape, every.dtype) == (album.shape, np.uint8)
    assert np.array_equal(every, np.stack([album.read(n) for n in range(70)]))
    assert len({image.tobytes() for image in every}) == 70


def test_pictures_are_picked_joined_and_pickled_like_arrays(album):
    every = album.read_all(1)
    some = np.array([5, 3, 5, 60])
    assert album[some].shape == (4, 20, 20, 3)
    assert np.array_equal(album[some].read_all(1), every[some])
    assert album[np.arange(0)].read_all(1).shape == (0, 20, 20, 3)
    mask = np.arange(70) % 7 == 0
    joined = album[some].join(album[mask])
    assert joined.root == album.root
    assert np.array_equal(joined.read_all(1), np.concatenate([every[some], every[mask]]))
    again = pickle.loads(pickle.dumps(joined))
    assert (again.root, again.view) == (joined.root, joined.view)
    assert np.array_equal(again.names, joined.names)


def test_pictures_of_two_folders_are_joined_below_the_folder_of_both(album):
    first, third = (
        Pictures(album.root / part, np.array([f"{n:03}.png" for n in numbers]), album.view)
        for part, numbers in (("0", (0, 3)), ("2", (2,)))
    )
    joined = first.join(third)
    assert joined.root == album.root
    assert joined.names.tolist() == ["0/000.png", "0/003.png", "2/002.png"]
    assert np.array_equal(joined.read_all(1), album[np.array([0, 3, 2])].read_all(1))
    below = first.join(album[np.array([1])])
    assert below.names.tolist() == ["0/000.png", "0/003.png", "1/001.png"]
    none = album[np.arange(0)].join(third)
    assert np.array_equal(none.read_all(1), third.read_all(1))


def test_pictures_of_two_views_are_not_joined(album):
    other = Pictures(album.root, album.names, View(24, 24, 3, False))
    with pytest.raises(ValueError, match="share no view"):
        album.join(other)


def test_a_million_names_pickle_small():
    names = np.array(["train/n01440764/n01440764_10026.JPEG"] * 10_000)
    file = Pictures(Path("imagenet"), names, View(256, 224, 3, True))
    assert len(pickle.dumps(file)) < 10_000 * 150
