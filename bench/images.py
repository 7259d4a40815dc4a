"""The images of the race: MNIST's files in torchvision's layout, real ones or noise."""

from pathlib import Path

import numpy as np

from study.errors import UserError

TRAIN, TEST = 50_000, 1_000
"""Images of noise. Nobody reads the test ones; torchvision wants the files to be there."""

UNSIGNED_BYTES = 8


def write_noise(folder: Path, number: int = TRAIN, seed: int = 0) -> None:
    """Four idx files of noise below `folder`, so that torchvision.datasets.MNIST reads them."""
    raw = _raw(folder)
    raw.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for part, size in (("train", number), ("t10k", TEST)):
        _write(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (size, 28, 28), np.uint8))
        _write(raw / f"{part}-labels-idx1-ubyte", rng.integers(0, 10, size, np.uint8))


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The training images (n, 28, 28), of which the processes of a machine share one copy, and
    their labels (n).
    """
    pixels = _read(_raw(folder) / "train-images-idx3-ubyte", 3)
    return pixels, _read(_raw(folder) / "train-labels-idx1-ubyte", 1).astype(np.int64)


def check(folder: Path, fewest: int) -> None:
    """Refuse a folder that does not hold the files, or holds too few images."""
    missing = [
        name
        for part in ("train", "t10k")
        for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
        if not (_raw(folder) / name).is_file()
    ]
    if missing:
        raise UserError(f"--data {folder}: {_raw(folder)} lacks {', '.join(missing)}")
    pixels, labels = read(folder)
    if pixels.shape != (len(labels), 28, 28) or len(labels) < fewest:
        raise UserError(
            f"--data {folder}: holds images {pixels.shape} and {len(labels)} labels; needed: "
            f"as many labels as images of 28 x 28, {fewest} or more"
        )


def _raw(folder: Path) -> Path:
    return folder / "MNIST" / "raw"


def _write(path: Path, array: np.ndarray) -> None:
    """Two zero bytes, the type, the number of dimensions, each of them big-endian, the bytes."""
    head = bytes((0, 0, UNSIGNED_BYTES, array.ndim))
    path.write_bytes(head + np.array(array.shape, ">u4").tobytes() + array.tobytes())


def _read(path: Path, dimensions: int) -> np.ndarray:
    with path.open("rb") as file:
        head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, UNSIGNED_BYTES, dimensions)):
        raise UserError(f"{path}: not an idx file of bytes with {dimensions} dimensions")
    shape = tuple(int(size) for size in np.frombuffer(head, ">u4", offset=4))
    try:
        return np.memmap(path, np.uint8, "r", offset=len(head), shape=shape)
    except ValueError as error:
        raise UserError(f"{path}: does not hold the {shape} it promises ({error})") from None
