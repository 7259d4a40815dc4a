"""Whitening: each image's contrast made equal, then ZCA fitted on the training images."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from study.engine import machine
from study.identity import digest
from study.parts import whole

NORM = 55.0
"""The L2 norm of an image once its contrast is normalised."""

FLOOR = 1e-8
"""An image whose norm is below this has no contrast to normalise."""

RIDGE = 0.1
"""What ZCA adds to the covariance's diagonal."""

MOST = 4096
"""Values in an image, at most: ZCA's matrix has as many rows and columns."""

CHUNK = 2048
"""Images that are computed at a time, so that no copy of all of them is made on the way."""


@dataclass(frozen=True)
class Zca:
    """A shift and a symmetric matrix, float32, for images as rows of d values: (d,) and (d, d)."""

    mean: np.ndarray
    matrix: np.ndarray

    def apply(self, images: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """These images whitened, float32; `out` may be the images themselves."""
        result = np.empty(images.shape, np.float32) if out is None else out

        def one(some: slice) -> None:
            rows = _rows(images[some], np.float32)
            result[some] = ((rows - self.mean) @ self.matrix).reshape(images[some].shape)

        with ThreadPoolExecutor(machine.cores()) as threads:
            list(threads.map(one, _chunks(images)))
        return result


def whiten(
    train: np.ndarray, others: Sequence[np.ndarray], cache: Path
) -> tuple[np.ndarray, list[np.ndarray]]:
    """`train` and `others`, (n, ...), as float32: contrast, then ZCA fitted on `train`.

    The fit is kept in the folder `cache`, under a name made of what it was fitted on. A folder
    that cannot be written, or a file that is damaged, costs no more than another fit.
    """
    with threadpool_limits(1):  # the sums of a library with more threads hang on their number
        return _whiten(train, others, cache)


def _whiten(
    train: np.ndarray, others: Sequence[np.ndarray], cache: Path
) -> tuple[np.ndarray, list[np.ndarray]]:
    _check(train)
    fields = {
        "transform": "contrast, zca",
        "numbers": [NORM, FLOOR, RIDGE],
        "images": [list(train.shape), train.dtype.str, _content(train)],
    }
    even = contrast(train)
    path = cache / f"zca-{digest(fields)}.bin"
    zca = _read(path, even[:1].size)
    if zca is None:
        zca = fit(even)
        with suppress(OSError):
            _write(path, zca)
    return zca.apply(even, out=even), [zca.apply(contrast(images)) for images in others]


def contrast(images: np.ndarray) -> np.ndarray:
    """Each image less its mean, over its L2 norm, times `NORM`; float32."""
    result = np.empty(images.shape, np.float32)
    for some in _chunks(images):
        rows = _rows(images[some], np.float64)
        if not np.isfinite(rows).all():
            raise ValueError("images hold a value that is not finite")
        rows -= rows.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows *= np.where(norms < FLOOR, 1, NORM / np.maximum(norms, FLOOR))
        result[some] = rows.reshape(images[some].shape)
    return result


def fit(images: np.ndarray) -> Zca:
    """The ZCA of these images: their mean, and (covariance + `RIDGE`)^(-1/2)."""
    _check(images)
    n, width = len(images), math.prod(images.shape[1:])
    mean = np.zeros(width)
    for some in _chunks(images):
        mean += _rows(images[some], np.float64).sum(axis=0) / n
    covariance = np.zeros((width, width))
    for some in _chunks(images):
        rows = _rows(images[some], np.float64) - mean
        covariance += rows.T @ rows
    covariance /= n
    values, vectors = np.linalg.eigh(covariance)
    # Rounding may leave a variance of nothing a little below it. A product of a matrix and its own
    # transpose is symmetric to the last bit.
    half = vectors * (np.maximum(values, 0) + RIDGE) ** -0.25
    return Zca(mean.astype(np.float32), (half @ half.T).astype(np.float32))


def _check(images: np.ndarray) -> None:
    width = math.prod(images.shape[1:])
    if width > MOST:
        raise ValueError(f"images of {width:,} values; whitening takes at most {MOST:,}")
    if not len(images):
        raise ValueError("no images to fit a whitening on")


def _chunks(images: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, len(images), CHUNK))


def _rows(images: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    """A copy with one row an image."""
    return images.reshape(len(images), -1).astype(dtype)


def _content(images: np.ndarray) -> str:
    content = hashlib.sha256()
    for some in _chunks(images):
        content.update(np.ascontiguousarray(images[some]).tobytes())
    return content.hexdigest()


def _seal(path: Path, numbers: bytes) -> bytes:
    """What a file begins with: it holds for these bytes under this name alone."""
    return hashlib.sha256(path.name.encode() + numbers).digest()


def _write(path: Path, zca: Zca) -> None:
    numbers = np.vstack([zca.mean, zca.matrix]).astype("<f4").tobytes()
    with whole(path, replace=True) as out:
        out.write(_seal(path, numbers) + numbers)


def _read(path: Path, width: int) -> Zca | None:
    """The transform kept there, if it is there as it was written."""
    size = 32 + 4 * (width + 1) * width
    try:
        content = path.read_bytes() if path.stat().st_size == size else b""
    except OSError:
        return None
    seal, numbers = content[:32], content[32:]
    if seal != _seal(path, numbers):
        return None
    both = np.frombuffer(numbers, "<f4").reshape(width + 1, width).astype(np.float32)
    return Zca(both[0], both[1:])
