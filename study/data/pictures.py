"""Images that stay on disk: a file becomes an image of the study's size when it is read."""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

import numpy as np
from PIL import Image, UnidentifiedImageError

from study.data.own import reason
from study.errors import DataError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""What a file may be, whatever its name says; other decoders run programs or read more files."""

MODES = {1: "L", 3: "RGB"}

REFUSED = {
    "I;16": "16-bit whole numbers",
    "I;16L": "16-bit whole numbers",
    "I;16B": "16-bit whole numbers",
    "I;16N": "16-bit whole numbers",
    "I": "32-bit whole numbers",
    "F": "32-bit floats",
}
"""Pillow's modes without a known range, so that no rule brings them to 8 bits."""

MOST_PIXELS = 1 << 27
"""Of an image brought to its short side: a strip of 1 x 60,000 would fill the memory."""

LARGEST = 1 << 30
"""Bytes of a file."""

DRAW = 31
"""Bits of a crop number for each of its two offsets."""

SHARE = 64
"""Files that a thread takes at a time: a stop waits for them."""

NAMED = 5
"""Bad files that a message names."""


@dataclass(frozen=True)
class View:
    """How a picture of any size and mode becomes size x size x channels (1: grey, 3: RGB).

    Its short side is brought to `short`, then size x size of it are kept; `size` is at most
    `short`. `augment`: training shows another crop each time.
    """

    short: int
    size: int
    channels: int
    augment: bool

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a picture once its short side is `short`."""
        short, long = sorted((width, height))
        other = int(self.short * long / short)
        return (self.short, other) if width <= height else (other, self.short)

    def apply(self, picture: Image.Image, crop: int | None = None) -> np.ndarray:
        """The centre of a picture, or the crop that the 63 bits of a random number choose.

        Bits 0 to 30 are the row's share of the possible offsets, bits 31 to 61 the column's (n
        offsets are equally likely to within n / 2^31), bit 62 mirrors left and right.
        """
        # Resampling the crop's box alone differs from this in a grey level here and there.
        width, height = self.resized(*picture.size)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        down, across = height - self.size, width - self.size
        if crop is None:
            top, left, mirrored = round(down / 2), round(across / 2), 0
        else:
            row, column = crop & (1 << DRAW) - 1, crop >> DRAW & (1 << DRAW) - 1
            top, left = row * (down + 1) >> DRAW, column * (across + 1) >> DRAW
            mirrored = crop >> 2 * DRAW
        picture = picture.crop((left, top, left + self.size, top + self.size))
        if mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.array(picture).reshape(self.size, self.size, self.channels)


@dataclass(frozen=True)
class Pictures:
    """The files `names` (relative, with /) below `root`, to be read as images of one view."""

    root: Path
    names: np.ndarray
    view: View

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, positions: np.ndarray) -> "Pictures":
        return Pictures(self.root, self.names[positions], self.view)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """That of the array these pictures would fill."""
        return len(self), self.view.size, self.view.size, self.view.channels

    def join(self, other: "Pictures") -> "Pictures":
        """These pictures and then the other's, of the same view, below the folder of both."""
        if self.view != other.view:
            raise ValueError(f"pictures of {self.view} and of {other.view} share no view")
        root = Path(os.path.commonpath((self.root, other.root)))
        names = np.concatenate([self._names_below(root), other._names_below(root)])
        return Pictures(root, names, self.view)

    def read(self, position: int, crop: int | None = None) -> np.ndarray:
        """One picture, size x size x channels in uint8: its centre, or the crop of that number."""
        return self.view.apply(self._decoded(position), crop)

    def read_all(self, threads: int) -> np.ndarray:
        """The centres of all of them, (n, size, size, channels)."""
        images = np.empty(self.shape, np.uint8)

        def read(position: int) -> None:
            images[position] = self.read(position)

        self._each(range(len(self)), threads, read)
        return images

    def check(self, positions: np.ndarray, threads: int) -> None:
        """Decode each of these once; a DataError names those of which nothing can be made."""
        self._each(np.unique(positions).tolist(), threads, self._decoded)

    def _each(self, positions: Sequence[int], threads: int, use: Callable[[int], object]) -> None:
        def faults(start: int) -> list[str]:
            told = []
            for position in positions[start : start + SHARE]:
                try:
                    use(position)
                except DataError as error:
                    told.append(str(error))
            return told

        with ThreadPoolExecutor(threads) as pool:
            shares = pool.map(faults, range(0, len(positions), SHARE))
            bad = [fault for share in shares for fault in share]
        if bad:
            head = f"{len(bad):,} pictures cannot be used: " if len(bad) > 1 else ""
            more = f"; and {len(bad) - NAMED:,} more" if len(bad) > NAMED else ""
            raise DataError(head + "; ".join(bad[:NAMED]) + more)

    def _decoded(self, position: int) -> Image.Image:
        path = self.root / self.names[position]
        picture = decode(path, MODES[self.view.channels])
        width, height = self.view.resized(*picture.size)
        if width * height > MOST_PIXELS:
            raise DataError(
                f"{path}: found {picture.width:,} x {picture.height:,} pixels, too long a strip: "
                f"with its short side at {self.view.short:,} it would be {width:,} x {height:,}"
            )
        return picture

    def _names_below(self, root: Path) -> np.ndarray:
        if root == self.root:
            return self.names
        return np.strings.add(f"{self.root.relative_to(root).as_posix()}/", self.names)


def decode(path: Path, mode: str) -> Image.Image:
    """The picture in a file, as it lies there (a turn noted in EXIF is not made), in this mode.

    Transparency is dropped, an animation gives its first picture.
    """
    try:
        content = _content(path)
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.load()
            picture.info.pop("transparency", None)  # else a palette's is warned about
            if picture.mode not in REFUSED:
                return picture.convert(mode)
            found = picture.mode
    except UnidentifiedImageError:
        why = f"its content is none of {', '.join(FORMATS)}" if content else "the file is empty"
        raise DataError(f"{path}: not a picture: {why}") from None
    except Exception as error:  # a damaged file fails in whatever way its decoder does
        raise DataError(f"{path}: cannot be read ({reason(error)})") from None
    raise DataError(
        f"{path}: found {REFUSED[found]} (mode {found}); needed: 8 bits a channel or fewer"
    )


def _content(path: Path) -> bytes:
    """The bytes of a file; a pipe or a device would never end."""
    there = path.stat()
    if not (S_ISREG(there.st_mode) or S_ISDIR(there.st_mode)):
        raise ValueError("neither a file nor a folder")
    if there.st_size > LARGEST:
        raise ValueError(f"it has {there.st_size:,} bytes; allowed: {LARGEST:,}")
    return path.read_bytes()
